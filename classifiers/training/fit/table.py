"""A table of tokens and pairs of neighbours, and what it says of rows that it has not seen.

It errs apart from any encoder: it settles texts in front of one (`first`), and counts beside it (`blend`).
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from classifiers import cascade
from classifiers.encoder.ngrams import FAR, NGrams, vectors_of
from classifiers.encoder.session import Encoder
from classifiers.heads.linear import probabilities as squash
from classifiers.model import Calibration, Floats, Windowing
from classifiers.policy import Policy
from classifiers.training import calibrate
from classifiers.training.fit import ngrams
from classifiers.training.fit.linear import Ints
from classifiers.training.fit.model import classes_of
from classifiers.training.measured import answerable, enough, is_real
from classifiers.training.rows import Row
from classifiers.training.split import folds
from classifiers.training.windows import parts

ENOUGH_A_CLASS = 20
"""Users' rows for each class on average, from which a table counts beside an encoder. With fewer there is no gain:
Banking77 with 10 rows a label 87.2 % with it and without."""

UNKNOWN = 0.02
"""As a distance from what is known (a window with a token that is not lies at 0.2): of a text of several windows,
under a third may have one."""

_FOLDS = 3

Ids = Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a table is fitted on. texts: (rows,) ids of each text as one window; windows: (rows,) of each those that it
    is judged by, `specials` ids of each around it; targets, weights: (rows,) classes and weights; private: (rows,)
    whether a row is a call's, whose text is not kept."""

    classes: tuple[str, ...]
    texts: Sequence[Ids]
    windows: Sequence[Sequence[Ids]]
    specials: int
    targets: Ints
    weights: Floats
    private: NDArray[np.bool_]
    seed: int

    @classmethod
    def of(cls, policy: Policy, rows: Sequence[Row], encoder: Encoder, seed: int) -> "Lesson":
        """rows: of one label each."""
        classes = classes_of(policy, rows)
        cut = [parts(encoder, row.text) for row in rows]
        overlap = min(Windowing().overlap, encoder.room(Windowing().tokens) - 1)
        wholes = ([*one[0], *chain.from_iterable(window[overlap:] for window in one[1:])] for one in cut)
        return cls(
            classes=classes,
            # as arrays: of long texts lists would take ten times as much room
            texts=[array("i", encoder.surround(whole)) for whole in wholes],
            windows=[[array("i", encoder.surround(window)) for window in one] for one in cut],
            specials=encoder.specials,
            targets=np.array([classes.index(row.labels[0]) for row in rows], np.int32),
            weights=np.array([row.weight for row in rows], np.float32),
            private=np.array([bool(row.digest) for row in rows]),
            seed=seed,
        )

    def fit(self, chosen: NDArray[np.intp]) -> NGrams:
        """The table of these rows, by index."""
        return ngrams.fit(
            [self.texts[index] for index in chosen],
            self.targets[chosen],
            self.weights[chosen],
            count=len(self.classes),
            base=max(map(max, self.texts)) + 1,
            seed=self.seed,
            private=self.private[chosen],
        )

    def scores(self, fitted: NGrams, asked: NDArray[np.intp]) -> tuple[Floats, NDArray[np.bool_]]:
        """(asked, classes) a table's scores of these rows, by index, and (asked,) whether all of their tokens are
        known: of rows of several windows what the mean of these comes to, as it is served."""
        windows = [window for index in asked for window in self.windows[index]]
        told, known = ngrams.scores(fitted, windows)
        counts = np.array([len(self.windows[index]) for index in asked])
        starts = np.cumsum(counts) - counts
        scores, sure = told[starts], known[starts]
        for place in np.flatnonzero(counts > 1):
            here = slice(starts[place], starts[place] + counts[place])
            lengths = np.array([len(window) - self.specials for window in windows[here]], np.float32)
            mean = cascade.whole(vectors_of(told[here], known[here]), lengths)[0]
            scores[place], sure[place] = FAR * mean[: told.shape[1]], 1 - mean[told.shape[1]] <= UNKNOWN
        return scores, sure


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """probabilities: (rows, classes), known: (rows,) whether all of a row's tokens are, each by a fit that saw neither
    the row nor its group; calibration: of its scores. shown: whether users' rows are enough for it
    to count beside an encoder."""

    lesson: Lesson
    probabilities: Floats
    known: NDArray[np.bool_]
    calibration: Calibration
    shown: bool

    @property
    def beside(self) -> Floats | None:
        """(rows, classes) what counts beside an encoder, if anything. Written text could not show how much: text by one
        writer shares its words, and what a table gets right there, it does not elsewhere."""
        return self.probabilities if self.shown else None

    def fitted(self) -> NGrams:
        """The table of all rows."""
        return self.lesson.fit(np.arange(len(self.known)))


def shown_by(rows: Sequence[Row], classes: int) -> bool:
    """Whether users' rows are enough for a table to count beside an encoder."""
    real = is_real(rows, np.arange(len(rows)))
    return enough(real) and int(real.sum()) >= ENOUGH_A_CLASS * classes


def read(policy: Policy, rows: Sequence[Row], encoder: Encoder, seed: int) -> Table:
    """A table in the tokens of `encoder`, measured on its own rows. rows: of one label each."""
    lesson, dealt, every = Lesson.of(policy, rows, encoder, seed), folds(rows, _FOLDS, seed), np.arange(len(rows))
    scores = np.zeros((len(rows), len(lesson.classes)), np.float32)
    known = np.zeros(len(rows), bool)
    for fold in range(_FOLDS):
        asked = every[dealt == fold]
        if len(asked):
            fitted = lesson.fit(every[dealt != fold])
            scores[asked], known[asked] = lesson.scores(fitted, asked)
    probes = np.array([row.probe for row in rows], bool)
    like = every[probes] if probes.any() else every
    used = answerable(policy, rows, like)
    scale = calibrate.temperature(scores[like][used], lesson.targets[like][used])
    calibration = Calibration(scale=np.array([scale], np.float32), offset=np.zeros(len(lesson.classes), np.float32))
    return Table(
        lesson=lesson,
        probabilities=squash(calibration, scores, multi_label=False),
        known=known,
        calibration=calibration,
        shown=shown_by(rows, len(lesson.classes)),
    )
