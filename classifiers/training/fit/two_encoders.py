"""Two encoders for a policy that names one label: the first settles what it is certain of, the last judges the rest,
and the first one's judgement counts with its own.

Encoders err apart: both together are right more often than either, and order their answers better by certainty
(docs/design/002-cascades.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Encoder
from classifiers.evaluation.metrics import average_precision
from classifiers.model.model import NEVER, Band, Floats, Model, Stage, Threshold
from classifiers.policy import OTHER, Policy
from classifiers.runtime.thresholds import name_one
from classifiers.training import calibrate, operating_points, thresholds
from classifiers.training.fit.ensemble import Blend, blend
from classifiers.training.fit.fitted import (
    LARGE,
    SMALL,
    FittedModel,
    MeasuredModel,
    TrainingSet,
    Workbench,
    milliseconds,
)
from classifiers.training.fit.heads import classes_of, fit_frozen, verdict_of
from classifiers.training.fit.linear import Ints
from classifiers.training.fit.torch_encoder import TorchEncoder, torch_threads
from classifiers.training.fit.torch_export import exported
from classifiers.training.fit.tuning_set import centroids, targets_of
from classifiers.training.fit.weights import find_weights
from classifiers.training.operating_points import (
    Bools,
    HeldOutScores,
    Point,
    answerable,
    choose_exit,
    is_foreign,
    measured_on,
)
from classifiers.training.rows import Row
from classifiers.training.thresholds import ChosenThresholds
from classifiers.training.windows import wholes
from classifiers.verdict import Verdict

MOST_WRONG = 0.01
"""Of what the first encoder settles alone: there its certainty counts, which orders texts less well than both do."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeldOutPair:
    """What both models say of the held-out rows that both have.

    first, last: measured on these rows alone; held: their indexes; used: (n,) which calibrate, on: what they are.
    sure: (n,) which show how sure a judge may be.
    small, large: (n, classes) probabilities; blended: of both together; truth: (n,) classes.
    bands: of each text; foreign: (n,) whether a text is in a language that the policy does not list.
    """

    policy: Policy
    classes: tuple[str, ...]
    first: MeasuredModel
    last: MeasuredModel
    held: NDArray[np.intp]
    used: Bools
    on: str
    sure: Bools
    truth: Ints
    small: Floats
    large: Floats
    blended: Blend
    bands: Sequence[Band]
    foreign: Bools


def joined(
    policy: Policy,
    rows: Sequence[Row],
    first: MeasuredModel,
    last: MeasuredModel,
    *,
    names: tuple[str, str],
    record: Mapping[str, Any] = _NOTHING,
) -> MeasuredModel | None:
    """The model of both stages, or None where held-out text gained nothing by the last one.

    first, last: either fitted by itself on the same rows; names: of the stages; record: more for the report.
    What is measured is measured on the held-out rows that both have.
    """
    pair = _held_out_pair(policy, rows, first, last)
    alone = calibrate.loss(np.log(np.maximum(pair.small, 1e-30))[pair.sure], pair.truth[pair.sure])
    if not gains(pair.blended.loss, alone):
        return None
    known = np.array([verdict.novelty <= first.model.last.novelty.limit for verdict in pair.first.verdicts], bool)
    point = _point_of_exit(pair, known)
    act, settled, chosen = _exit(pair, known, point.act if point else NEVER.act)
    mixed = np.where(settled[:, None], pair.small, pair.blended.probabilities)
    stages = (
        replace(
            first.model.last,
            name=names[0],
            bands={},
            thresholds={name: Threshold(act=act, unsure=act) for name in pair.classes},
        ),
        replace(
            last.model.last,
            name=names[1],
            earlier=pair.blended.earlier,
            calibration=pair.blended.calibration,
            thresholds=chosen.thresholds,
            bands=chosen.bands,
        ),
    )
    shares = _shares(pair, names, settled=settled, act=act, mixed=mixed, point=point)
    return replace(
        pair.last,
        model=Model(policy=policy, stages=stages),
        chosen=chosen,
        used=pair.used,
        verdicts=_verdicts(pair, stages, settled, mixed, chosen),
        settings={**last.settings, "calibrated_on": pair.on, "two_encoders": {**shares, **record}},
    )


def gains(both: float, first: float) -> bool:
    """Whether two encoders are worth their time: by how unlikely both, and the first alone, make held-out truth."""
    return both < first


def _held_out_pair(policy: Policy, rows: Sequence[Row], first: MeasuredModel, last: MeasuredModel) -> _HeldOutPair:
    classes = classes_of(policy, rows)
    held = np.intersect1d(first.rows, last.rows)
    first, last = _only(first, held), _only(last, held)
    used, on = measured_on(policy, rows, held)
    truth = np.array([classes.index(rows[index].labels[0]) for index in held.tolist()], np.int32)
    small, large = (_probabilities(classes, model.verdicts) for model in (first, last))
    sure = answerable(policy, rows, held)
    return _HeldOutPair(
        policy=policy,
        classes=classes,
        first=first,
        last=last,
        held=held,
        used=used,
        on=on,
        sure=sure,
        truth=truth,
        small=small,
        large=large,
        blended=blend(last.model.last.calibration, small, large, truth, sure),
        bands=operating_points.of_texts(policy, [rows[index].text for index in held.tolist()]),
        foreign=is_foreign(rows, held),
    )


def _point_of_exit(pair: _HeldOutPair, known: Bools) -> Point | None:
    goal = pair.policy.goal
    scores = HeldOutScores(
        probabilities=pair.small,
        known=known,
        truth=pair.truth,
        right=pair.small.argmax(axis=1) == pair.truth,
        before=pair.blended.probabilities.argmax(axis=1) == pair.truth,
        used=pair.sure,
    )
    return choose_exit(scores, max_error=min(goal.max_error if goal else 1.0, MOST_WRONG))


def _exit(pair: _HeldOutPair, known: Bools, act: float) -> tuple[float, Bools, ChosenThresholds]:
    """From `act` on, where the first stage settles texts, (n,) which it does, and the thresholds of the last stage.

    What the first stage settles is answered, so it must be as certain as the rest of what is.
    """
    # the small one settles nothing that is novel to it
    novel = np.array([one.novelty > pair.last.model.last.novelty.limit for one in pair.last.verdicts], bool)
    used = pair.used
    bands = [pair.bands[index] for index in np.flatnonzero(used).tolist()]
    while True:
        settled: Bools = known & (pair.small.max(axis=1) >= act)
        mixed = np.where(settled[:, None], pair.small, pair.blended.probabilities)
        far = (novel & ~settled) | pair.foreign
        chosen = thresholds.for_one(
            pair.policy, pair.classes, mixed[used], pair.truth[used], on=pair.on, novel=far[used], bands=bands
        )
        banded = [limit for own in chosen.bands.values() for limit in own.values()]
        needed = max(limit.act for limit in (*chosen.thresholds.values(), *banded))
        if needed <= act:
            return act, settled, chosen
        act = needed


def _verdicts(
    pair: _HeldOutPair, stages: tuple[Stage, Stage], settled: Bools, mixed: Floats, chosen: ChosenThresholds
) -> tuple[Verdict, ...]:
    verdicts = []
    has_other = pair.policy.other is not None
    for place, exits in enumerate(settled.tolist()):
        stage, model = (stages[0], pair.first) if exits else (stages[1], pair.last)
        limits = stage.thresholds if exits else chosen.for_band(pair.bands[place])
        far = model.verdicts[place].novelty
        choice = name_one(pair.classes, mixed[place], limits, novel=far > stage.novelty.limit, has_other=has_other)
        verdicts.append(replace(verdict_of(pair.policy, pair.classes, mixed[place], choice, far), stage=stage.name))
    return tuple(verdicts)


def _shares(
    pair: _HeldOutPair, names: tuple[str, str], *, settled: Bools, act: float, mixed: Floats, point: Point | None
) -> dict[str, Any]:
    """For the report."""
    judges = {f"{names[0]} alone": pair.small, f"{names[1]} alone": pair.large, "both": mixed}
    return {
        "settled_by_first": round(float(settled[pair.used].mean()), 4),
        "act": round(min(act, 1.0), 5),
        "earlier": round(pair.blended.earlier, 4),
        "accuracy": {
            name: round(float((scores.argmax(axis=1) == pair.truth)[pair.used].mean()), 4)
            for name, scores in judges.items()
        },
        **({} if point is None else {"lost": round(point.lost, 5), "most_lost": round(point.most_lost, 5)}),
    }


def _only(trained: MeasuredModel, held: NDArray[np.intp]) -> MeasuredModel:
    """The same, measured on some of its held-out rows."""
    places = np.searchsorted(trained.rows, held)
    read, verdicts = (tuple(values[place] for place in places.tolist()) for values in (trained.read, trained.verdicts))
    return replace(trained, rows=held, read=read, verdicts=verdicts, used=trained.used[places])


def _probabilities(classes: Sequence[str], verdicts: Sequence[Verdict]) -> Floats:
    """(n, classes) as verdicts hold them; `other` is what the labels leave."""
    shares = np.array([[verdict.scores.get(name, 0.0) for name in classes] for verdict in verdicts], np.float32)
    if classes[-1] == OTHER:
        shares[:, -1] = np.clip(1 - shares[:, :-1].sum(axis=1), 0, 1)
    return shares


_COMPARED = 200


def fit_two_encoders(training: TrainingSet, bench: Workbench) -> FittedModel | None:
    """A larger frozen encoder behind the small one. Nothing is tuned; what it takes is reading the rows once.

    None where held-out text gained nothing. Raises TrainingError, EncoderError.
    """
    policy, rows, small = training.policy, training.rows, training.encoder
    first = fit_frozen(training, bench)
    larger, folder, agreed = _larger(policy, rows, bench)
    bench.progress.step("larger_encoder: reading the rows")
    vectors = wholes(larger, [row.text for row in rows], bench.progress.advance)
    last = fit_frozen(TrainingSet(policy=policy, rows=rows, encoder=larger, vectors=vectors), bench)
    ms = [round(milliseconds(encoder), 2) for encoder in (small, larger)]
    record = {"larger": policy.larger_encoder, "export": agreed, "ms": ms}
    trained = joined(policy, rows, first, last, names=(SMALL, LARGE), record=record)
    if trained is None:
        return None
    return FittedModel(
        trained=trained, encoders=(small, larger), samples=(training.vectors, vectors), own={LARGE: folder}
    )


def _larger(policy: Policy, rows: Sequence[Row], bench: Workbench) -> tuple[Encoder, Path, dict[str, Any]]:
    """The larger encoder as it serves, in int8 where that agrees with what it was."""
    bench.progress.step("larger_encoder: exporting it to int8")
    with torch_threads(bench.threads, bench.seed):
        whole = TorchEncoder(find_weights(policy.larger_encoder, bench.base_dir, bench.models_dir), tokens=128)
        some = rows[:: max(1, len(rows) // _COMPARED)]
        texts = [row.text for row in some]
        before = whole.vectors(whole.tokenize(texts), bf16=False)
        head = centroids(before, targets_of(policy, some), np.ones(len(some), np.float32))
        return exported(whole, head, texts, LARGE, bench, multi_label=False)


SMALL_ALONE, LARGE_ALONE = "small alone", "large alone"

_SHARES = (0.05, 0.1, 0.15, 0.25, 0.5)
_NONE, _ALL = NEVER, replace(NEVER, unsure=-0.1)
"""Bands that ask the large stage about nothing, and about everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What both stages of a safety cascade say of the held-out rows.

    rows: (n,) their indexes; used: (n,) which calibrate; on: what they are, for people.
    truth, small, large: (n, labels); both: the large one's pooled with the small one's.
    ms: of either encoder for a window of 32 tokens.
    """

    rows: NDArray[np.intp]
    used: Bools
    on: str
    truth: Bools
    small: Floats
    large: Floats
    both: Floats
    ms: tuple[float, float]

    @property
    def harmful(self) -> Bools:
        """(n,) whether any label holds."""
        return np.asarray(self.truth.any(axis=1), bool)


def points(policy: Policy, compared: Compared, most_asked: float) -> list[dict[str, Any]]:
    """Either stage alone and cascades by the share asked; most_asked: the one that is used.

    asked_of_harmless, asked: shares of held-out text; ms: for a window of 32 tokens of harmless text. Where a stage
    stands alone, the thresholds are there by which it would.
    """
    used, harmful = compared.used, compared.harmful
    bands: Mapping[str, Threshold] = {
        SMALL_ALONE: _NONE,
        **{
            f"cascade, {100 * share:.4g}%": operating_points.band(
                compared.small[used], harmful[used], most_asked=share, catch=operating_points.strictest(policy)
            )
            for share in sorted({*_SHARES, most_asked})
        },
        LARGE_ALONE: _ALL,
    }
    return [_point(policy, compared, name, limits) for name, limits in bands.items()]


def _point(policy: Policy, compared: Compared, name: str, limits: Threshold) -> dict[str, Any]:
    used, harmful = compared.used, compared.harmful
    harmless: Bools = used & ~harmful
    way = operating_points.through(compared.small, compared.large if name == LARGE_ALONE else compared.both, limits)
    scores = compared.small if name == SMALL_ALONE else way.certain
    chosen = thresholds.for_any(policy, scores[used], compared.truth[used], compared.on, larger=True)
    act = np.array([chosen.thresholds[label].act for label in policy.labels], np.float32)
    flagged: Bools = np.asarray((scores >= act).any(axis=1), bool)
    asked = float(way.asked[harmless].mean()) if harmless.any() else 0.0
    alone = {"thresholds": thresholds.describe(chosen.thresholds)} if name in {SMALL_ALONE, LARGE_ALONE} else {}
    return {
        "point": name,
        "asked_of_harmless": round(asked, 4),
        "asked": round(float(way.asked[used].mean()), 4),
        "caught": round(float(flagged[harmful & used].mean()), 4) if (harmful & used).any() else None,
        "alarms": round(float(flagged[harmless].mean()), 4) if harmless.any() else None,
        "auprc": average_precision(way.probabilities[used].max(axis=1), harmful[used]),
        "ms": round((0.0 if name == LARGE_ALONE else compared.ms[0]) + asked * compared.ms[1], 2),
        **alone,
    }
