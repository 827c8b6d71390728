"""`offramp eval`: its bounds, its lines and the files that it writes."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from classifiers.evaluation.evaluate import evaluate as evaluate_verdicts
from classifiers.policy import Policy
from classifiers.verdict import Verdict
from gateway.cli.evaluate import Bound, _shown, failures, parse_bounds

KNOWN = ["accuracy", "macro_f1", "ece", "a=b.recall", "latency.p50_ms", "suite.length.kept", "false_alarms"]


def test_a_bound_is_a_name_and_a_number_or_a_percentage() -> None:
    assert parse_bounds(["0.5", "macro_f1=80%", "a=b.recall=1", "suite.length.kept=105%"], KNOWN, over=False) == [
        Bound(name="accuracy", limit=0.5),
        Bound(name="macro_f1", limit=0.8),
        Bound(name="a=b.recall", limit=1.0),
        Bound(name="suite.length.kept", limit=1.05),
    ]
    bounds = parse_bounds(["latency.p50_ms=3", "ece=100%"], KNOWN, over=True)
    assert [bound.limit for bound in bounds] == [3, 1]


@pytest.mark.parametrize(
    ("texts", "over", "why"),
    [
        (("", "accuracy", "accuracy=high", "=%", "=0.5"), False, "is not NAME=x"),
        (("accuracy=nan", "nan", "ece=inf", "latency.p50_ms=nan%"), True, "is not NAME=x"),
        (("ece=5", "false_alarms=1", "accuracy=101%", "accuracy=-0.1"), True, "is a share of 0 to 1"),
        (("macro_f=1",), False, 'did you mean "macro_f1"'),
    ],
)
def test_what_is_no_bound_is_refused(texts: Sequence[str], over: bool, why: str) -> None:
    for text in texts:
        with pytest.raises(typer.BadParameter, match=why):
            parse_bounds([text], KNOWN, over=over)


def test_each_bound_that_does_not_hold_has_a_line() -> None:
    over = [Bound(name="a", limit=limit, over=True) for limit in (0.5, 0.4)]
    under = [Bound(name="a", limit=limit) for limit in (0.5, 0.51)]
    absent = [Bound(name=name, limit=0) for name in ("none", "absent.recall")]
    assert list(failures([*under, *over, *absent], {"a": 0.5, "none": None})) == [
        "a is 0.5, under 0.51",
        "a is 0.5, over 0.4",
        "none could not be measured on these rows",
        "absent.recall could not be measured on these rows",
    ]


def test_an_evaluation_is_shown_with_its_cautions_and_errors() -> None:
    labels = {"a": {"means": "asks for a"}, "b": {"means": "asks for b"}}
    policy = Policy.model_validate({"version": 1, "name": "p", "kind": "intent", "about": "x", "labels": labels})
    verdict = Verdict(classifier="p", version="", labels=("b",), confidence=1.0, scores={"b": 1.0})
    measured: dict[str, Any] = {**evaluate_verdicts(policy, ["one"], [("a",)], [verdict]), "latency": None}
    measured["errors"][0]["doubt"] = True
    seen = {"rows": 1, "accuracy": 1.0, "texts": ["\x1b[31mseen"]}
    shown = list(_shown({**measured, "trained_on": seen, "repeated": 2}))
    for line in (
        "1 row:",
        "1 more row was trained on and counts in no figure (100.0% right):",
        r"  trained on: \x1b[31mseen",
        "2 rows repeat the text of another",
        "  wrong: a, predicted b at 1.00 (unsure): one",
    ):
        assert line in shown
    assert any(str(line).startswith("accuracy: 0.0 %") for line in shown)


@pytest.mark.parametrize(
    "flags",
    [
        ["--html", "rows.html"],
        ["--output", "rows.json"],
        ["--output", "link.json"],
        ["--html", "page.json"],
        ["--html", "."],
        ["--html", "none/page.html"],
    ],
)
def test_eval_refuses_before_it_loads_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], offramp: Callable[..., Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    data, link = tmp_path / "rows.json", tmp_path / "link.json"
    data.write_text('{"text": "hi", "label": "other"}\n')
    link.symlink_to(data)
    before = data.read_bytes()
    # there are no models here: that would be the next problem
    done = offramp("eval", "bank", "rows.json", *flags)
    assert (done.exit_code, data.read_bytes()) == (2, before)
    assert sorted(tmp_path.iterdir()) == [link, data]


def test_a_page_names_files_whose_names_are_no_text(tmp_path: Path, offramp: Callable[..., Any]) -> None:
    policy = tmp_path / "one.yaml"
    policy.write_text("version: 1\nname: one\nkind: safety\nabout: x\nlabels: {contact: {means: x, patterns: email}}\n")
    rows = tmp_path / os.fsdecode(b"r\xe9ponses.jsonl")
    rows.write_text('{"text": "write to ada@example.com", "label": "contact"}\n')
    models, page = tmp_path / "models", tmp_path / "page.html"
    assert offramp("train", policy, "--models", models).exit_code == 0
    done = offramp("eval", "one", rows, "--models", models, "--html", page)
    assert done.exit_code == 0, done.output
    assert "r\ufffdponses.jsonl" in page.read_text("utf-8")
