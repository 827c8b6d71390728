"""Two encoders for a policy that names one label: the first settles what it is certain of, the last judges the rest,
the first one's judgement beside its own. Pure, but for the detector of languages.

Encoders err apart: both together are right more often than either, and order their answers better by certainty
(docs/design/002-cascades.md).

A larger frozen encoder beside the small one, for a policy that names one label. Nothing is tuned; what it takes is
reading the rows once.

What each share of questions to a large stage buys, on held-out text: the points that a report shows. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Encoder
from classifiers.evaluation.metrics import average_precision
from classifiers.model.model import NEVER, Floats, Model, Threshold
from classifiers.policy import OTHER, Policy
from classifiers.runtime.thresholds import name_one
from classifiers.training import calibrate, operating_points, thresholds
from classifiers.training.fit import tuning_set
from classifiers.training.fit.ensemble import blend
from classifiers.training.fit.fitted import LARGE, SMALL, MeasuredModel, Names, milliseconds
from classifiers.training.fit.heads import Frozen, classes_of, verdict_of
from classifiers.training.fit.torch_export import exported
from classifiers.training.fit.tuning_set import targets_of
from classifiers.training.operating_points import Bools, HeldOutScores, answerable, choose_exit, is_foreign, measured_on
from classifiers.training.rows import Row
from classifiers.training.windows import wholes
from classifiers.verdict import Verdict

if TYPE_CHECKING:
    from classifiers.training.fit.fitted import FittedModel, Workbench


MOST_WRONG = 0.01
"""Of what the first encoder settles alone: there its certainty counts, which orders texts less well than both do."""


def joined(
    policy: Policy, rows: Sequence[Row], first: MeasuredModel, last: MeasuredModel, *, names: Names
) -> MeasuredModel | None:
    """The model of both stages, or None where held-out text gained nothing by the last one.

    first, last: either fitted by itself on the same rows; names: of the stages. What is measured is measured on the
    held-out rows that both have.
    """
    classes = classes_of(policy, rows)
    held = np.intersect1d(first.rows, last.rows)
    first, last = _only(first, held), _only(last, held)
    used, on = measured_on(policy, rows, held)
    truth = np.array([classes.index(rows[index].labels[0]) for index in held.tolist()], np.int32)
    small, large = (_probabilities(classes, one.verdicts) for one in (first, last))
    sure = answerable(policy, rows, held)
    blended = blend(last.model.last.calibration, small, large, truth, sure)
    if not gains(blended.loss, calibrate.loss(np.log(np.maximum(small, 1e-30))[sure], truth[sure])):
        return None
    both = blended.probabilities
    right, before = small.argmax(axis=1) == truth, both.argmax(axis=1) == truth
    known = np.array([one.novelty <= first.model.last.novelty.limit for one in first.verdicts], bool)
    told = HeldOutScores(probabilities=small, known=known, truth=truth, right=right, before=before, used=sure)
    point = choose_exit(told, max_error=min(policy.goal.max_error if policy.goal else 1.0, MOST_WRONG))
    # the small one settles nothing that is novel to it
    novel = np.array([one.novelty > last.model.last.novelty.limit for one in last.verdicts], bool)
    strange = is_foreign(rows, held)
    texts = operating_points.of_texts(policy, [rows[index].text for index in held.tolist()])
    banded = [texts[index] for index in np.flatnonzero(used)]

    def chosen_for(act: float) -> tuple[NDArray[np.bool_], Floats, thresholds.ChosenThresholds]:
        settled: NDArray[np.bool_] = known & (small.max(axis=1) >= act)
        mixed, far = np.where(settled[:, None], small, both), novel & ~settled
        return (
            settled,
            mixed,
            thresholds.for_one(
                policy, classes, mixed[used], truth[used], on=on, novel=(far | strange)[used], bands=banded
            ),
        )

    act = point.act if point else NEVER.act
    settled, mixed, chosen = chosen_for(act)
    # what the small one settles is answered, so it must be as certain as the rest of what is
    while (needed := max(limit.act for limit in (*chosen.thresholds.values(), *_limits(chosen)))) > act:
        act = needed
        settled, mixed, chosen = chosen_for(act)
    one = replace(
        first.model.last, name=names[0], bands={}, thresholds={name: Threshold(act=act, unsure=act) for name in classes}
    )
    two = replace(
        last.model.last,
        name=names[1],
        earlier=blended.earlier,
        calibration=blended.calibration,
        thresholds=chosen.thresholds,
        bands=chosen.bands,
    )
    verdicts = []
    for place, over in enumerate(settled.tolist()):
        stage, told_by = (one, first) if over else (two, last)
        limits = one.thresholds if over else chosen.for_band(texts[place])
        far = told_by.verdicts[place].novelty
        choice = name_one(
            classes, mixed[place], limits, novel=far > stage.novelty.limit, has_other=policy.other is not None
        )
        verdicts.append(replace(verdict_of(policy, classes, mixed[place], choice, far), stage=stage.name))
    shown = {
        "settled_by_first": round(float(settled[used].mean()), 4),
        "act": round(min(act, 1.0), 5),
        "earlier": round(blended.earlier, 4),
        "accuracy": {
            f"{names[0]} alone": round(float(right[used].mean()), 4),
            f"{names[1]} alone": round(float((large.argmax(axis=1) == truth)[used].mean()), 4),
            "both": round(float((mixed.argmax(axis=1) == truth)[used].mean()), 4),
        },
        **({} if point is None else {"lost": round(point.lost, 5), "most_lost": round(point.most_lost, 5)}),
    }
    settings = {**last.settings, "calibrated_on": on, "two_encoders": shown}
    return replace(
        last,
        model=Model(policy=policy, stages=(one, two)),
        chosen=chosen,
        used=used,
        verdicts=tuple(verdicts),
        settings=settings,
    )


def _limits(chosen: thresholds.ChosenThresholds) -> list[Threshold]:
    return [limit for own in chosen.bands.values() for limit in own.values()]


def gains(both: float, first: float) -> bool:
    """Whether two encoders are worth their time: by how unlikely both, and the first alone, make held-out truth."""
    return both < first


def _only(trained: MeasuredModel, held: NDArray[np.intp]) -> MeasuredModel:
    """The same, measured on some of its held-out rows."""
    places = np.searchsorted(trained.rows, held)
    read, verdicts = (tuple(of[place] for place in places.tolist()) for of in (trained.read, trained.verdicts))
    return replace(trained, rows=held, read=read, verdicts=verdicts, used=trained.used[places])


def _probabilities(classes: Sequence[str], verdicts: Sequence[Verdict]) -> Floats:
    """(n, classes) as verdicts hold them; `other` is what the labels leave."""
    found = np.array([[one.scores.get(name, 0.0) for name in classes] for one in verdicts], np.float32)
    if classes[-1] == OTHER:
        found[:, -1] = np.clip(1 - found[:, :-1].sum(axis=1), 0, 1)
    return found


_COMPARED = 200


def fit_two_encoders(policy: Policy, rows: Sequence[Row], frozen: Frozen, bench: "Workbench") -> "FittedModel | None":
    """frozen: the small one. None where held-out text gained nothing.

    Raises TrainingError, EncoderError.
    """
    from classifiers.training.fit.fitted import FittedModel

    first = frozen.fit(policy, rows, bench)
    larger, folder, agreed = _larger(policy, rows, bench)
    bench.progress.step("larger_encoder: reading the rows")
    seen = wholes(larger, [row.text for row in rows], bench.progress.advance)
    last = Frozen(encoder=larger, vectors=seen).fit(policy, rows, bench)
    trained = joined(policy, rows, first, last, names=(SMALL, LARGE))
    if trained is None:
        return None
    trained.settings["two_encoders"] |= {
        "larger": policy.larger_encoder,
        "export": agreed,
        "ms": [round(milliseconds(one), 2) for one in (frozen.encoder, larger)],
    }
    return FittedModel(
        trained=trained, encoders=(frozen.encoder, larger), samples=(frozen.vectors, seen), own={LARGE: folder}
    )


def _larger(policy: Policy, rows: Sequence[Row], bench: "Workbench") -> tuple[Encoder, Path, dict[str, Any]]:
    """The larger encoder as it serves, in int8 where that agrees with what it was."""
    from classifiers.training.fit.torch_encoder import TorchEncoder, torch_threads
    from classifiers.training.fit.weights import find_weights

    bench.progress.step("larger_encoder: exporting it to int8")
    with torch_threads(bench.threads, bench.seed):
        whole = TorchEncoder(find_weights(policy.larger_encoder, bench.base_dir, bench.models_dir), tokens=128)
        some = rows[:: max(1, len(rows) // _COMPARED)]
        texts = [row.text for row in some]
        before = whole.vectors(whole.tokenize(texts), bf16=False)
        head = tuning_set.centroids(before, targets_of(policy, some), np.ones(len(some), np.float32))
        return exported(whole, head, texts, LARGE, bench, multi_label=False)


SMALL_ALONE, LARGE_ALONE = "small alone", "large alone"

_SHARES = (0.05, 0.1, 0.15, 0.25, 0.5)
_NONE, _ALL = NEVER, replace(NEVER, unsure=-0.1)
"""Bands that ask the large stage about nothing, and about everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What both stages say of the held-out rows. rows: (n,) their indexes; used: (n,) which calibrate; on: what they
    are, for people; truth, small, large: (n, labels), both: the large one's with the small one's beside it; ms: of
    either encoder for a window of 32 tokens."""

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
