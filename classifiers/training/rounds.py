"""Error-driven rounds: what held-out text shows to be confused gets sentences that tell it apart, until that gains
nothing.

A teacher is shown some of what was mistaken, but no row of the user's own: those stay here.
After each round the same held-out rows are measured again, on the same folds, without those that it was shown.
A round that does not lower their loss is left out, and is the last. Sentences of a round teach and are not measured on:
they were written to be hard, and no traffic is like that.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from classifiers.errors import TeacherError
from classifiers.policy import Policy
from classifiers.training import confused
from classifiers.training.confused import Pair
from classifiers.training.confusion import shortened
from classifiers.training.progress import Progress
from classifiers.training.rows import REAL, Row
from classifiers.training.text import Text
from classifiers.training.write.contrast import contrast_asks
from classifiers.training.write.teacher import Approve, Author

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
    pairs: tuple[Pair, ...]
    sentences: dict[str, int]
    before: Measure
    after: Measure
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """text: with the sentences of the rounds that were kept; ended: why there was no further one."""

    text: Text
    rounds: tuple[Round, ...] = ()
    ended: str = ""

    def told(self) -> dict[str, Any]:
        """For the report."""
        return {"rounds": [asdict(_shortened(one)) for one in self.rounds], "rounds_ended": self.ended}


def hold(
    policy: Policy,
    written: Sequence[Row],
    text: Text,
    authors: Sequence[Author],
    *,
    ready: Callable[[Sequence[Row]], Text],
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
    seen = confused.look(policy, text.rows, text.vectors, seed)
    measurable = set(seen.texts)
    for number in range(1, most + 1):
        own = {row.text for row in text.rows if row.source in REAL}
        pairs = confused.pairs(policy, seen, measurable - own)
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
        after = confused.look(policy, tried.rows, tried.vectors, seed)
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
    pairs: Sequence[Pair],
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
    pairs: Sequence[Pair],
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
