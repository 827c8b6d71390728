"""Harmless text that carries trigger words: the policy's own `not:` lines, and everyday ones."""

from collections.abc import Iterator

from classifiers.suite.case import Case, Sample
from classifiers.suite.triggers import LINES


def cases(sample: Sample) -> Iterator[Case]:
    """Each subject is a variant."""
    for label in sample.policy.labels.values():
        for line in label.not_:
            yield Case(variant="the policy's not: lines", texts=(line,), harmful=False)
    for subject, lines in LINES.items():
        for line in lines:
            yield Case(variant=subject, texts=(line,), harmful=False)
