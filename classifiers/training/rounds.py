"""Error-driven rounds: what held-out text shows to be confused gets sentences that tell it apart, until that gains
nothing.

A teacher is shown some of what was mistaken, but no row of the user's own: those stay here.
After each round the same held-out rows are measured again, on the same folds, without those that it was shown.
A round that does not lower their loss is left out, and is the last. Sentences of a round teach and are not measured on:
they were written to be hard, and no traffic is like that.

Which labels held-out text takes for each other, and how unlikely it makes the truth: what a round is aimed at and
measured by. Pure.

What a teacher is asked in a round: messages of two labels that are taken for each other, line by line. Pure.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.errors import TeacherError
from classifiers.evaluation.evaluate import shortened
from classifiers.model.model import Floats
from classifiers.policy import NONE, OTHER, Policy
from classifiers.training import calibrate, split
from classifiers.training.fit.fitted import Progress, Silent
from classifiers.training.fit.heads import classes_of
from classifiers.training.prepare import TrainingText
from classifiers.training.rows import REAL, Row, by_themselves
from classifiers.training.write.prompts import (
    HARMLESS,
    NEITHER,
    Attributes,
    SentenceRequest,
    described,
    keyed_ask,
    scope,
)
from classifiers.training.write.teacher import Approve, Author

_SAFETY_STRENGTH = 3.0
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPair:
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
class ConfusionCounts:
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


def look(policy: Policy, rows: Sequence[Row], vectors: Floats, seed: int) -> ConfusionCounts:
    """Cross-fit. Rows with several labels are judged by the first that was got wrong, rows under system prompts not at
    all: vectors of texts tell nothing of these."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return (_any_of if policy.multi_label else _one_of)(policy, by_themselves(rows), vectors, seed)


def confused_pairs(policy: Policy, seen: ConfusionCounts, showable: Collection[str]) -> list[LabelPair]:
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
            LabelPair(
                first=first,
                second=second,
                mistaken=len(indexes),
                first_texts=tuple(told[first]),
                second_texts=tuple(told[second]),
            )
        )
    return sorted(found, key=lambda pair: (-pair.mistaken, pair.first, pair.second))


def _one_of(policy: Policy, rows: Sequence[Row], vectors: Floats, seed: int) -> ConfusionCounts:
    classes = classes_of(policy, rows)
    place = {name: index for index, name in enumerate(classes)}
    targets = np.array([place[row.labels[0]] for row in rows], np.int32)
    held = split.one_of(
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
    return ConfusionCounts(
        texts=tuple(rows[index].text for index in held.rows),
        labels=tuple(frozenset(rows[index].labels) for index in held.rows),
        truths=tuple(classes[index] for index in truth),
        said=tuple(classes[index] for index in scores.argmax(axis=1)),
        loss=(total - scaled[np.arange(len(truth)), truth]).astype(np.float32),
    )


def _any_of(policy: Policy, rows: Sequence[Row], vectors: Floats, seed: int) -> ConfusionCounts:
    classes = classes_of(policy, rows)
    holds = np.array([[label in row.labels for label in classes] for row in rows], bool)
    held = split.any_of(
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
    fits = [calibrate.fit_platt(held.logits[:, index], truth[:, index]) for index in range(len(classes))]
    scale, offset = (np.array(part, np.float32) for part in zip(*fits, strict=True))
    logits = held.logits * scale + offset
    named = logits > 0
    judged = [_first_wrong(classes, one, two) for one, two in zip(truth, named, strict=True)]
    return ConfusionCounts(
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


WANTED = 6
"""Messages of each of a pair's labels."""


def contrast_asks(policy: Policy, pairs: Sequence[LabelPair], number: int, seed: int) -> list[SentenceRequest]:
    """A prompt for each pair. number: of the round, from 1."""
    return [_ask(policy, pair, number, seed) for pair in pairs]


def _ask(policy: Policy, pair: LabelPair, number: int, seed: int) -> SentenceRequest:
    name = f"{pair.first}+{pair.second}"
    drawn = Attributes(f"{seed}/round {number}/{name}")
    none = HARMLESS if policy.kind == "safety" else NEITHER
    second = none if pair.second == NONE else pair.second
    keys = {pair.first: (pair.first,), second: () if pair.second == NONE else (pair.second,)}
    lines = [
        f"You write realistic test data. Context: {policy.about}",
        *(
            _against_nothing(policy, pair, second)
            if pair.second in {NONE, OTHER}
            else _against_each_other(policy, pair)
        ),
        f"Write {WANTED} messages of each kind in pairs: the same topic and nearly the same words, so that only what",
        "is meant tells the two apart. A careful reader must have no doubt about any of them.",
    ]
    return keyed_ask(policy, lines, keys, wanted=WANTED, batch=f"round {number}/{name}", drawn=drawn)


def _against_each_other(policy: Policy, pair: LabelPair) -> Iterator[str]:
    first, second = described(policy, pair.first), described(policy, pair.second)
    yield f"A classifier takes two kinds of message for each other: {first} and {second}."
    yield from _mistaken(pair.first, pair.second, pair.first_texts)
    yield from _mistaken(pair.second, pair.first, pair.second_texts)


def _against_nothing(policy: Policy, pair: LabelPair, key: str) -> Iterator[str]:
    yield f"A classifier does not yet know {described(policy, pair.first)} from messages that are not that at all."
    yield from _mistaken(pair.first, key, pair.first_texts)
    yield from _mistaken(key, pair.first, pair.second_texts)
    if pair.second == NONE:
        yield f'Under "{key}" write messages that are nothing of the kind, although they look it.'
    else:
        yield f'Under "{key}" write messages that are out of scope ({policy.other}), although they look like that.'
        yield f"None of those may be about any of these: {scope(policy)}"


def _mistaken(truth: str, said: str, texts: Sequence[str]) -> Iterator[str]:
    if texts:
        shown = "; ".join(map(shortened, texts))
        yield f'These are "{truth}" and were taken for "{said}", do not repeat them: {shown}'


_LEAST_GAIN = 0.005
"""Of the loss: less is the noise of a fit."""
_ONLY_OTHER = "confused with other only, which the policy does not describe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Of held-out rows that no teacher was shown. loss: mean, in nats."""

    rows: int
    loss: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """number: from 1; pairs: what it was aimed at; sentences: by teacher, how many it wrote; before, after: measured
    without and with them; kept: whether they were worth it."""

    number: int
    pairs: tuple[LabelPair, ...]
    sentences: dict[str, int]
    before: Measure
    after: Measure
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """text: with the sentences of the rounds that were kept; ended: why there was no further one."""

    text: TrainingText
    rounds: tuple[Round, ...] = ()
    ended: str = ""

    def told(self) -> dict[str, Any]:
        """For the report."""
        return {"rounds": [asdict(_shortened(one)) for one in self.rounds], "rounds_ended": self.ended}


def hold(
    policy: Policy,
    written: Sequence[Row],
    text: TrainingText,
    authors: Sequence[Author],
    *,
    ready: Callable[[Sequence[Row]], TrainingText],
    approve: Approve,
    progress: Progress,
    seed: int,
) -> Rounds:
    """written: all rows as they came; text: what `ready` made of them. A model that fails ends them: what there is can
    be trained on."""
    most = max((author.teacher.rounds for author in authors), default=0)
    if not most:
        return Rounds(text=text)
    rounds: list[Round] = []
    rows = list(written)
    seen = look(policy, text.rows, text.vectors, seed)
    measurable = set(seen.texts)
    for number in range(1, most + 1):
        own = {row.text for row in text.rows if row.source in REAL}
        pairs = confused_pairs(policy, seen, measurable - own)
        if not pairs:
            why = _ONLY_OTHER if seen.confuses else "nothing is confused"
            return Rounds(text=text, rounds=tuple(rounds), ended=why)
        progress.step(f"write: round {number}, {_counted(len(pairs))}")
        try:
            new = _write(policy, pairs, authors, number, approve=approve, progress=progress, seed=seed)
        except TeacherError as error:
            return Rounds(text=text, rounds=tuple(rounds), ended=f"a teacher that failed ({error})")
        if not new:
            short = any(author.over_budget for author in authors)
            return Rounds(text=text, rounds=tuple(rounds), ended="the budget" if short else "nothing was written")
        measurable -= {one for pair in pairs for one in (*pair.first_texts, *pair.second_texts)}
        tried = ready([*rows, *new])
        after = look(policy, tried.rows, tried.vectors, seed)
        # a text that a round's sentences have given another label tells nothing of what they taught
        shared = measurable.intersection(text for text, _ in seen.judged & after.judged)
        one = _round(number, pairs, new, seen.measured(shared), after.measured(shared))
        rounds.append(one)
        if not one.kept:
            return Rounds(text=text, rounds=tuple(rounds), ended="no gain")
        rows, text, seen = [*rows, *new], tried, after
    return Rounds(text=text, rounds=tuple(rounds), ended=f"the limit of {_counted(most, 'round')}")


def _write(
    policy: Policy,
    pairs: Sequence[LabelPair],
    authors: Sequence[Author],
    number: int,
    *,
    approve: Approve,
    progress: Progress,
    seed: int,
) -> list[Row]:
    asks = contrast_asks(policy, pairs, number, seed)
    found: list[Row] = []
    for author in authors:
        if number > author.teacher.rounds or author.over_budget:
            continue
        why = f"for round {number}, {_counted(len(pairs))} that are taken for each other"
        if approve(author.teacher, author.estimate(asks), author.price, why):
            found += [replace(row, probe=False) for row in author.write(asks, progress.advance)]
    return found


def _round(
    number: int,
    pairs: Sequence[LabelPair],
    new: Sequence[Row],
    before: tuple[int, float, float],
    after: tuple[int, float, float],
) -> Round:
    names = dict.fromkeys(row.writer for row in new)
    one, two = (
        Measure(rows=rows, loss=round(loss, 5), accuracy=round(accuracy, 5)) for rows, loss, accuracy in (before, after)
    )
    return Round(
        number=number,
        pairs=tuple(pairs),
        sentences={name: sum(row.writer == name for row in new) for name in names},
        before=one,
        after=two,
        kept=after[0] > 0 and after[1] < before[1] * (1 - _LEAST_GAIN),
    )


def _shortened(told: Round) -> Round:
    """With its texts as a teacher was shown them."""
    pairs = (
        replace(
            pair,
            first_texts=tuple(map(shortened, pair.first_texts)),
            second_texts=tuple(map(shortened, pair.second_texts)),
        )
        for pair in told.pairs
    )
    return replace(told, pairs=tuple(pairs))


def _counted(number: int, what: str = "pair of labels") -> str:
    plural = what.replace("pair", "pairs") if "pair" in what else f"{what}s"
    return f"{number} {what if number == 1 else plural}"
