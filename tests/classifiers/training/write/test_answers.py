import json
from pathlib import Path

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from classifiers.training.write.answers import parse, parse_keyed, values

TABLES = yaml.safe_load((Path(__file__).parents[3] / "tables" / "writing.yaml").read_text(encoding="utf-8"))
KEYS = {"A": ("x",), "B": ("y",)}
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1)


def test_answers_are_parsed_with_distrust() -> None:
    assert {answer: parse(answer) for answer, _ in TABLES["answers"]} == dict(TABLES["answers"])
    assert parse('["a", "' + "x" * 2000 + '"]') == ["a"]
    assert parse("[" * 100_000) == []


def test_texts_under_keys_get_the_labels_of_their_key() -> None:
    found = {answer: parse_keyed(answer, KEYS, most=9) for answer, _ in TABLES["keyed_answers"]}
    assert {answer: {text: label for text, (label,) in texts} for answer, texts in found.items()} == dict(
        TABLES["keyed_answers"]
    )
    limited = parse_keyed('{"A": ["a", "b", "c"], "B": ["e"]}', KEYS, most=2)
    assert limited == [("a", ("x",)), ("b", ("x",)), ("e", ("y",))]
    # a key is known by its words, where it is clear which is meant
    keys = {"card arrival": ("x",), "Rückgabe": ("y",), "a-b": ("z",), "a_b": ("w",)}
    answer = '{"Card_Arrival": ["a"], "RU\u0308CKGABE": ["b"], "A B": ["c"], "a_b": ["d"]}'
    assert parse_keyed(answer, keys, most=2) == [("a", ("x",)), ("b", ("y",)), ("d", ("w",))]


@given(st.one_of(st.text(), st.text(alphabet="[]{}\",:\\ \na1“”'")))
def test_no_answer_breaks_the_parser(answer: str) -> None:
    assert all(text and len(text) <= 1000 for text in parse(answer))
    assert isinstance(parse_keyed(answer, KEYS, most=9), list)
    places = [place for _, begin, end in values(answer) for place in (begin, end)]
    assert places == sorted(places)


@given(TEXTS)
def test_what_is_json_is_read_as_it_is(texts: list[str]) -> None:
    answer = json.dumps(texts)
    assert list(values(f"As asked: {answer}. [")) == [(texts, 10, 10 + len(answer))]


@given(TEXTS, st.integers(min_value=1))
@example(texts=["[0,"], left=1)
def test_of_a_list_that_is_cut_off_its_whole_strings_are_read(texts: list[str], left: int) -> None:
    answer = json.dumps(texts)[: -1 - left % (len(json.dumps(texts)) - 1)]
    found = [value for value, _, _ in values(answer)]
    whole = texts[: len(found[0])] if found else []
    assert found == ([whole] if whole else [])
    whole_ones = [text for n, text in enumerate(texts) if answer.startswith(json.dumps(texts[: n + 1])[:-1])]
    plain = not any(sign in text for text in texts for sign in "\",'")
    assert not plain or whole == whole_ones


def test_a_string_that_ends_nowhere_hides_nothing_else_and_deep_ones_end() -> None:
    found = values('{"a b, {"c: ["f", "g"], {"d": "e"}, {"h')
    assert [value for value, _, _ in found] == [["f", "g"], {"d": "e"}]
    assert len(list(values("[" * 100_000))) < 1000
    assert list(values("[" + '"a" b' * 50_000)) == []
