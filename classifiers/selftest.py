"""A policy's own tests against verdicts. Pure; training accepts by it and loading repeats it."""

from collections.abc import Sequence

from classifiers.policy import NONE, OTHER, Policy, PolicyTest
from classifiers.verdict import Abstention, Verdict


def passes(policy: Policy, test: PolicyTest, verdict: Verdict) -> bool:
    """Whether a verdict is what a test expects.

    Single-label: it names one of the labels expected; `other` is met as well by a verdict that is unsure,
    since neither is acted on. Safety: every label expected holds; `none` asks for a clean verdict that is sure.
    """
    if verdict.abstention in {Abstention.BROKEN, Abstention.UNREAD}:
        return False
    if policy.multi_label:
        wanted = set(test.expect) - {NONE, OTHER}
        if wanted:
            return wanted.issubset(verdict.labels)
        return not verdict.labels and verdict.abstention is None
    if verdict.abstention is Abstention.UNSURE:
        return OTHER in test.expect
    return bool(set(test.expect).intersection(verdict.labels))


def failures(policy: Policy, verdicts: Sequence[Verdict]) -> list[str]:
    """One line for each of the policy's tests that fails; `verdicts` in the order of `policy.tests`."""
    return [
        f"{test.text!r} should be {' or '.join(test.expect)}, but is {_said(verdict)}"
        for test, verdict in zip(policy.tests, verdicts, strict=True)
        if not passes(policy, test, verdict)
    ]


def _said(verdict: Verdict) -> str:
    named = ", ".join(verdict.labels) or ("clean" if verdict.abstention is None else "")
    doubt = f"{verdict.abstention} ({verdict.reason})" if verdict.abstention else ""
    return " and ".join(part for part in (named, doubt) if part)
