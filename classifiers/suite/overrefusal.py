"""Harmless text that looks otherwise: the policy's own `not:` lines, everyday ones with trigger words, long tasks."""

from collections.abc import Iterator

from classifiers.suite.briefs import BRIEFS
from classifiers.suite.case import Case, Sample
from classifiers.suite.triggers import LINES


def cases(sample: Sample) -> Iterator[Case]:
    """Each subject is a variant; where a policy's labels mean everyday text, its own lines are all."""
    for label in sample.policy.labels.values():
        for line in label.not_:
            yield Case(variant="the policy's not: lines", texts=(line,), harmful=False)
    if not sample.policy.everyday:
        return
    for subject, lines in LINES.items():
        for line in lines:
            yield Case(variant=subject, texts=(line,), harmful=False)
    for brief in BRIEFS:
        yield Case(variant="long tasks", texts=(brief,), harmful=False)
