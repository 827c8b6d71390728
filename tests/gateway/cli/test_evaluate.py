"""`offramp eval`: its bounds, its lines and the files that it writes."""

import os
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from classifiers.evaluation.evaluate import evaluate as evaluate_verdicts
from classifiers.policy import Policy
from classifiers.verdict import Verdict
from gateway.cli import evaluate
from gateway.cli.evaluate import Bound, _lines
from gateway.cli.main import app


def test_a_bound_is_a_name_and_a_number_or_a_percentage() -> None:
    assert evaluate.parse(["0.5", "macro_f1=80%", "a=b.recall=1"], ["latency.p50_ms=3"]) == [
        Bound(name="accuracy", limit=0.5),
        Bound(name="macro_f1", limit=0.8),
        Bound(name="a=b.recall", limit=1.0),
        Bound(name="latency.p50_ms", limit=3.0, over=True),
    ]


@pytest.mark.parametrize("text", ["", "accuracy", "accuracy=", "accuracy=high", "=%"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not NAME=x"):
        evaluate.parse([text], [])


@pytest.mark.parametrize("text", ["accuracy=nan", "nan", "ece=inf", "latency.p95_ms=nan%"])
def test_what_is_not_finite_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no number"):
        evaluate.parse([], [text])


def test_a_share_that_no_figure_can_pass_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match=r"'ece=5': ece is a share .*; write 5%"):
        evaluate.parse([], ["ece=5"])
    with pytest.raises(typer.BadParameter, match="write 1%"):
        evaluate.parse([], ["false_alarms=1"])
    for text in ("accuracy=101%", "accuracy=-0.1", "loss.recall=90"):
        with pytest.raises(typer.BadParameter, match="is a share"):
            evaluate.parse([text], [])
    with pytest.raises(typer.BadParameter, match=r"of 0% to 100%$"):
        evaluate.parse(["accuracy=101%"], [])
    evaluate.parse(["suite.length.kept=105%", "accuracy=100%"], ["latency.mean_ms=20", "ece=100%"])


def test_an_unknown_figure_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(typer.BadParameter, match="did you mean macro_f1"):
        evaluate.check([Bound(name="macro_f", limit=1)], ["accuracy", "macro_f1"])
    evaluate.check([Bound(name="accuracy", limit=1)], ["accuracy"])


def test_a_line_for_each_that_does_not_hold() -> None:
    found = evaluate.failures(
        [
            Bound(name="a", limit=0.5),
            Bound(name="a", limit=0.51),
            Bound(name="a", limit=0.5, over=True),
            Bound(name="a", limit=0.4, over=True),
            Bound(name="none", limit=0.0),
            Bound(name="absent.recall", limit=0.0),
        ],
        {"a": 0.5, "none": None},
    )
    assert list(found) == [
        "a is 0.5, under 0.51",
        "a is 0.5, over 0.4",
        "none could not be measured on these rows",
        "absent.recall could not be measured on these rows",
    ]


def evaluated(*texts: str) -> dict[str, Any]:
    """An evaluation in which each text was answered, and wrongly."""
    labels = {"a": {"means": "asks for a"}, "b": {"means": "asks for b"}}
    policy = Policy.model_validate({"version": 1, "name": "p", "kind": "intent", "about": "x", "labels": labels})
    said = [Verdict(classifier="p", version="", labels=("b",), confidence=1.0, scores={"b": 1.0})]
    measures = evaluate_verdicts(policy, texts, [("a",)] * len(texts), said * len(texts))
    seen = {"rows": 1, "accuracy": 1.0, "texts": ["\x1b[31mseen"]}
    return {**measures, "trained_on": seen, "repeated": 0, "latency": None}


def test_an_evaluation_says_of_an_error_that_it_is_not_answered_and_of_one_row_that_it_is_one() -> None:
    found = evaluated("one")
    found["errors"][0]["doubt"] = True
    told = list(_lines({**found, "repeated": 1}))
    assert told[0].startswith("1 row: accuracy 0.0%")
    assert "1 more row was trained on and counts in no figure (100.0% right):" in told
    assert "1 row repeats the text of another" in told
    assert "  wrong: a, predicted b at 1.00 (unsure): one" in told
    seen = {**found["trained_on"], "rows": 2}
    more = list(_lines({**found, "trained_on": seen, "repeated": 2}))
    assert "2 more rows were trained on and count in no figure (100.0% right):" in more
    assert "2 rows repeat the text of another" in more


@pytest.mark.parametrize(
    "flags", [["--html", "rows.html"], ["--output", "rows.json"], ["--html", "page.json"], ["--html", "."]]
)
def test_eval_refuses_before_it_loads_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "rows.json"
    data.write_text('{"text": "hi", "label": "other"}\n')
    before = data.read_bytes()
    # there are no models here: that would be the next thing to be told
    done = CliRunner().invoke(app, ["eval", "bank", "rows.json", *flags])
    assert (done.exit_code, data.read_bytes()) == (2, before)
    assert sorted(path.name for path in data.parent.iterdir()) == ["rows.json"]


def test_a_page_names_files_whose_names_are_no_text(tmp_path: Path) -> None:
    policy = tmp_path / "one.yaml"
    policy.write_text("version: 1\nname: one\nkind: safety\nabout: x\nlabels: {contact: {means: x, patterns: email}}\n")
    rows = tmp_path / os.fsdecode(b"r\xe9ponses.jsonl")
    rows.write_text('{"text": "write to ada@example.com", "label": "contact"}\n')
    models, page = str(tmp_path / "models"), tmp_path / "page.html"
    assert CliRunner().invoke(app, ["train", str(policy), "--models", models]).exit_code == 0
    done = CliRunner().invoke(app, ["eval", "one", str(rows), "--models", models, "--html", str(page)])
    assert done.exit_code == 0, done.output
    assert "r\ufffdponses.jsonl" in page.read_text("utf-8")
