"""A cheap first stage in front of an encoder: it settles what it is certain of, where held-out text shows that as many
texts come out right as without it.

Tokens and pairs of neighbours, looked up in one table (`encoder.ngrams`); why, and what was measured:
docs/design/003-stages.md. Only single-label kinds have one: text written to get past a safety policy would be settled
as clean by words alone, and no held-out text shows that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder import ngrams as graph
from classifiers.encoder.description import TOKENIZER
from classifiers.encoder.ngrams import FAR
from classifiers.encoder.prepare import find
from classifiers.encoder.session import Encoder, embed
from classifiers.heads.linear import probabilities as squash
from classifiers.model import (
    NEVER,
    OWN,
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
from classifiers.text.normalise import normalise
from classifiers.thresholds import name_one
from classifiers.training import calibrate
from classifiers.training.evaluate import top
from classifiers.training.fit import linear, ngrams
from classifiers.training.fit.certain import LEAST_ROWS, Told, choose
from classifiers.training.fit.linear import Ints
from classifiers.training.fit.model import classes_of
from classifiers.training.rows import REAL, Row
from classifiers.training.split import folds
from classifiers.verdict import Verdict

if TYPE_CHECKING:
    from classifiers.training.fit.recipe import Bench, Made

NAME = "first"

LEAST_SETTLED = 0.2
"""Of all texts; below, a first stage costs more than it is worth."""
LEAST_SHOWN = 3
"""Held-out rows of a class; one with fewer is never named here: hardly anything shows how often that is right."""

_KINDS = ("intent", "topic")
_FOLDS = 3
_UNKNOWN = 0.1
"""As a distance from what is known: of a text of several windows, a few may have a token that is not."""


def put_in_front(policy: Policy, rows: Sequence[Row], made: "Made", bench: "Bench") -> "Made":
    """The model with a first stage in front, or the model as it is where the policy asks for none or none is worth it;
    what was measured stands in the settings.
    """
    if policy.kind not in _KINDS or policy.first_stage is False:
        return made
    why = _not_worth_it(policy, rows, made)
    if why:
        return _noted(made, {"used": False, "because": why})
    bench.progress.step("first stage")
    lesson = _Lesson.of(policy, rows, made.encoders[0], bench.seed)
    shown = _shown(lesson, made)
    told = _measure(lesson, made, shown)
    point = choose(told, max_error=policy.goal.max_error if policy.goal else 1.0)
    if point is None or (policy.first_stage == "auto" and point.settled < LEAST_SETTLED):
        share = f"only {point.settled:.1%} of texts" if point else "no texts"
        return _noted(made, {"used": False, "because": f"{share} would be settled with as few errors as without it"})
    fitted = lesson.fit(np.ones(len(rows), bool))
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
    limit = Threshold(act=point.act, unsure=point.act)
    stage = _stage(lesson.classes, encoder.id, told.scale, [limit if one else NEVER for one in shown.tolist()])
    size = sum(path.stat().st_size for path in folder.iterdir())
    record = {"used": True, "measured_on": made.trained.settings["calibrated_on"], "features": len(fitted.keys),
              "bytes": size, **{name: round(getattr(point, name), 5) for name in point.__slots__}}  # fmt: skip
    verdicts = _verdicts(policy, made.trained.verdicts, told, stage, point.act)
    trained = replace(
        made.trained, model=replace(made.trained.model, stages=(stage, *made.trained.model.stages)), verdicts=verdicts
    )
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lesson:
    """What a first stage is fitted on. windows: (rows,) ids as the encoder reads them; targets, weights, dealt: (rows,)
    classes, weights and folds; base: above every id."""

    classes: tuple[str, ...]
    windows: list[list[int]]
    targets: Ints
    weights: Floats
    dealt: NDArray[np.int32]
    base: int
    seed: int

    @classmethod
    def of(cls, policy: Policy, rows: Sequence[Row], encoder: Encoder, seed: int) -> "_Lesson":
        classes = classes_of(policy, rows)
        room = min(Windowing().tokens, encoder.max_tokens) - encoder.specials
        windows = [encoder.surround(encoder.tokenize(normalise(row.text))[:room]) for row in rows]
        return cls(
            classes=classes,
            windows=windows,
            targets=np.array([classes.index(row.labels[0]) for row in rows], np.int32),
            weights=np.array([row.weight for row in rows], np.float32),
            dealt=folds(rows, _FOLDS, seed),
            base=max(map(max, windows)) + 1,
            seed=seed,
        )

    def fit(self, chosen: NDArray[np.bool_]) -> graph.NGrams:
        windows = [window for window, wanted in zip(self.windows, chosen.tolist(), strict=True) if wanted]
        return ngrams.fit(
            windows,
            self.targets[chosen],
            self.weights[chosen],
            count=len(self.classes),
            base=self.base,
            seed=self.seed,
        )


def _shown(lesson: _Lesson, made: "Made") -> NDArray[np.bool_]:
    """(classes,) whether held-out text shows how well a class is known."""
    held = made.trained.rows[made.trained.used]
    return np.asarray(np.bincount(lesson.targets[held], minlength=len(lesson.classes)) >= LEAST_SHOWN)


def _measure(lesson: _Lesson, made: "Made", shown: NDArray[np.bool_]) -> Told:
    """Each held-out row scored by a fit that saw neither it nor its group; what is not `shown` is unknown."""
    held = made.trained.rows
    scores = np.zeros((len(lesson.windows), len(lesson.classes)), np.float32)
    known = np.zeros(len(lesson.windows), bool)
    for fold in range(_FOLDS):
        asked = np.intersect1d(np.flatnonzero(lesson.dealt == fold), held)
        if len(asked):
            fitted = lesson.fit(lesson.dealt != fold)
            scores[asked], known[asked] = ngrams.scores(fitted, [lesson.windows[index] for index in asked])
    used, truth = made.trained.used, lesson.targets[held]
    scale = calibrate.temperature(scores[held][used], truth[used])
    probabilities = squash(_calibration(scale, len(lesson.classes)), scores[held], multi_label=False)
    said = [top(verdict)[0] for verdict in made.trained.verdicts]
    guess = probabilities.argmax(axis=1)
    return Told(
        probabilities=probabilities,
        known=known[held] & shown[guess],
        right=guess == truth,
        before=np.array([label == lesson.classes[index] for label, index in zip(said, truth, strict=True)], bool),
        used=used,
        scale=scale,
    )


def _not_worth_it(policy: Policy, rows: Sequence[Row], made: "Made") -> str:
    """Why no first stage is tried. By itself one is tried on real rows: text by one writer shares its words, and what
    n-grams get right there, they do not elsewhere."""
    by_itself = policy.first_stage == "auto"
    if by_itself and len(rows) * len(policy.labels) > linear.MOST_CELLS:
        return f"{len(policy.labels)} labels with {len(rows)} rows would take minutes to fit"
    held = [rows[index] for index in made.trained.rows[made.trained.used]]
    shown = sum(row.source in REAL for row in held) if by_itself else len(held)
    what = "real rows" if by_itself else "rows held out"
    few = f"{shown} {what} are too few to show that few texts are lost by it; at least {LEAST_ROWS} are needed"
    return few if shown < LEAST_ROWS else ""


def _tokenizer(made: "Made", bench: "Bench") -> Path:
    encoder = made.encoders[0].id
    return (made.own[encoder.own] if encoder.own else find(encoder, bench.models_dir)) / TOKENIZER


def _calibration(scale: float, count: int) -> Calibration:
    return Calibration(scale=np.array([scale], np.float32), offset=np.zeros(count, np.float32))


def _stage(classes: tuple[str, ...], encoder: EncoderId, scale: float, limits: Sequence[Threshold]) -> Stage:
    """A head that reads the scores off the encoder's vectors, and a novelty that tells whether they are there."""
    count = len(classes)
    known = np.zeros((1, count + 2), np.float32)
    known[0, count] = 1
    return Stage(
        name=NAME,
        encoder=encoder,
        head=LinearHead(
            classes=classes, weights=np.eye(count, count + 2, dtype=np.float32) * FAR, bias=np.zeros(count, np.float32)
        ),
        calibration=_calibration(scale, count),
        thresholds=dict(zip(classes, limits, strict=True)),
        novelty=Novelty(prototypes=known, limit=_UNKNOWN),
    )


def _verdicts(policy: Policy, before: Sequence[Verdict], told: Told, stage: Stage, act: float) -> tuple[Verdict, ...]:
    """Held-out verdicts as they are with the first stage in front."""
    settled = told.known & (told.probabilities.max(axis=1) >= act)
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


def _noted(made: "Made", record: dict[str, Any]) -> "Made":
    settings = {**made.trained.settings, "first_stage": record}
    return replace(made, trained=replace(made.trained, settings=settings))
