"""A cheap first stage in front of an encoder: it settles what it is certain of, where held-out text shows that as many
texts come out right as without it, and counts beside the encoder in what it hands on.

Tokens and pairs of neighbours, looked up in one table (`encoder.ngrams`); why, and what was measured:
docs/design/002-cascades.md. Only single-label kinds have one: text written to get past a safety policy would be settled
as clean by words alone, and no held-out text shows that.

Fit weights on tokens and pairs of neighbours: tf-idf of length 1, one linear support vector machine a class.

A table of tokens and pairs of neighbours, and what it says of rows that it has not seen.

It errs apart from any encoder: it settles texts in front of one (`first`), and counts beside it (`blend`).
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder import ngrams as graph
from classifiers.encoder.ngrams import FAR, Keys, NGrams, keys_of, vectors_of
from classifiers.encoder.prepare import find
from classifiers.encoder.session import TOKENIZER, Encoder, embed
from classifiers.evaluation.evaluate import top
from classifiers.model.model import (
    NEVER,
    OWN,
    Band,
    Calibration,
    EncoderId,
    Floats,
    LinearHead,
    Novelty,
    Stage,
    Threshold,
    Windowing,
)
from classifiers.policy import Policy
from classifiers.runtime import cascade
from classifiers.runtime.heads import probabilities as squash
from classifiers.runtime.thresholds import name_one
from classifiers.training import calibrate, operating_points
from classifiers.training.fit import linear
from classifiers.training.fit.heads import classes_of
from classifiers.training.fit.linear import Ints
from classifiers.training.operating_points import (
    EXIT_LEAST_ROWS,
    HeldOutScores,
    Point,
    answerable,
    choose_exit,
    enough,
    is_real,
)
from classifiers.training.rows import REAL, Row
from classifiers.training.split import folds
from classifiers.training.windows import parts
from classifiers.verdict import Verdict

if TYPE_CHECKING:
    from classifiers.training.fit.fitted import FittedModel, Workbench


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
    windows: Windows,
    classes: Ints,
    weights: Floats,
    *,
    count: int,
    base: int,
    seed: int,
    private: NDArray[np.bool_],
) -> NGrams:
    """windows: token ids, special ones included, each of another text; classes: (windows,) below `count`; weights:
    (windows,). base: above every id. private: (windows,) whether a text is not to be kept: what private texts alone
    hold is a feature where three do.

    Where features are more than MOST_CELLS allows for, the rarest pairs are left out.
    """
    keys = _vocabulary(windows, private, base, MOST_CELLS // count)
    counts = _counted(windows, keys, base)
    documents = np.bincount(counts.indices, minlength=len(keys))
    rarity = (np.log((1 + len(windows)) / (1 + documents)) + 1).astype(np.float32)
    matrix, bias = _machines(_tf_idf(counts, rarity), classes, weights, count, seed)
    return NGrams(keys=keys, base=base, weights=np.ascontiguousarray((matrix * rarity).T), rarity=rarity, bias=bias)


def ngram_scores(ngrams: NGrams, windows: Windows) -> tuple[Floats, NDArray[np.bool_]]:
    """(windows, classes) scores, and (windows,) whether all of a window's tokens are known."""
    counts = _counted(windows, ngrams.keys, ngrams.base)
    lengths = np.sqrt(np.maximum(counts @ ngrams.rarity**2, 1e-12))
    told: Floats = (counts @ ngrams.weights / lengths[:, None] + ngrams.bias).astype(np.float32)
    tokens = set(ngrams.keys[ngrams.keys < ngrams.base].tolist())
    return told, np.array([tokens.issuperset(window) for window in windows], bool)


def _vocabulary(windows: Windows, private: NDArray[np.bool_], base: int, most: int) -> Keys:
    """Ascending: all tokens that may be held, and as many such pairs as there is room for, the most frequent ones."""
    found = [keys_of(window, base) for window in windows]
    keys, times = np.unique(np.concatenate(found), return_counts=True)
    holders = np.zeros(len(keys), np.int32)
    for part, hidden in zip(found, private.tolist(), strict=True):
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

    found = [keys_of(window, base) for window in windows]
    rows = np.repeat(np.arange(len(windows)), [len(part) for part in found])
    flat = np.concatenate(found)
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


ENOUGH_A_CLASS = 20
"""Users' rows for each class on average, from which a table counts beside an encoder. With fewer there is no gain:
Banking77 with 10 rows a label 87.2 % with it and without."""

UNKNOWN = 0.02
"""As a distance from what is known (a window with a token that is not lies at 0.2): of a text of several windows,
under a third may have one."""

_FOLDS = 3

Ids = Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRows:
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
    def of(cls, policy: Policy, rows: Sequence[Row], encoder: Encoder, seed: int) -> "TableRows":
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
        return fit(
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
        told, known = ngram_scores(fitted, windows)
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

    lesson: TableRows
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
    lesson, dealt, every = TableRows.of(policy, rows, encoder, seed), folds(rows, _FOLDS, seed), np.arange(len(rows))
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


NAME = "first"

LEAST_SETTLED = 0.2
"""Of all texts; below, a first stage costs more than it is worth."""
LEAST_SHOWN = 3
"""Held-out rows of a class; one with fewer is never named here: hardly anything shows how often that is right."""

_KINDS = ("intent", "topic")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settling:
    """What a table settles. limits: of its classes; bands: the same of texts that have others, which it settles only
    where it is as certain as these demand; told: what held-out rows say of it; point: where it settles them, None where
    it settles nothing, because of `because`."""

    limits: Sequence[Threshold]
    bands: Mapping[Band, Sequence[Threshold]] = field(default_factory=dict)
    told: HeldOutScores | None = None
    point: Point | None = None
    because: str = ""

    def record(self) -> dict[str, Any]:
        """For the report."""
        if self.point is None:
            return {"settled": 0.0, "because": self.because}
        return {name: round(getattr(self.point, name), 5) for name in self.point.__slots__}


def table_for(policy: Policy, rows: Sequence[Row], encoder: Encoder, seed: int) -> Table | None:
    """What may stand in front of `encoder`; None where the policy asks for none, or rows could not show its worth."""
    if not _may_have_one(policy) or _too_many(policy, rows):
        return None
    settles = sum(row.source in REAL for row in rows) if policy.first_stage == "auto" else len(rows)
    beside = shown_by(rows, len(classes_of(policy, rows)))
    return read(policy, rows, encoder, seed) if beside or settles >= EXIT_LEAST_ROWS else None


def put_in_front(
    policy: Policy, rows: Sequence[Row], made: "FittedModel", bench: "Workbench", *, table: Table | None
) -> "FittedModel":
    """The model with a first stage in front, or the model as it is where the policy asks for none or none is worth it;
    what was measured stands in the settings.

    table: of `rows`, as the model was made beside it.
    """
    if not _may_have_one(policy):
        return made
    settling = _settling(policy, rows, made, table)
    beside = made.trained.model.stages[0].earlier
    if table is None or not (settling.point or beside):
        return _noted(made, {"used": False, "because": settling.because})
    bench.progress.step("first stage")
    fitted = table.fitted()
    folder = bench.scratch / NAME
    folder.mkdir()
    graph.write(
        fitted,
        folder,
        tokenizer=_tokenizer(made, bench),
        name=OWN + NAME,
        max_tokens=made.encoders[0].max_tokens,
    )
    encoder = Encoder.open(folder)
    stage = _stage(table, encoder.id, settling)
    verdicts = _verdicts(policy, made.trained.verdicts, settling, stage)
    trained = replace(
        made.trained, model=replace(made.trained.model, stages=(stage, *made.trained.model.stages)), verdicts=verdicts
    )
    record = {
        "used": True,
        "measured_on": made.trained.settings["calibrated_on"],
        "features": len(fitted.keys),
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
        "beside": round(beside, 4),
        **settling.record(),
    }
    sample = embed(encoder, [rows[index].text for index in made.trained.rows[:64]])
    return _noted(
        replace(
            made,
            trained=trained,
            encoders=(encoder, *made.encoders),
            samples=(sample, *made.samples),
            own={NAME: folder, **made.own},
        ),
        record,
    )


def _settling(policy: Policy, rows: Sequence[Row], made: "FittedModel", table: Table | None) -> _Settling:
    nothing = [NEVER] * len(classes_of(policy, rows))
    why = _not_worth_it(policy, rows, made)
    if table is None or why:
        return _Settling(limits=nothing, because=why)
    used = answerable(policy, rows, made.trained.rows)
    shown = _shown(table, made.trained.rows[used])
    told = _told(table, made, shown, _demanded(policy, rows, made, table), used)
    point = choose_exit(told, max_error=policy.goal.max_error if policy.goal else 1.0)
    if point is None or (policy.first_stage == "auto" and point.settled < LEAST_SETTLED):
        share = f"only {point.settled:.1%} of texts" if point else "no texts"
        return _Settling(limits=nothing, because=f"{share} would be settled with as few errors as without it")
    limits = [Threshold(act=point.act, unsure=point.act) if one else NEVER for one in shown.tolist()]
    own = {
        band: [max(limit, demanded[name], key=_act) for name, limit in zip(table.lesson.classes, limits, strict=True)]
        for band, demanded in made.trained.model.last.bands.items()
    }
    return _Settling(limits=limits, bands=own, told=told, point=point)


def _act(limit: Threshold) -> float:
    return limit.act


def _may_have_one(policy: Policy) -> bool:
    return policy.kind in _KINDS and not policy.multi_label and policy.first_stage is not False


def _too_many(policy: Policy, rows: Sequence[Row]) -> bool:
    return policy.first_stage == "auto" and len(rows) * len(policy.labels) > linear.MOST_CELLS


def _shown(table: Table, held: NDArray[np.intp]) -> NDArray[np.bool_]:
    """(classes,) whether these rows, by index, show how well a class is known."""
    return np.asarray(np.bincount(table.lesson.targets[held], minlength=len(table.lesson.classes)) >= LEAST_SHOWN)


def _demanded(policy: Policy, rows: Sequence[Row], made: "FittedModel", table: Table) -> Floats:
    """(n,) how certain it must be of a held-out row because the row's band has thresholds of its own; 0 where not."""
    held, own = made.trained.rows, made.trained.model.last.bands
    found = np.zeros(len(held), np.float32)
    if own:
        named = table.probabilities[held].argmax(axis=1)
        for place, band in enumerate(operating_points.of_texts(policy, [rows[index].text for index in held])):
            if band in own:
                found[place] = own[band][table.lesson.classes[named[place]]].act
    return found


def _told(
    table: Table, made: "FittedModel", shown: NDArray[np.bool_], demanded: Floats, used: NDArray[np.bool_]
) -> HeldOutScores:
    """What the table and the model say of held-out rows; what is not `shown`, or less certain than is `demanded`, is
    unknown."""
    held = made.trained.rows
    probabilities, truth = table.probabilities[held], table.lesson.targets[held]
    said = [top(verdict)[0] for verdict in made.trained.verdicts]
    guess = probabilities.argmax(axis=1)
    return HeldOutScores(
        probabilities=probabilities,
        known=table.known[held] & shown[guess] & (probabilities.max(axis=1) >= demanded),
        truth=truth,
        right=guess == truth,
        before=np.array([label == table.lesson.classes[index] for label, index in zip(said, truth, strict=True)], bool),
        used=used,
    )


def _not_worth_it(policy: Policy, rows: Sequence[Row], made: "FittedModel") -> str:
    """Why no first stage is tried. By itself one is tried on real rows: text by one writer shares its words, and what
    n-grams get right there, they do not elsewhere."""
    by_itself = policy.first_stage == "auto"
    if _too_many(policy, rows):
        return f"{len(policy.labels)} labels with {len(rows)} rows would take minutes to fit"
    held = [rows[index] for index in made.trained.rows[answerable(policy, rows, made.trained.rows)]]
    shown = sum(row.source in REAL for row in held) if by_itself else len(held)
    what = "real rows" if by_itself else "rows held out"
    few = f"{shown} {what} are too few to show that few texts are lost by it; at least {EXIT_LEAST_ROWS} are needed"
    return few if shown < EXIT_LEAST_ROWS else ""


def _tokenizer(made: "FittedModel", bench: "Workbench") -> Path:
    encoder = made.encoders[0].id
    return (made.own[encoder.own] if encoder.own else find(encoder, bench.models_dir)) / TOKENIZER


def _stage(table: Table, encoder: EncoderId, settling: _Settling) -> Stage:
    """A head that reads the scores off the encoder's vectors, and a novelty that tells whether they are there."""
    count = len(table.lesson.classes)
    known = np.zeros((1, count + 2), np.float32)
    known[0, count] = 1
    return Stage(
        name=NAME,
        encoder=encoder,
        head=LinearHead(
            classes=table.lesson.classes,
            weights=np.eye(count, count + 2, dtype=np.float32) * FAR,
            bias=np.zeros(count, np.float32),
        ),
        calibration=table.calibration,
        thresholds=dict(zip(table.lesson.classes, settling.limits, strict=True)),
        bands={band: dict(zip(table.lesson.classes, own, strict=True)) for band, own in settling.bands.items()},
        novelty=Novelty(prototypes=known, limit=UNKNOWN),
    )


def _verdicts(policy: Policy, before: Sequence[Verdict], settling: _Settling, stage: Stage) -> tuple[Verdict, ...]:
    """Held-out verdicts as they are with the first stage in front."""
    told, point = settling.told, settling.point
    if told is None or point is None:
        return tuple(before)
    settled = told.known & (told.probabilities.max(axis=1) >= point.act)
    verdicts = []
    for verdict, probabilities, over in zip(before, told.probabilities, settled.tolist(), strict=True):
        if not over:
            verdicts.append(verdict)
            continue
        choice = name_one(stage.head.classes, probabilities, stage.thresholds, has_other=policy.other is not None)
        named = dict(zip(stage.head.classes, probabilities.tolist(), strict=True))
        verdicts.append(
            replace(
                verdict,
                labels=choice.labels,
                confidence=choice.confidence,
                scores={label: named[label] for label in policy.labels},
                novelty=0.0,
                abstention=choice.abstention,
                reason=choice.reason,
                stage=NAME,
            )
        )
    return tuple(verdicts)


def _noted(made: "FittedModel", record: dict[str, Any]) -> "FittedModel":
    settings = {**made.trained.settings, "first_stage": record}
    return replace(made, trained=replace(made.trained, settings=settings))
