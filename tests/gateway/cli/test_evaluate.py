import pytest
import typer

from gateway.cli import evaluate
from gateway.cli.evaluate import Bound


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


def test_a_name_that_was_left_empty_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="'=80%' names no figure"):
        evaluate.parse(["=80%"], [])


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


def test_a_figure_that_is_just_its_bound_holds_it() -> None:
    limits = evaluate.parse(["accuracy=0.9%"], ["ece=5.6%"])
    assert list(evaluate.failures(limits, {"accuracy": 0.009, "ece": 0.056})) == []


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
