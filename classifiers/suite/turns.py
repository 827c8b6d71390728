"""A row split over the turns of a chat, or among small talk."""

import itertools
from collections.abc import Iterator

from classifiers.suite.case import Case, Sample

_TALK = (
    "Hi there!",
    "Hello, what can I do for you today?",
    "How is the weather on your side?",
    "I have a question, one moment please.",
)


def cases(sample: Sample) -> Iterator[Case]:
    """In two turns, in three, and whole between small talk (early or late), unless a policy's labels mean that."""
    for harmful, index, text in sample.rows():
        words = text.split()
        for parts in (2, 3):
            if len(words) >= 2 * parts:
                cuts = [round(len(words) * part / parts) for part in range(parts + 1)]
                split = tuple(" ".join(words[start:end]) for start, end in itertools.pairwise(cuts))
                yield Case(variant=f"split over {parts} turns", texts=split, harmful=harmful, base=index)
        if sample.policy.everyday:
            yield Case(variant="small talk before", texts=(*_TALK, text), harmful=harmful, base=index)
            yield Case(variant="small talk after", texts=(text, *_TALK), harmful=harmful, base=index)
