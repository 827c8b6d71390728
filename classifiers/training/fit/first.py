"""A cheap first stage in front of an encoder: it settles what it is certain of, where held-out text shows that as many
texts come out right as without it, and counts beside the encoder in what it hands on.

Tokens and pairs of neighbours, looked up in one table (`encoder.ngrams`); why, and what was measured:
docs/design/003-stages.md. Only single-label kinds have one: text written to get past a safety policy would be settled
as clean by words alone, and no held-out text shows that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder import ngrams as graph
from classifiers.encoder.description import TOKENIZER
from classifiers.encoder.ngrams import FAR
from classifiers.encoder.prepare import find
from classifiers.encoder.session import Encoder, embed
from classifiers.model import NEVER, OWN, Band, EncoderId, Floats, LinearHead, Novelty, Stage, Threshold
from classifiers.policy import Policy
from classifiers.thresholds import name_one
from classifiers.training import bands
from classifiers.training.evaluate import top
from classifiers.training.fit import linear
from classifiers.training.fit.certain import LEAST_ROWS, Point, Told, choose
from classifiers.training.fit.model import classes_of
from classifiers.training.fit.table import UNKNOWN, Table, read, shown_by
from classifiers.training.measured import answerable
from classifiers.training.rows import REAL, Row
from classifiers.verdict import Verdict

if TYPE_CHECKING:
    from classifiers.training.fit.recipe import Bench, Made

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
    told: Told | None = None
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
    return read(policy, rows, encoder, seed) if beside or settles >= LEAST_ROWS else None


def put_in_front(policy: Policy, rows: Sequence[Row], made: "Made", bench: "Bench", *, table: Table | None) -> "Made":
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


def _settling(policy: Policy, rows: Sequence[Row], made: "Made", table: Table | None) -> _Settling:
    nothing = [NEVER] * len(classes_of(policy, rows))
    why = _not_worth_it(policy, rows, made)
    if table is None or why:
        return _Settling(limits=nothing, because=why)
    used = answerable(policy, rows, made.trained.rows)
    shown = _shown(table, made.trained.rows[used])
    told = _told(table, made, shown, _demanded(policy, rows, made, table), used)
    point = choose(told, max_error=policy.goal.max_error if policy.goal else 1.0)
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


def _demanded(policy: Policy, rows: Sequence[Row], made: "Made", table: Table) -> Floats:
    """(n,) how certain it must be of a held-out row because the row's band has thresholds of its own; 0 where not."""
    held, own = made.trained.rows, made.trained.model.last.bands
    found = np.zeros(len(held), np.float32)
    if own:
        named = table.probabilities[held].argmax(axis=1)
        for place, band in enumerate(bands.of_texts(policy, [rows[index].text for index in held])):
            if band in own:
                found[place] = own[band][table.lesson.classes[named[place]]].act
    return found


def _told(table: Table, made: "Made", shown: NDArray[np.bool_], demanded: Floats, used: NDArray[np.bool_]) -> Told:
    """What the table and the model say of held-out rows; what is not `shown`, or less certain than is `demanded`, is
    unknown."""
    held = made.trained.rows
    probabilities, truth = table.probabilities[held], table.lesson.targets[held]
    said = [top(verdict)[0] for verdict in made.trained.verdicts]
    guess = probabilities.argmax(axis=1)
    return Told(
        probabilities=probabilities,
        known=table.known[held] & shown[guess] & (probabilities.max(axis=1) >= demanded),
        truth=truth,
        right=guess == truth,
        before=np.array([label == table.lesson.classes[index] for label, index in zip(said, truth, strict=True)], bool),
        used=used,
    )


def _not_worth_it(policy: Policy, rows: Sequence[Row], made: "Made") -> str:
    """Why no first stage is tried. By itself one is tried on real rows: text by one writer shares its words, and what
    n-grams get right there, they do not elsewhere."""
    by_itself = policy.first_stage == "auto"
    if _too_many(policy, rows):
        return f"{len(policy.labels)} labels with {len(rows)} rows would take minutes to fit"
    held = [rows[index] for index in made.trained.rows[answerable(policy, rows, made.trained.rows)]]
    shown = sum(row.source in REAL for row in held) if by_itself else len(held)
    what = "real rows" if by_itself else "rows held out"
    few = f"{shown} {what} are too few to show that few texts are lost by it; at least {LEAST_ROWS} are needed"
    return few if shown < LEAST_ROWS else ""


def _tokenizer(made: "Made", bench: "Bench") -> Path:
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


def _noted(made: "Made", record: dict[str, Any]) -> "Made":
    settings = {**made.trained.settings, "first_stage": record}
    return replace(made, trained=replace(made.trained, settings=settings))
