"""A policy's own tests against verdicts: training accepts by it and loading repeats it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from classifiers.model.model import Model
from classifiers.policy import NONE, OTHER, Policy, PolicyTest
from classifiers.verdict import Abstention, Reading, Verdict


def passes(policy: Policy, test: PolicyTest, verdict: Verdict) -> bool:
    """Whether a verdict is what a test expects.

    Single-label: it names one of the expected labels; for `other` an unsure verdict, or one of text in another
    language, will do. Safety: every expected label holds; `none` expects a sure, clean verdict. Expected slots must be
    filled, in the text's words or as a value; a missing required slot fails no test.
    """
    if verdict.abstention in {Abstention.BROKEN, Abstention.LATE, Abstention.UNREAD} or not _filled(test, verdict):
        return False
    return not test.expect or _labelled(policy, test, verdict)


def _labelled(policy: Policy, test: PolicyTest, verdict: Verdict) -> bool:
    if policy.multi_label:
        wanted = set(test.expect) - {NONE, OTHER}
        if wanted:
            return wanted.issubset(verdict.labels)
        return not verdict.labels and verdict.abstention is None
    if verdict.abstention in {Abstention.UNSURE, Abstention.LANGUAGE} and not verdict.missing:
        return OTHER in test.expect
    return bool(set(test.expect).intersection(verdict.labels))


def asked(model: Model) -> list[PolicyTest]:
    """The tests that a model must pass: those under a system prompt only where it reads one."""
    return [test for test in model.policy.tests if model.reads_system or not test.system]


def failures(
    model: Model, classify: Callable[[Sequence[Reading]], Sequence[Verdict]], name: str, *, now: datetime | None
) -> list[str]:
    """A line for each test that fails. name: the model's name for `classify`. now: when the model was trained, to which
    dates are relative, so that an unchanged model passes on any day; None: the time of reading."""
    policy, tests = model.policy, asked(model)
    verdicts = classify([Reading(classifier=name, texts=(test.text,), system=test.system, now=now) for test in tests])
    return [
        f"{test.text!r}{f' (system: {test.system!r})' if test.system else ''} should be {_wanted(policy, test)}, "
        f"but is {_described(verdict)}"
        for test, verdict in zip(tests, verdicts, strict=True)
        if not passes(policy, test, verdict)
    ]


def _described(verdict: Verdict) -> str:
    named = ", ".join(verdict.labels) or ("clean" if verdict.abstention is None else "")
    doubt = f"{verdict.abstention} ({verdict.reason})" if verdict.abstention else ""
    slots = ", ".join(f"{slot.slot}: {slot.raw!r} ({slot.value})" for slot in verdict.slots)
    return " and ".join(part for part in (named, slots, doubt) if part) or "nothing"


def _wanted(policy: Policy, test: PolicyTest) -> str:
    labels = (" and " if policy.multi_label else " or ").join(test.expect)
    slots = ", ".join(f"{slot}: {words!r}" for slot, words in test.slots.items())
    return " with ".join(part for part in (labels, slots) if part)


def _filled(test: PolicyTest, verdict: Verdict) -> bool:
    """Whether each expected slot is filled, in the text's words or as a value."""
    ways = {
        (slot.slot, str(way).casefold())
        for slot in verdict.slots
        for way in (slot.raw, slot.value, f"{slot.value} {slot.currency}")
        if way is not None
    }
    return all((slot, words.casefold()) in ways for slot, words in test.slots.items())
