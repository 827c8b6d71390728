"""A table of tokens and pairs of neighbours: tf-idf of length 1 and one linear support vector machine a class.

It errs apart from any encoder, so both together are right more often. docs/design/002-cascades.md says what was
measured. Only kinds that name one label have a table: of safety, harm in harmless words is harm.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.ngrams import FAR, Keys, NGrams, keys_of, vectors_of, write
from classifiers.encoder.prepare import find
from classifiers.encoder.session import TOKENIZER, Encoder, embed
from classifiers.model.model import NEVER, OWN, Calibration, EncoderId, Floats, Head, Novelty, Stage, Windowing
from classifiers.runtime import cascade
from classifiers.runtime.heads import probabilities as squash
from classifiers.training import calibrate
from classifiers.training.fit.fitted import FittedModel, NGramScores, Recipe, TrainingSet, Workbench
from classifiers.training.fit.linear import Ints
from classifiers.training.label_noise import WRITTEN
from classifiers.training.operating_points import answerable, enough, is_real
from classifiers.training.rows import Row
from classifiers.training.split import LEFT_OUT, Dealt, folds, parts_left_out

C = 1.0
MOST_CELLS = 16_000_000
"""Features times classes, a byte each in the artifact."""

_SHARED = 3
"""Private texts that hold a token or a pair before the table does. Pair by pair, a text could be read off again."""
_ABSENT = -3.0
"""The score of a class without rows; those of others lie around -1 and 1."""
_TOLERANCE, _ITERATIONS = 1e-2, 300

Windows = Sequence[Sequence[int]]


def fit(
    windows: Windows, classes: Ints, weights: Floats, *, count: int, base: int, seed: int, private: NDArray[np.bool_]
) -> NGrams:
    """Fit a table. Where features are more than MOST_CELLS allows for, the rarest pairs are left out.

    windows: token ids, special ones included, each of another text.
    classes: (windows,) below `count`; weights: (windows,); base: above every id.
    private: (windows,) whether a text is not to be kept: what private texts alone hold is a feature where three do.
    """
    keys = _vocabulary(windows, private, base, MOST_CELLS // count)
    counts = _counted(windows, keys, base)
    documents = np.bincount(counts.indices, minlength=len(keys))
    rarity = (np.log((1 + len(windows)) / (1 + documents)) + 1).astype(np.float32)
    matrix, bias = _machines(_tf_idf(counts, rarity), classes, weights, count, seed)
    return NGrams(keys=keys, base=base, weights=np.ascontiguousarray((matrix * rarity).T), rarity=rarity, bias=bias)


def ngram_scores(ngrams: NGrams, windows: Windows) -> Floats:
    """(windows, classes)"""
    counts = _counted(windows, ngrams.keys, ngrams.base)
    lengths = np.sqrt(np.maximum(counts @ ngrams.rarity**2, 1e-12))
    scores: Floats = (counts @ ngrams.weights / lengths[:, None] + ngrams.bias).astype(np.float32)
    return scores


def _vocabulary(windows: Windows, private: NDArray[np.bool_], base: int, most: int) -> Keys:
    """Ascending: all tokens that may be held, and as many such pairs as there is room for, the most frequent ones."""
    held = [keys_of(window, base) for window in windows]
    keys, times = np.unique(np.concatenate(held), return_counts=True)
    holders = np.zeros(len(keys), np.int32)
    for part, hidden in zip(held, private.tolist(), strict=True):
        # an open text is enough by itself
        holders[np.searchsorted(keys, np.unique(part))] += 1 if hidden else _SHARED
    keys, times = keys[holders >= _SHARED], times[holders >= _SHARED]
    tokens = int((keys < base).sum())
    if len(keys) > most:
        order = np.argsort(-times[tokens:], kind="stable")[: max(most - tokens, 0)]
        keys = np.concatenate([keys[:tokens], np.sort(keys[tokens:][order])])
    return keys


def _counted(windows: Windows, keys: Keys, base: int) -> Any:
    """(windows, features) how often each occurs, a sparse matrix."""
    from scipy.sparse import csr_matrix

    features = [keys_of(window, base) for window in windows]
    rows = np.repeat(np.arange(len(windows)), [len(part) for part in features])
    flat = np.concatenate(features)
    places = np.minimum(np.searchsorted(keys, flat), len(keys) - 1)
    held = keys[places] == flat
    counts = csr_matrix(
        (np.ones(int(held.sum()), np.float32), (rows[held], places[held])), shape=(len(windows), len(keys))
    )
    counts.sum_duplicates()
    return counts


def _tf_idf(counts: Any, rarity: Floats) -> Any:
    """Rows over the length that they would have if no feature came twice, which is what the graph computes."""
    from scipy.sparse import diags

    lengths = np.sqrt(np.maximum(counts @ rarity**2, 1e-12))
    return (diags(1 / lengths) @ counts @ diags(rarity)).tocsr().astype(np.float32)


def _machines(rows: Any, classes: Ints, weights: Floats, count: int, seed: int) -> tuple[Floats, Floats]:
    from sklearn.svm import LinearSVC

    matrix, bias = np.zeros((count, rows.shape[1]), np.float32), np.full(count, _ABSENT, np.float32)
    if len(present := np.unique(classes)) == 1:
        bias[present] = 1
        return matrix, bias
    model = LinearSVC(C=C, dual=True, tol=_TOLERANCE, max_iter=_ITERATIONS, random_state=seed)
    model.fit(rows, classes, sample_weight=weights)
    coefficients, intercepts = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(coefficients) == 1:
        coefficients = np.concatenate([-coefficients, coefficients])
        intercepts = np.concatenate([-intercepts, intercepts])
    matrix[model.classes_], bias[model.classes_] = coefficients, intercepts
    return matrix, bias


ENOUGH_A_CLASS, TAUGHT_A_CLASS = 20, 8
"""Users' rows for each class on average, from which a table counts beside an encoder, and where these are too few to
show anything, sentences by a teacher. With fewer users' rows there is no gain: Banking77 with 10 rows a label 87.2 %
with it and without."""

_FOLDS = 3


class NGramTable:
    """A table in the tokens of an encoder. scores: of text that it has not seen; calibration: of these."""

    def __init__(self, training: TrainingSet, seed: int) -> None:
        """training: of one label a row."""
        policy, rows, self._encoder = training.policy, training.rows, training.encoder
        self.classes = training.classes
        self._targets = np.array([self.classes.index(row.labels[0]) for row in rows], np.int32)
        self._weights = training.weights
        self._private = np.array([bool(row.digest) for row in rows])
        self._seed, self._specials = seed, self._encoder.specials
        cut = [self._encoder.cut(row.text) for row in rows]
        overlap = min(Windowing().overlap, self._encoder.room(Windowing().tokens) - 1)
        wholes = ([*text[0], *chain.from_iterable(window[overlap:] for window in text[1:])] for text in cut)
        # as arrays: of long texts lists would take ten times as much room
        self._texts = [array("i", self._encoder.surround(whole)) for whole in wholes]
        self._windows = self._surrounded(cut)
        dealt = training.dealt or Dealt(folds=folds(rows, _FOLDS, seed), number=_FOLDS)
        scores = self._unseen(dealt.folds, dealt.number)
        probes, every = np.array([row.probe for row in rows], bool), np.arange(len(rows))
        like = every[probes] if probes.any() else every
        used = answerable(policy, rows, like)
        scale = calibrate.temperature(scores[like][used], self._targets[like][used])
        offset = np.zeros(len(self.classes), np.float32)
        self.calibration = Calibration(scale=np.array([scale], np.float32), offset=offset)
        left = parts_left_out(len(self.classes), len(policy.labels), seed)[self._targets]
        outside = self._surrounded([self._encoder.cut(text) for _, text in training.outside])
        unknown = self._unseen(left, LEFT_OUT) if training.neighbours else scores[:0]
        unseen = scores, unknown, self._scores(self.fitted, outside)
        own, unknown, strange = (squash(self.calibration, each, multi_label=False) for each in unseen)
        self.scores = NGramScores(held_out=own, left_out=unknown, outside=strange)

    @cached_property
    def fitted(self) -> NGrams:
        """The table of all rows."""
        return self._fit(np.arange(len(self._texts)))

    def _surrounded(self, cut: Iterable[Windows]) -> list[Windows]:
        return [[array("i", self._encoder.surround(window)) for window in text] for text in cut]

    def _unseen(self, dealt: Ints, number: int) -> Floats:
        """(rows, classes) scores, each by a fit without its part. dealt: (rows,) the part, -1 of what is not asked."""
        scores = np.zeros((len(dealt), len(self.classes)), np.float32)
        for part in range(number):
            asked, others = np.flatnonzero(dealt == part), np.flatnonzero(dealt != part)
            if len(asked) and len(others):
                scores[asked] = self._scores(self._fit(others), [self._windows[index] for index in asked])
        return scores

    def _fit(self, chosen: NDArray[np.intp]) -> NGrams:
        return fit(
            [self._texts[index] for index in chosen],
            self._targets[chosen],
            self._weights[chosen],
            count=len(self.classes),
            base=max(map(max, self._texts)) + 1,
            seed=self._seed,
            private=self._private[chosen],
        )

    def _scores(self, fitted: NGrams, asked: Sequence[Windows]) -> Floats:
        """(asked, classes) a table's scores of texts: of several windows the mean, as it is served."""
        if not asked:
            return np.zeros((0, len(self.classes)), np.float32)
        each = ngram_scores(fitted, [window for text in asked for window in text])
        counts = np.array([len(text) for text in asked])
        starts = np.cumsum(counts) - counts
        scores: Floats = each[starts]
        for place in np.flatnonzero(counts > 1).tolist():
            here = slice(starts[place], starts[place] + counts[place])
            lengths = np.array([len(window) - self._specials for window in asked[place]], np.float32)
            scores[place] = FAR * cascade.whole(vectors_of(each[here]), lengths)[0, :-1]
        return scores


def counts_beside(rows: Sequence[Row], classes: int) -> bool:
    """Whether there are rows enough for a table to count beside an encoder."""
    real = is_real(rows, np.arange(len(rows)))
    if enough(real):
        return int(real.sum()) >= ENOUGH_A_CLASS * classes
    return sum(row.source in WRITTEN for row in rows) >= TAUGHT_A_CLASS * classes


NAME = "ngrams"
"""Of the table's stage."""
KINDS = ("intent", "topic")


def with_ngrams(recipe: Recipe) -> Recipe:
    """The recipe, with an n-gram table before its model where the policy allows one and rows are enough. Its settings
    then say in `ngrams` how much the table counts."""

    def fitted(training: TrainingSet, bench: Workbench) -> FittedModel:
        policy, rows = training.policy, training.rows
        fits = len(rows) * len(policy.labels) <= MOST_CELLS
        if policy.kind not in KINDS or policy.multi_label or not fits or not counts_beside(rows, len(training.classes)):
            return recipe(training, bench)
        table = NGramTable(training, bench.seed)
        made = recipe(replace(training, ngrams=table.scores), bench)
        if not made.trained.model.stages[0].earlier:
            return made
        bench.progress.step("n-gram table")
        return _before(training, made, table, bench)

    return fitted


def _before(training: TrainingSet, made: FittedModel, table: NGramTable, bench: Workbench) -> FittedModel:
    """The model with the table as its first stage, which counts in the next one and settles nothing."""
    trained, table_of_all, first = made.trained, table.fitted, made.encoders[0]
    folder = bench.scratch / NAME
    folder.mkdir()
    prepared = made.own[first.id.own] if first.id.own else find(first.id, bench.models_dir)
    write(table_of_all, folder, tokenizer=prepared / TOKENIZER, name=OWN + NAME, max_tokens=first.max_tokens)
    encoder = Encoder.open(folder)
    model = replace(trained.model, stages=(_stage(table, encoder.id), *trained.model.stages))
    sample = embed(encoder, [training.rows[index].text for index in trained.rows[:64]])
    weight = round(float(np.max(trained.model.stages[0].earlier)), 4)
    return replace(
        made,
        trained=replace(trained, model=model),
        encoders=(encoder, *made.encoders),
        samples=(sample, *made.samples),
        own={NAME: folder, **made.own},
    ).with_settings(ngrams={"features": len(table_of_all.keys), "weight": weight})


def _stage(table: NGramTable, encoder: EncoderId) -> Stage:
    """A head that reads the scores off the encoder's vectors."""
    count = len(table.classes)
    return Stage(
        name=NAME,
        encoder=encoder,
        head=Head(
            classes=table.classes,
            weights=np.eye(count, count + 1, dtype=np.float32) * FAR,
            bias=np.zeros(count, np.float32),
        ),
        calibration=table.calibration,
        thresholds=dict.fromkeys(table.classes, NEVER),
        novelty=Novelty(prototypes=np.zeros((0, count + 1), np.float32), limit=NEVER.act),
    )
