"""An early exit: a table of n-grams in front of an encoder settles what it is certain of, where held-out text shows
that as many texts come out right as without it.

Only kinds that name one label have one: text written to get past a safety policy would be settled as clean by words
alone, and no held-out text shows that. docs/design/002-cascades.md says what was measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from classifiers.encoder import ngrams as graph
from classifiers.encoder.ngrams import FAR
from classifiers.encoder.prepare import find
from classifiers.encoder.session import TOKENIZER, Encoder, embed
from classifiers.evaluation.evaluate import top
from classifiers.model.model import NEVER, OWN, Band, EncoderId, Head, Novelty, Stage, Threshold
from classifiers.runtime.thresholds import name_one
from classifiers.training import operating_points
from classifiers.training.fit.fitted import FittedModel, Recipe, TrainingSet, Workbench
from classifiers.training.fit.heads import verdict_of
from classifiers.training.fit.linear import MOST_CELLS
from classifiers.training.fit.ngrams import UNKNOWN, NGramTable, counts_beside
from classifiers.training.operating_points import (
    EXIT_LEAST_ROWS,
    Bools,
    HeldOutScores,
    Point,
    answerable,
    choose_exit,
    is_real,
)
from classifiers.verdict import Verdict

NAME = "first"

LEAST_SETTLED = 0.2
"""Of all texts; below, a first stage costs more than it is worth."""
LEAST_SHOWN = 3
"""Held-out rows of a class; one with fewer is never named here: hardly anything shows how often that is right."""

KINDS = ("intent", "topic")


def with_early_exit(recipe: Recipe) -> Recipe:
    """The recipe, with an early exit in front of its model where the policy allows one and it is worth it. Its settings
    then say in `early_exit` what was measured."""

    def fitted(training: TrainingSet, bench: Workbench) -> FittedModel:
        policy, rows = training.policy, training.rows
        if policy.kind not in KINDS or policy.multi_label:
            return recipe(training, bench)
        counts = counts_beside(rows, len(training.classes))
        # by itself a table settles on real rows only: text by one writer shares its words, and what n-grams get right
        # there, they do not elsewhere
        shows = int(is_real(rows, np.arange(len(rows))).sum()) >= EXIT_LEAST_ROWS
        fits = len(rows) * len(policy.labels) <= MOST_CELLS
        table = NGramTable(policy, rows, training.encoder, bench.seed) if fits and (counts or shows) else None
        made = recipe(replace(training, ngrams=table.probabilities if table and counts else None), bench)
        scores = _held_out_scores(training, made, table) if table else None
        point = choose_exit(scores, max_error=policy.goal.max_error if policy.goal else 1.0) if scores else None
        if point and point.settled < LEAST_SETTLED:
            point = None
        if table is None or not (point or made.trained.model.stages[0].earlier):
            why = "too few texts would be settled with as few errors" if scores else _TOO_FEW
            return made.with_settings(early_exit={"used": False, "because": why})
        bench.progress.step("first stage")
        return _in_front(training, made, table, bench, scores=scores, point=point)

    return fitted


_TOO_FEW = f"fewer than {EXIT_LEAST_ROWS} real rows cannot show that few texts are lost"


def _shown(training: TrainingSet, made: FittedModel, table: NGramTable) -> Bools:
    """(classes,) which of them enough held-out rows have for the table to name them."""
    used = made.trained.rows[answerable(training.policy, training.rows, made.trained.rows)]
    counts: Bools = np.bincount(table.targets[used], minlength=len(table.classes)) >= LEAST_SHOWN
    return counts


def _held_out_scores(training: TrainingSet, made: FittedModel, table: NGramTable) -> HeldOutScores | None:
    """What the table and the model say of held-out rows; None where too few are real. The table does not know a class
    that hardly any row has, nor a text of which it is less certain than the text's band demands."""
    policy, rows, held, classes = training.policy, training.rows, made.trained.rows, table.classes
    used = answerable(policy, rows, held)
    if is_real(rows, held[used]).sum() < EXIT_LEAST_ROWS:
        return None
    probabilities, truth = table.probabilities[held], table.targets[held]
    guess, demanded = probabilities.argmax(axis=1), np.zeros(len(held), np.float32)
    if bands := made.trained.model.last.bands:
        texts = operating_points.of_texts(policy, [rows[index].text for index in held])
        demanded[:] = [
            bands[band][classes[index]].act if band in bands else 0.0
            for band, index in zip(texts, guess.tolist(), strict=True)
        ]
    names = [top(verdict)[0] for verdict in made.trained.verdicts]
    known = table.known[held] & _shown(training, made, table)[guess] & (probabilities.max(axis=1) >= demanded)
    return HeldOutScores(
        probabilities=probabilities,
        known=known,
        truth=truth,
        right=guess == truth,
        before=np.array([name == classes[index] for name, index in zip(names, truth, strict=True)], bool),
        used=used,
    )


def _in_front(
    training: TrainingSet,
    made: FittedModel,
    table: NGramTable,
    bench: Workbench,
    *,
    scores: HeldOutScores | None,
    point: Point | None,
) -> FittedModel:
    """The model with the table as its first stage, which settles nothing without a `point`."""
    trained, table_of_all, first = made.trained, table.fitted(), made.encoders[0]
    folder = bench.scratch / NAME
    folder.mkdir()
    prepared = made.own[first.id.own] if first.id.own else find(first.id, bench.models_dir)
    graph.write(table_of_all, folder, tokenizer=prepared / TOKENIZER, name=OWN + NAME, max_tokens=first.max_tokens)
    encoder = Encoder.open(folder)
    sure = Threshold(act=point.act, unsure=point.act) if point else NEVER
    limits = [sure if shown else NEVER for shown in _shown(training, made, table).tolist()]
    stage = _stage(table, encoder.id, limits, trained.model.last.bands if point else {})
    verdicts = _verdicts(training, trained.verdicts, stage, scores, point) if scores and point else trained.verdicts
    model = replace(trained.model, stages=(stage, *trained.model.stages))
    sample = embed(encoder, [training.rows[index].text for index in trained.rows[:64]])
    figures = asdict(point) if point else {"settled": 0.0}
    return replace(
        made,
        trained=replace(trained, model=model, verdicts=verdicts),
        encoders=(encoder, *made.encoders),
        samples=(sample, *made.samples),
        own={NAME: folder, **made.own},
    ).with_settings(
        early_exit={
            "used": True,
            "features": len(table_of_all.keys),
            "weight": round(trained.model.stages[0].earlier, 4),
            **{name: round(value, 5) for name, value in figures.items()},
        }
    )


def _stage(
    table: NGramTable,
    encoder: EncoderId,
    limits: Sequence[Threshold],
    demanded: Mapping[Band, Mapping[str, Threshold]],
) -> Stage:
    """A head that reads the scores off the encoder's vectors, and a novelty that tells whether all tokens are known.

    limits: of the classes; demanded: of the model's bands, which count where they are stricter."""
    classes, count = table.classes, len(table.classes)
    known = np.zeros((1, count + 2), np.float32)
    known[0, count] = 1
    own = dict(zip(classes, limits, strict=True))
    return Stage(
        name=NAME,
        encoder=encoder,
        head=Head(
            classes=classes,
            weights=np.eye(count, count + 2, dtype=np.float32) * FAR,
            bias=np.zeros(count, np.float32),
        ),
        calibration=table.calibration,
        thresholds=own,
        bands={
            band: {name: max(own[name], least[name], key=lambda limit: limit.act) for name in classes}
            for band, least in demanded.items()
        },
        novelty=Novelty(prototypes=known, limit=UNKNOWN),
    )


def _verdicts(
    training: TrainingSet, before: Sequence[Verdict], stage: Stage, scores: HeldOutScores, point: Point
) -> tuple[Verdict, ...]:
    """Held-out verdicts as they are with the first stage in front."""
    policy, classes, verdicts = training.policy, stage.head.classes, list(before)
    for place in np.flatnonzero(scores.known & (scores.probabilities.max(axis=1) >= point.act)).tolist():
        shares = scores.probabilities[place]
        choice = name_one(classes, shares, stage.thresholds)
        verdicts[place] = verdict_of(policy, classes, shares, choice, 0.0, stage=NAME)
    return tuple(verdicts)
