"""How well slots are found: marked sentences against what is found in them. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from classifiers.encoder.tokens import Words
from classifiers.model import Floats
from classifiers.slots import tags
from classifiers.slots.markup import Marked
from classifiers.slots.tags import Mark
from classifiers.training import statistics
from classifiers.training.tallies import counts, ratio

_SCALES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0)


def found(words: Words, logits: Floats, slots: Sequence[str]) -> tuple[Mark, ...]:
    """The slots of the likeliest tags."""
    return tuple(
        Mark(name=slots[run.slot], start=words.places[run.first][0], end=words.places[run.last][1])
        for run in tags.runs(logits)
    )


def measures(
    truths: Sequence[Sequence[Mark]],
    guesses: Sequence[Sequence[Mark]],
    *,
    slots: Sequence[str],
    labelled: Sequence[bool] | None = None,
) -> dict[str, Any]:
    """Precision, recall and F1 over whole slots (name, start and end), of all and of each, with 95 % intervals; whole:
    share of texts all right. slots: all that there are, also those that no text has. labelled: of each text whether its
    label is right, where that is asked of a whole one."""
    pairs = [(set(truth), set(guess)) for truth, guess in zip(truths, guesses, strict=True)]
    labelled = [True] * len(pairs) if labelled is None else labelled
    right = sum(truth == guess and label for (truth, guess), label in zip(pairs, labelled, strict=True))
    return {
        "rows": len(pairs),
        **_counts(pairs, None),
        "whole": ratio(right, len(pairs)),
        "whole_interval": statistics.wilson(right, len(pairs)),
        "slots": {name: _counts(pairs, name) for name in slots},
    }


def sharpness(logits: Sequence[Floats], truth: Sequence[Sequence[int]]) -> float:
    """The factor on logits under which the true tags are likeliest, of a few."""
    if not any(len(row) for row in truth):
        return 1.0
    rows = np.concatenate([one[: len(row)] for one, row in zip(logits, truth, strict=True)]).astype(np.float64)
    right = np.concatenate([np.asarray(row[: len(one)], np.intp) for one, row in zip(logits, truth, strict=True)])

    def loss(scale: float) -> float:
        scaled = scale * rows
        top = scaled.max(axis=1)
        total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((total - scaled[np.arange(len(right)), right]).mean())

    return min(_SCALES, key=loss)


def truth_of(marked: Marked, words: Words, slots: Sequence[str]) -> list[int]:
    """The tags that its marks give a sentence's words."""
    return tags.of_places(words.places, marked.marks, slots)


def _counts(pairs: Sequence[tuple[set[Mark], set[Mark]]], name: str | None) -> Mapping[str, Any]:
    both = guessed = true = 0
    for truth, guess in pairs:
        wanted, given = ({mark for mark in marks if name in {None, mark.name}} for marks in (truth, guess))
        both, guessed, true = both + len(wanted & given), guessed + len(given), true + len(wanted)
    return counts(both, guessed, true)
