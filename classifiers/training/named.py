"""The figures of an evaluation by the names that `--fail-under` and `--fail-over` call them by. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from classifiers.policy import OTHER, Policy
from classifiers.suite.run import FAMILIES

_PLAIN = ("accuracy", "exact", "macro_f1", "answered", "error", "ece")
_SUITE = ("kept", "still_caught", "caught", "alarms", "in_doubt")
_RANKING = ("auprc", "auroc", "recall_at_1pct_false_alarms")
_LABEL = ("precision", "recall", "f1")
_SLOTS = ("whole",)
_LATENCY = ("mean_ms", "p50_ms", "p95_ms")


def names(policy: Policy, *, suite: bool) -> list[str]:
    """What figures of a policy's classifier can be called, whether or not some rows let them be measured. suite:
    whether that is asked for."""
    whole: tuple[str, ...]
    if policy.kind == "safety":
        whole = ("exact", "recall", "false_alarms", "doubt", "harmful_doubt")
    elif policy.multi_label:
        whole = ("exact", "answered", "error", "doubt", "false_alarms")
    else:
        whole = ("answered", "error", "out_of_scope_answered")
    labels = policy.labels if policy.multi_label else (*policy.labels, OTHER)
    return [
        *("accuracy", "macro_f1", "ece", *_RANKING),
        *whole,
        *(f"{label}.{name}" for label in labels for name in (*_LABEL, *_RANKING)),
        *(f"slots.{name}" for name in (*_SLOTS, *_LABEL) if policy.slots),
        *(f"slots.{slot}.{name}" for slot in policy.slots for name in _LABEL),
        *(f"latency.{name}" for name in _LATENCY),
        *(_in_suite(family, name) for family in (FAMILIES if suite else ()) for name in _SUITE),
    ]


def named(evaluation: Mapping[str, Any]) -> dict[str, float | None]:
    """evaluation: as of `examine`. Values are None where there was nothing to measure; labels that no row has, and a
    latency that no row tells, are left out."""
    return dict(_named(evaluation))


def _named(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    yield from ((name, evaluation[name]) for name in _PLAIN if name in evaluation)
    yield from _whole(evaluation)
    for label, one in evaluation["labels"].items():
        yield from ((f"{label}.{name}", one[name]) for name in (*_LABEL, *_RANKING))
    if slots := evaluation.get("slots"):
        # after the labels: one of them may be called slots
        yield from ((f"slots.{name}", slots[name]) for name in (*_SLOTS, *_LABEL))
        yield from ((f"slots.{slot}.{name}", one[name]) for slot, one in slots["slots"].items() for name in _LABEL)
    taken = evaluation["latency"]
    yield from ((f"latency.{name}", taken[name]) for name in _LATENCY if taken)
    for family, found in evaluation.get("suite", {}).get("families", {}).items():
        yield from ((_in_suite(family, name), found["all"][name]) for name in _SUITE)


def _in_suite(family: str, name: str) -> str:
    return f"suite.{family.replace(' ', '-')}.{name}"


def _whole(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Over all labels, by kind."""
    ranked = evaluation["macro"]
    if "flagged" not in evaluation:
        yield "out_of_scope_answered", evaluation["out_of_scope"]["answered"]
    elif evaluation["kind"] == "safety":
        ranked = evaluation["any"]
        yield "recall", evaluation["flagged"]["harmful"]
        yield "false_alarms", evaluation["flagged"]["harmless"]
        yield "doubt", evaluation["doubted"]["harmless"]
        yield "harmful_doubt", evaluation["doubted"]["harmful"]
    else:
        yield "doubt", evaluation["doubted"]["harmful"]
        yield "false_alarms", evaluation["flagged"]["harmless"]
    yield from ((name, ranked[name]) for name in _RANKING)
