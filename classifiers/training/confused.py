"""Which labels held-out text takes for each other, and how unlikely it makes the truth: what a round is aimed at and
measured by. Pure."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.model import Floats
from classifiers.policy import NONE, OTHER, Policy
from classifiers.training import calibrate, crossfit, platt
from classifiers.training.fit.model import classes_of
from classifiers.training.progress import Silent
from classifiers.training.rows import Row, by_themselves

_SAFETY_STRENGTH = 3.0
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two labels (the second may be `other`, or `none` where several may hold) and how often one was taken for the
    other.

    first_texts, second_texts: some of the texts of each that were, for a teacher to see; never more than half of them,
    since what it has seen can no longer measure what it writes.
    """

    first: str
    second: str
    mistaken: int
    first_texts: tuple[str, ...] = ()
    second_texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Held-out text as a fit sees it that has not. labels: all of each text's; truths, said: the label of each that it
    got wrong, and what it took that for; loss: (n,) how unlikely each truth is, in nats."""

    texts: tuple[str, ...]
    labels: tuple[frozenset[str], ...]
    truths: tuple[str, ...]
    said: tuple[str, ...]
    loss: Floats

    @property
    def confuses(self) -> bool:
        """Whether any label was got wrong."""
        return self.truths != self.said

    @property
    def judged(self) -> frozenset[tuple[str, frozenset[str]]]:
        """Each text with its labels."""
        return frozenset(zip(self.texts, self.labels, strict=True))

    def measured(self, texts: Collection[str]) -> tuple[int, float, float]:
        """(rows, mean loss, accuracy) over those of these texts that are here."""
        chosen = [index for index, text in enumerate(self.texts) if text in texts]
        right = sum(self.truths[index] == self.said[index] for index in chosen)
        return len(chosen), float(self.loss[chosen].mean()) if chosen else 0.0, right / max(len(chosen), 1)


def look(policy: Policy, rows: Sequence[Row], vectors: Floats, seed: int) -> Seen:
    """Cross-fit. Rows with several labels are judged by the first that was got wrong, rows under system prompts not at
    all: vectors of texts tell nothing of these."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return (_any_of if policy.multi_label else _one_of)(policy, by_themselves(rows), vectors, seed)


def pairs(policy: Policy, seen: Seen, showable: Collection[str]) -> list[Pair]:
    """Every pair of labels that is confused, the most confused first. `other` is one only where the policy describes
    it: nobody else could say what to write.

    showable: texts of which a teacher may see some.
    """
    wrong: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, (truth, said) in enumerate(zip(seen.truths, seen.said, strict=True)):
        if truth != said and (policy.other is not None or OTHER not in {truth, said}):
            first, second = sorted((truth, said), key=lambda name: (name in {NONE, OTHER}, name))
            wrong[first, second].append(index)
    found = []
    for (first, second), indexes in wrong.items():
        fresh = [index for index in indexes if seen.texts[index] in showable]
        shown = sorted(fresh, key=lambda index: -float(seen.loss[index]))[: len(fresh) // 2]
        told = {name: [seen.texts[i] for i in shown if seen.truths[i] == name][:_SHOWN] for name in (first, second)}
        found.append(
            Pair(
                first=first,
                second=second,
                mistaken=len(indexes),
                first_texts=tuple(told[first]),
                second_texts=tuple(told[second]),
            )
        )
    return sorted(found, key=lambda pair: (-pair.mistaken, pair.first, pair.second))


def _one_of(policy: Policy, rows: Sequence[Row], vectors: Floats, seed: int) -> Seen:
    classes = classes_of(policy, rows)
    place = {name: index for index, name in enumerate(classes)}
    targets = np.array([place[row.labels[0]] for row in rows], np.int32)
    held = crossfit.one_of(
        rows,
        vectors,
        targets,
        weights=_weights(rows),
        count=len(classes),
        seed=seed,
        advance=Silent().advance,
        stable=True,
    )
    truth = targets[held.rows]
    sharpness, share = calibrate.nearest_share(held.logits, held.votes, truth)
    scores = held.logits + np.float32(share) * held.votes[sharpness]
    scaled = scores * np.float32(calibrate.temperature(scores, truth))
    top = scaled.max(axis=1)
    total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return Seen(
        texts=tuple(rows[index].text for index in held.rows),
        labels=tuple(frozenset(rows[index].labels) for index in held.rows),
        truths=tuple(classes[index] for index in truth),
        said=tuple(classes[index] for index in scores.argmax(axis=1)),
        loss=(total - scaled[np.arange(len(truth)), truth]).astype(np.float32),
    )


def _any_of(policy: Policy, rows: Sequence[Row], vectors: Floats, seed: int) -> Seen:
    classes = classes_of(policy, rows)
    holds = np.array([[label in row.labels for label in classes] for row in rows], bool)
    held = crossfit.any_of(
        rows,
        vectors,
        holds,
        weights=_weights(rows),
        strength=_SAFETY_STRENGTH,
        seed=seed,
        advance=Silent().advance,
        stable=True,
    )
    truth = holds[held.rows]
    fits = [platt.fit(held.logits[:, index], truth[:, index]) for index in range(len(classes))]
    scale, offset = (np.array(part, np.float32) for part in zip(*fits, strict=True))
    logits = held.logits * scale + offset
    named = logits > 0
    judged = [_first_wrong(classes, one, two) for one, two in zip(truth, named, strict=True)]
    return Seen(
        texts=tuple(rows[index].text for index in held.rows),
        labels=tuple(frozenset(rows[index].labels) for index in held.rows),
        truths=tuple(one for one, _ in judged),
        said=tuple(two for _, two in judged),
        loss=np.logaddexp(0, np.where(truth, -logits, logits)).sum(axis=1).astype(np.float32),
    )


def _first_wrong(classes: Sequence[str], truth: NDArray[np.bool_], named: NDArray[np.bool_]) -> tuple[str, str]:
    """(truth, said) of a row with any number of labels: a label missed, or else one that it has, against one too many
    or against none. Its truth is none only where it has no label."""
    missed = [name for name, true, said in zip(classes, truth, named, strict=True) if true and not said]
    extra = [name for name, true, said in zip(classes, truth, named, strict=True) if said and not true]
    right = next((name for name, true in zip(classes, truth, strict=True) if true), NONE)
    if missed or extra:
        return missed[0] if missed else right, extra[0] if extra else NONE
    return right, right


def _weights(rows: Sequence[Row]) -> Floats:
    return np.array([row.weight for row in rows], np.float32)
