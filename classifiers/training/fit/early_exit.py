"""An early exit: a table of n-grams in front of an encoder settles what it is certain of, where held-out text shows
that as many texts come out right as without it.

Only kinds that name one label have one: text written to get past a safety policy would be settled as clean by words
alone, and no held-out text shows that. docs/design/002-cascades.md says what was measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder import ngrams as graph
from classifiers.encoder.ngrams import FAR
from classifiers.encoder.prepare import find
from classifiers.encoder.session import TOKENIZER, Encoder, embed
from classifiers.evaluation.evaluate import top
from classifiers.model.model import NEVER, OWN, Band, EncoderId, LinearHead, Novelty, Stage, Threshold
from classifiers.policy import Policy
from classifiers.runtime.thresholds import name_one
from classifiers.training import operating_points
from classifiers.training.fit.fitted import FittedModel, Recipe, TrainingSet, Workbench
from classifiers.training.fit.heads import classes_of, verdict_of
from classifiers.training.fit.linear import MOST_CELLS
from classifiers.training.fit.ngrams import UNKNOWN, NGramTable, counts_beside, fit_table
from classifiers.training.operating_points import EXIT_LEAST_ROWS, HeldOutScores, Point, answerable, choose_exit
from classifiers.training.rows import REAL, Row
from classifiers.verdict import Verdict

NAME = "first"

LEAST_SETTLED = 0.2
"""Of all texts; below, a first stage costs more than it is worth."""
LEAST_SHOWN = 3
"""Held-out rows of a class; one with fewer is never named here: hardly anything shows how often that is right."""

_KINDS = ("intent", "topic")


def with_early_exit(recipe: Recipe) -> Recipe:
    """The recipe, with an early exit in front of its model where the policy allows one and it is worth it. Its settings
    then say in `first_stage` what was measured."""

    def fitted(training: TrainingSet, bench: Workbench) -> FittedModel:
        policy, rows = training.policy, training.rows
        if policy.kind not in _KINDS or policy.multi_label or policy.first_stage is False:
            return recipe(training, bench)
        counts = counts_beside(rows, len(classes_of(policy, rows)))
        table = fit_table(policy, rows, training.encoder, bench.seed) if _may_settle(policy, rows, counts) else None
        made = recipe(replace(training, ngrams=table.probabilities if table and counts else None), bench)
        plan = _plan(training, made, table)
        if table is None or not (plan.point or made.trained.model.stages[0].earlier):
            return made.with_settings(first_stage={"used": False, "because": plan.because})
        bench.progress.step("first stage")
        return _in_front(training, made, table, plan, bench)

    return fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class _ExitPlan:
    """What a table settles.

    limits: of its classes; bands: the same of texts that have limits of their own.
    scores: what the table and the model say of held-out rows.
    point: where it settles them; None where it settles nothing, because of `because`.
    """

    limits: Sequence[Threshold]
    bands: Mapping[Band, Sequence[Threshold]] = field(default_factory=dict)
    scores: HeldOutScores | None = None
    point: Point | None = None
    because: str = ""

    def record(self) -> dict[str, Any]:
        """For the report."""
        if self.point is None:
            return {"settled": 0.0, "because": self.because}
        return {name: round(getattr(self.point, name), 5) for name in self.point.__slots__}


def _may_settle(policy: Policy, rows: Sequence[Row], counts: bool) -> bool:
    """Whether a table is fitted: it counts beside the encoder, or rows may show that it settles some texts."""
    shown = sum(row.source in REAL for row in rows) if policy.first_stage == "auto" else len(rows)
    return not _is_too_large(policy, rows) and (counts or shown >= EXIT_LEAST_ROWS)


def _is_too_large(policy: Policy, rows: Sequence[Row]) -> bool:
    return policy.first_stage == "auto" and len(rows) * len(policy.labels) > MOST_CELLS


def _plan(training: TrainingSet, made: FittedModel, table: NGramTable | None) -> _ExitPlan:
    policy, rows, held = training.policy, training.rows, made.trained.rows
    nothing = [NEVER] * len(classes_of(policy, rows))
    why = _not_worth_it(policy, rows, held)
    if table is None or why:
        return _ExitPlan(limits=nothing, because=why)
    classes, used = table.lesson.classes, answerable(policy, rows, held)
    shown = np.bincount(table.lesson.targets[held[used]], minlength=len(classes)) >= LEAST_SHOWN
    scores = _held_out_scores(training, made, table, shown, used)
    point = choose_exit(scores, max_error=policy.goal.max_error if policy.goal else 1.0)
    if point is None or (policy.first_stage == "auto" and point.settled < LEAST_SETTLED):
        share = f"only {point.settled:.1%} of texts" if point else "no texts"
        return _ExitPlan(limits=nothing, because=f"{share} would be settled with as few errors as without it")
    limits = [Threshold(act=point.act, unsure=point.act) if known else NEVER for known in shown.tolist()]
    bands = {
        band: [
            max(limit, demanded[name], key=lambda threshold: threshold.act)
            for name, limit in zip(classes, limits, strict=True)
        ]
        for band, demanded in made.trained.model.last.bands.items()
    }
    return _ExitPlan(limits=limits, bands=bands, scores=scores, point=point)


def _not_worth_it(policy: Policy, rows: Sequence[Row], held: NDArray[np.intp]) -> str:
    """Why nothing is settled. By itself a table settles on real rows only: text by one writer shares its words, and
    what n-grams get right there, they do not elsewhere."""
    if _is_too_large(policy, rows):
        return f"{len(policy.labels)} labels with {len(rows)} rows would take minutes to fit"
    used = [rows[index] for index in held[answerable(policy, rows, held)]]
    by_itself = policy.first_stage == "auto"
    shown = sum(row.source in REAL for row in used) if by_itself else len(used)
    what = "real rows" if by_itself else "rows held out"
    few = f"{shown} {what} are too few to show that few texts are lost by it; at least {EXIT_LEAST_ROWS} are needed"
    return few if shown < EXIT_LEAST_ROWS else ""


def _held_out_scores(
    training: TrainingSet, made: FittedModel, table: NGramTable, shown: NDArray[np.bool_], used: NDArray[np.bool_]
) -> HeldOutScores:
    """What the table and the model say of held-out rows. The table does not know a class that is not `shown`, nor a
    text of which it is less certain than the text's band demands."""
    held, classes = made.trained.rows, table.lesson.classes
    probabilities, truth = table.probabilities[held], table.lesson.targets[held]
    guess, bands = probabilities.argmax(axis=1), made.trained.model.last.bands
    demanded = np.zeros(len(held), np.float32)
    if bands:
        texts = operating_points.of_texts(training.policy, [training.rows[index].text for index in held])
        demanded[:] = [
            bands[band][classes[index]].act if band in bands else 0.0
            for band, index in zip(texts, guess.tolist(), strict=True)
        ]
    names = [top(verdict)[0] for verdict in made.trained.verdicts]
    return HeldOutScores(
        probabilities=probabilities,
        known=table.known[held] & shown[guess] & (probabilities.max(axis=1) >= demanded),
        truth=truth,
        right=guess == truth,
        before=np.array([name == classes[index] for name, index in zip(names, truth, strict=True)], bool),
        used=used,
    )


def _in_front(
    training: TrainingSet, made: FittedModel, table: NGramTable, plan: _ExitPlan, bench: Workbench
) -> FittedModel:
    """The model with the table as its first stage."""
    trained, table_of_all = made.trained, table.fitted()
    folder = bench.scratch / NAME
    folder.mkdir()
    first = made.encoders[0]
    prepared = made.own[first.id.own] if first.id.own else find(first.id, bench.models_dir)
    graph.write(table_of_all, folder, tokenizer=prepared / TOKENIZER, name=OWN + NAME, max_tokens=first.max_tokens)
    encoder = Encoder.open(folder)
    stage = _stage(table, encoder.id, plan)
    model = replace(trained.model, stages=(stage, *trained.model.stages))
    verdicts = _verdicts(training.policy, trained.verdicts, plan, stage)
    sample = embed(encoder, [training.rows[index].text for index in trained.rows[:64]])
    return replace(
        made,
        trained=replace(trained, model=model, verdicts=verdicts),
        encoders=(encoder, *made.encoders),
        samples=(sample, *made.samples),
        own={NAME: folder, **made.own},
    ).with_settings(
        first_stage={
            "used": True,
            "measured_on": trained.settings["calibrated_on"],
            "features": len(table_of_all.keys),
            "bytes": sum(path.stat().st_size for path in folder.iterdir()),
            "beside": round(trained.model.stages[0].earlier, 4),
            **plan.record(),
        }
    )


def _stage(table: NGramTable, encoder: EncoderId, plan: _ExitPlan) -> Stage:
    """A head that reads the scores off the encoder's vectors, and a novelty that tells whether all tokens are known."""
    classes = table.lesson.classes
    count = len(classes)
    known = np.zeros((1, count + 2), np.float32)
    known[0, count] = 1
    return Stage(
        name=NAME,
        encoder=encoder,
        head=LinearHead(
            classes=classes,
            weights=np.eye(count, count + 2, dtype=np.float32) * FAR,
            bias=np.zeros(count, np.float32),
        ),
        calibration=table.calibration,
        thresholds=dict(zip(classes, plan.limits, strict=True)),
        bands={band: dict(zip(classes, limits, strict=True)) for band, limits in plan.bands.items()},
        novelty=Novelty(prototypes=known, limit=UNKNOWN),
    )


def _verdicts(policy: Policy, before: Sequence[Verdict], plan: _ExitPlan, stage: Stage) -> tuple[Verdict, ...]:
    """Held-out verdicts as they are with the first stage in front."""
    scores, point = plan.scores, plan.point
    if scores is None or point is None:
        return tuple(before)
    settled = scores.known & (scores.probabilities.max(axis=1) >= point.act)
    classes, has_other = stage.head.classes, policy.other is not None
    verdicts = list(before)
    for place in np.flatnonzero(settled).tolist():
        probabilities = scores.probabilities[place]
        choice = name_one(classes, probabilities, stage.thresholds, has_other=has_other)
        verdicts[place] = replace(verdict_of(policy, classes, probabilities, choice, 0.0), stage=NAME)
    return tuple(verdicts)
