"""Text on the terminal stands as it is, in lines and in tables."""

import io
import json
import sys
from typing import Any

import pytest
from rich.table import Table

from classifiers.evaluation.evaluate import evaluate
from classifiers.policy import Policy
from classifiers.verdict import Verdict
from gateway.cli.evaluate import _lines
from gateway.cli.output import print_json, quoted, stderr, stdout


@pytest.mark.parametrize("text", ["prices [/all]", "x [urgent]", "[red]red", ":tada:"])
def test_labels_and_messages_are_no_mark_up(capsys: pytest.CaptureFixture[str], text: str) -> None:
    table = Table("label", title=text)
    table.add_row(text)
    for console in (stdout(), stderr()):
        console.print(table)
        console.print(text)
    told = capsys.readouterr()
    assert told.out.count(text) == told.err.count(text) == 3


@pytest.mark.parametrize(
    ("text", "encoding", "written"),
    [
        ("größer 😀", "utf-8", "größer 😀"),
        ("größer", "latin-1", "größer"),
        ("größer 😀", "latin-1", r"gr\u00f6\u00dfer \ud83d\ude00"),
        ("größer", "ascii", r"gr\u00f6\u00dfer"),
        ("caf\udce9", "utf-8", r"caf\udce9"),
    ],
)
@pytest.mark.parametrize("errors", ["strict", "backslashreplace"])
def test_json_is_json_in_any_encoding(
    text: str, encoding: str, written: str, errors: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding, errors))
    print_json(text)
    assert out.getvalue().decode(encoding) == f'"{written}"\n'
    assert json.loads(out.getvalue().decode(encoding)) == text


def test_text_of_others_cannot_steer_the_terminal() -> None:
    assert quoted("a\x1b[2Jb\nc\x9b\u202ed\u2028\U000e0041") == r"a\x1b[2Jb\nc\x9b\u202ed\u2028\U000e0041"
    assert quoted("größer, 東京 😀 [red] \\") == "größer, 東京 😀 [red] \\"


def evaluated(*texts: str) -> dict[str, Any]:
    """An evaluation in which each text was answered, and wrongly."""
    labels = {"a": {"means": "asks for a"}, "b": {"means": "asks for b"}}
    policy = Policy.model_validate({"version": 1, "name": "p", "kind": "intent", "about": "x", "labels": labels})
    said = [Verdict(classifier="p", version="", labels=("b",), confidence=1.0, scores={"b": 1.0})]
    measures = evaluate(policy, texts, [("a",)] * len(texts), said * len(texts))
    seen = {"rows": 1, "accuracy": 1.0, "texts": ["\x1b[31mseen"]}
    return {**measures, "trained_on": seen, "repeated": 0, "latency": None}


def test_an_evaluation_quotes_texts_so() -> None:
    told = list(_lines(evaluated("\x1b[31mwrong\nline")))
    assert r"  trained on: \x1b[31mseen" in told
    assert r"  wrong: a, said b at 1.00: \x1b[31mwrong\nline" in told


def test_an_evaluation_says_of_an_error_that_it_is_not_answered_and_of_one_row_that_it_is_one() -> None:
    found = evaluated("one")
    found["errors"][0]["doubt"] = True
    told = list(_lines({**found, "repeated": 1}))
    assert told[0].startswith("1 row: accuracy 0.0%")
    assert "1 more row was trained on and counts in no figure (100.0% right):" in told
    assert "1 row repeats the text of another" in told
    assert "  wrong: a, said b at 1.00 (unsure): one" in told
    seen = {**found["trained_on"], "rows": 2}
    more = list(_lines({**found, "trained_on": seen, "repeated": 2}))
    assert "2 more rows were trained on and count in no figure (100.0% right):" in more
    assert "2 rows repeat the text of another" in more


def test_what_was_measured_on_nothing_has_no_interval() -> None:
    told = list(_lines(evaluated()))
    assert told[0] == "0 rows: accuracy –"
    assert "answered –, of which – wrong" in told
    first, *_ = _lines(evaluated("one"))
    assert first == "1 row: accuracy 0.0% (95 %: 0.0% to 79.3%)"
