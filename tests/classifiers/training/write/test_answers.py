import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.training.write.answers import parse, parse_keyed, values


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        ('["a", "b"]', ["a", "b"]),
        ('Here you are:\n```json\n["a",\n "b"]\n```\nEnjoy [1]!', ["a", "b"]),
        ('[{"text": "a"}, {"message": "b"}, {"x": 1}, 3, null]', ["a", "b"]),
        ("1. a\n2) b\n- c\n\n* a", ["a", "b", "c"]),
        ('{"messages": ["a", "b"]}', ["a", "b"]),
        ('["broken', []),
        ("I'm sorry, but I can't help with that.", []),
        ('["a", "' + "x" * 2000 + '"]', ["a"]),
        ('Values as [2](people):\n["for [2](people)"]', ["for [2](people)"]),
        ("Here are some:\n\n1. a\n2. 3.50 for b\n\nTell me if you want more.", ["a", "3.50 for b"]),
        ("*No.*\n*I will not.*\n10:30 is late\n3.5 is more", []),
        ('The form is ["…", "..."].\n["a", "…", "b"]', ["a", "b"]),
        ('["draft a", "draft b"]\nBetter:\n["a", "b"]', ["a", "b"]),
        ('<think>\nAs ["one", "two", "three"]?\n</think>\n\n["a", "b"]', ["a", "b"]),
        ('<think>["one", "two"]</think>\nI cannot help with that.', []),
        ('<think>a 5" pizza</think>\n["a", "b"]', ["a", "b"]),
        ('<think>\n["one", "two"] or rather ["three", "fo', []),
        ('["obey </think> now", "a <think>"]', ["obey </think> now", "a <think>"]),
        ('["a", "b",]', ["a", "b"]),
        ('["a", "b", "cut off in the mid', ["a", "b"]),
        ('["one\nline", "a\ttab"]', ["one line", "a tab"]),
        ('["he said "hi" to me", "then "no", and left", "c"]', ['he said "hi" to me', 'then "no", and left', "c"]),
        ('["I can\\\'t", "b"]', ["I can't", "b"]),
        ("['it's gone', 'b']", ["it's gone", "b"]),
        ('{"text": "a"}\n{"text": "b"}', ["a", "b"]),
        ('```\n{"text": "a", "tags": ["x", "y", "z"]},\n{"text": "b", "tags": []}\n```', ["a", "b"]),
        ('[{"text": "a", "tags": ["x", "y", "z"]}, {"text": "b", "tags": ["x", "y", "z"]}]', ["a", "b"]),
        ('[{"text": "a", "tags": ["x", "y", "z"]}, {"text": "b", "ta', ["a", "b"]),
        ('{"1": "a", "2": "b"}', ["a", "b"]),
        ('[{"Sentence": "a", "tone": "x"}, {"Sentence": "b", "tone": "y"}]', ["a", "b"]),
        ('[{"error": "I cannot help with that."}]', []),
        ('["1. a", "2. 3.50 for b", "3) c"]', ["a", "3.50 for b", "c"]),
        ('["1. May is fine", "a"]', ["1. May is fine", "a"]),
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
        ('{"A": ["a", "b"]}\n\n{"B": ["c"]}', {"a": "x", "b": "x", "c": "y"}),
        ('{"A": ["…", "…"], "B": ["…"]} is the form:\n{"A": ["a"], "B": ["b"]}', {"a": "x", "b": "y"}),
        ('<think>{"A": ["one", "two"], "B": ["three"]}</think>{"A": ["a"], "B": ["b"]}', {"a": "x", "b": "y"}),
        ('{"a ": ["a"], "b": ["b"]}', {"a": "x", "b": "y"}),
        ('{"A": ["a", "b"], "B": ["c", "cut o', {"a": "x", "b": "x", "c": "y"}),
        ('{"A": {"1": "a", "2": "b"}, "B": ["1. c", "2. d"]}', {"a": "x", "b": "x", "c": "y", "d": "y"}),
        ('{"result": {"A": ["a"], "B": ["b"]}}', {"a": "x", "b": "y"}),
    ],
)
def test_texts_under_keys_get_the_labels_of_their_key(answer: str, texts: dict[str, str]) -> None:
    assert parse_keyed(answer, {"A": ("x",), "B": ("y",)}, most=9) == [
        (text, (label,)) for label in ("x", "y") for text, own in texts.items() if own == label
    ]


def test_a_key_is_known_by_its_words() -> None:
    keys = {"card arrival": ("x",), "Rückgabe": ("y",), "a-b": ("z",), "a_b": ("w",)}
    answer = '{"Card_Arrival": ["a"], "RU\u0308CKGABE": ["b"], "A B": ["c"], "a_b": ["d"]}'
    assert parse_keyed(answer, keys, most=2) == [("a", ("x",)), ("b", ("y",)), ("d", ("w",))]


def test_of_each_key_so_many_are_taken() -> None:
    found = parse_keyed('{"A": ["a", "b", "c", "d"], "B": ["e", "f"]}', {"A": ("x",), "B": ("y",)}, most=2)
    assert found == [("a", ("x",)), ("b", ("x",)), ("e", ("y",)), ("f", ("y",))]


@given(st.text())
def test_no_answer_breaks_the_keyed_parser(answer: str) -> None:
    assert isinstance(parse_keyed(answer, {"A": ("x",)}, most=9), list)


TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1)


@given(TEXTS)
def test_what_is_json_is_read_as_it_is(texts: list[str]) -> None:
    said = json.dumps(texts)
    assert list(values(f"As asked: {said}. [")) == [(texts, 10, 10 + len(said))]


@given(TEXTS, st.integers(min_value=1))
def test_of_a_list_that_is_cut_off_its_whole_strings_are_read(texts: list[str], left: int) -> None:
    said = json.dumps(texts)[: -1 - left % (len(json.dumps(texts)) - 1)]
    found = [value for value, _, _ in values(said)]
    whole = texts[: len(found[0])] if found else []
    assert found == ([whole] if whole else [])
    whole_ones = [text for n, text in enumerate(texts) if said.startswith(json.dumps(texts[: n + 1])[:-1])]
    plain = not any(sign in text for text in texts for sign in '",')
    assert not plain or whole == whole_ones


@given(st.text(alphabet="[]{}\",:\\ \na1“”'"))
def test_nothing_of_the_kind_breaks_it(text: str) -> None:
    places = [place for _, begin, end in values(text) for place in (begin, end)]
    assert places == sorted(places)


def test_a_string_that_ends_nowhere_hides_nothing_else() -> None:
    found = values('{"a b, {"c: ["f", "g"], {"d": "e"}, {"h')
    assert [value for value, _, _ in found] == [["f", "g"], {"d": "e"}]


def test_deep_ones_end() -> None:
    assert len(list(values("[" * 100_000))) < 1000
    assert list(values("[" + '"a" b' * 50_000)) == []
