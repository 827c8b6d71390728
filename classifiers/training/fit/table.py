"""A table of tokens and pairs of neighbours, and what it says of rows that it has not seen.

It errs apart from any encoder: it settles texts in front of one (`first`), and counts beside it (`blend`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.ngrams import NGrams
from classifiers.encoder.session import Encoder
from classifiers.encoder.tokens import LONGEST_CHARS_A_TOKEN
from classifiers.heads.linear import probabilities as squash
from classifiers.model import Calibration, Floats, Windowing
from classifiers.policy import Policy
from classifiers.text.normalise import normalise
from classifiers.training import calibrate
from classifiers.training.fit import ngrams
from classifiers.training.fit.linear import Ints
from classifiers.training.fit.model import classes_of
from classifiers.training.measured import enough, is_real, measured_on
from classifiers.training.rows import Row
from classifiers.training.split import folds

ENOUGH_A_CLASS = 20
"""Users' rows for each class on average, from which a table counts beside an encoder. With fewer there is no gain:
Banking77 with 10 rows a label 87.2 % with it and without."""

_FOLDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a table is fitted on. windows: (rows,) ids as the encoder reads them; targets, weights: (rows,) classes and
    weights; private: (rows,) whether a row is a call's, whose text is not kept."""

    classes: tuple[str, ...]
    windows: Sequence[Sequence[int]]
    targets: Ints
    weights: Floats
    private: NDArray[np.bool_]
    seed: int

    @classmethod
    def of(cls, policy: Policy, rows: Sequence[Row], encoder: Encoder, seed: int) -> "Lesson":
        """rows: of one label each."""
        classes = classes_of(policy, rows)
        room = encoder.room(Windowing().tokens)
        # as far as `embed` looks
        texts = (normalise(row.text[: room * LONGEST_CHARS_A_TOKEN]) for row in rows)
        return cls(
            classes=classes,
            windows=[encoder.surround(encoder.tokenize(text)[:room]) for text in texts],
            targets=np.array([classes.index(row.labels[0]) for row in rows], np.int32),
            weights=np.array([row.weight for row in rows], np.float32),
            private=np.array([bool(row.digest) for row in rows]),
            seed=seed,
        )

    def fit(self, chosen: NDArray[np.intp]) -> NGrams:
        """The table of these rows, by index."""
        return ngrams.fit(
            [self.windows[index] for index in chosen],
            self.targets[chosen],
            self.weights[chosen],
            count=len(self.classes),
            base=max(map(max, self.windows)) + 1,
            seed=self.seed,
            private=self.private[chosen],
        )


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
            scores[asked], known[asked] = ngrams.scores(fitted, [lesson.windows[index] for index in asked])
    probes = np.array([row.probe for row in rows], bool)
    like = every[probes] if probes.any() else every
    used, _ = measured_on(policy, rows, like)
    scale = calibrate.temperature(scores[like][used], lesson.targets[like][used])
    calibration = Calibration(scale=np.array([scale], np.float32), offset=np.zeros(len(lesson.classes), np.float32))
    return Table(
        lesson=lesson,
        probabilities=squash(calibration, scores, multi_label=False),
        known=known,
        calibration=calibration,
        shown=shown_by(rows, len(lesson.classes)),
    )
