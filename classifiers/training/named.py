"""The figures of an evaluation by the names that `--fail-under` and `--fail-over` call them by. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

_PLAIN = ("accuracy", "exact", "macro_f1", "answered", "error", "ece")
_SUITE = ("kept", "still_caught", "caught", "alarms", "in_doubt")
_RANKING = ("auprc", "auroc", "recall_at_1pct_false_alarms")


def named(evaluation: Mapping[str, Any]) -> dict[str, float | None]:
    """evaluation: as of `examine`. Values are None where there was nothing to measure."""
    return dict(_named(evaluation))


def _named(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    yield from ((name, evaluation[name]) for name in _PLAIN if name in evaluation)
    yield from _whole(evaluation)
    for label, one in evaluation["labels"].items():
        yield from ((f"{label}.{name}", one[name]) for name in ("precision", "recall", "f1", *_RANKING) if name in one)
    taken = (evaluation.get("latency") or {}).items()
    yield from ((f"latency.{name}", value) for name, value in taken if name.endswith("_ms"))
    for family, found in evaluation.get("suite", {}).get("families", {}).items():
        yield from ((f"suite.{family.replace(' ', '-')}.{name}", found["all"][name]) for name in _SUITE)


def _whole(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Over all labels, by kind."""
    if "flagged" in evaluation and evaluation["kind"] != "safety":
        yield "doubt", evaluation["doubted"]["harmful"]
        yield "false_alarms", evaluation["flagged"]["harmless"]
    elif "flagged" in evaluation:
        yield "recall", evaluation["flagged"]["harmful"]
        yield "false_alarms", evaluation["flagged"]["harmless"]
        yield "doubt", evaluation["doubted"]["harmless"]
        yield from ((name, evaluation["any"][name]) for name in _RANKING)
    else:
        yield "out_of_scope_answered", evaluation["out_of_scope"]["answered"]
