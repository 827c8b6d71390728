import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.training.write.answers import parse, parse_keyed


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        ('["a", "b"]', ["a", "b"]),
        ('Here you are:\n```json\n["a",\n "b"]\n```\nEnjoy [1]!', ["a", "b"]),
        ('[{"text": "a"}, {"message": "b"}, {"x": 1}, 3, null]', ["a", "b"]),
        ("1. a\n2) b\n- c\n\n* a", ["a", "b", "c"]),
        ('{"messages": ["a", "b"]}', ["a", "b"]),
        ('["broken', []),
        ("", []),
        ("I'm sorry, but I can't help with that.", []),
        ("Here are some:\n- a\n- b", ["a", "b"]),
        ('["a", "' + "x" * 2000 + '"]', ["a"]),
        ('["two\\n lines"]', ["two lines"]),
        ('Values as [2](people):\n["for [2](people)"]', ["for [2](people)"]),
    ],
)
def test_answers_are_parsed_with_distrust(answer: str, texts: list[str]) -> None:
    assert parse(answer) == texts


@given(st.text())
def test_no_answer_breaks_the_parser(answer: str) -> None:
    assert all(text and len(text) <= 1000 for text in parse(answer))


def test_a_deeply_nested_answer_is_no_text() -> None:
    assert parse("[" * 100_000) == []


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        ('{"A": ["a", "b"], "B": ["c"]}', {"a": "x", "b": "x", "c": "y"}),
        ('Of course:\n```json\n{"A": ["a"],\n "B": ["b"]}\n```', {"a": "x", "b": "y"}),
        ('[{"A": "a", "B": "b"}, {"A": "c", "B": "d"}]', {"a": "x", "b": "y", "c": "x", "d": "y"}),
        ('{"A": ["a", "same"], "B": ["same"]}', {"a": "x"}),
        ('{"A": [1, null, {"text": "a"}], "C": ["b"]}', {"a": "x"}),
        ('["a", "b"]', {}),
        ("I cannot help with that.", {}),
    ],
)
def test_texts_under_keys_get_the_labels_of_their_key(answer: str, texts: dict[str, str]) -> None:
    assert parse_keyed(answer, {"A": ("x",), "B": ("y",)}) == [
        (text, (label,)) for label in ("x", "y") for text, own in texts.items() if own == label
    ]


@given(st.text())
def test_no_answer_breaks_the_keyed_parser(answer: str) -> None:
    assert isinstance(parse_keyed(answer, {"A": ("x",)}), list)
