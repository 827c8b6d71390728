"""Two encoders for a policy that names one label: the first settles what it is certain of, the last judges the rest,
and the first one's judgement counts with its own.

Encoders err apart: both together are right more often than either, and order their answers better by certainty
(docs/design/002-cascades.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from classifiers.encoder.session import Encoder
from classifiers.model.model import NEVER, Bools, Floats, Threshold
from classifiers.policy import OTHER, Policy
from classifiers.runtime.thresholds import name_one
from classifiers.training import calibrate, operating_points
from classifiers.training.fit import fitted
from classifiers.training.fit.ensemble import blend
from classifiers.training.fit.heads import choose, fit, measured, verdict_of
from classifiers.training.fit.tuning_set import centroids, targets_of
from classifiers.training.fit.weights import find_weights
from classifiers.training.rows import Row
from classifiers.training.thresholds import ChosenThresholds
from classifiers.training.windows import wholes
from classifiers.verdict import Verdict

MOST_WRONG = 0.01
"""Of what the first encoder settles alone: there its certainty counts, which orders texts less well than both do."""
_COMPARED = 200
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def cascade_model(
    policy: Policy,
    rows: Sequence[Row],
    first: fitted.MeasuredModel,
    last: fitted.MeasuredModel,
    *,
    names: tuple[str, str],
    record: Mapping[str, Any] = _NOTHING,
) -> fitted.MeasuredModel | None:
    """The model of both stages, or None where held-out text gained nothing by the last one. first, last: either fitted
    by itself on the same rows; names: of the stages; record: more for the report. What is measured is measured on the
    held-out rows that both have."""
    pair = _HeldOutPair(policy, rows, first, last)
    alone = calibrate.loss(np.log(np.maximum(pair.small, 1e-30))[pair.sure], pair.truth[pair.sure])
    if not gains(pair.blended.loss, alone):
        return None
    act, settled, mixed, chosen = pair.exit()
    limits = {name: Threshold(act=act, unsure=act) for name in pair.classes}
    stages = (
        replace(first.model.last, name=names[0], bands={}, thresholds=limits),
        replace(
            last.model.last,
            name=names[1],
            earlier=pair.blended.earlier,
            calibration=pair.blended.calibration,
            thresholds=chosen.thresholds,
            bands=chosen.bands,
        ),
    )
    return measured(
        policy,
        rows,
        pair.held,
        stages=stages,
        chosen=chosen,
        verdicts=pair.verdicts(settled, mixed, limits, chosen, names),
        used=pair.used,
        settings={
            **last.settings,
            "calibrated_on": pair.on,
            "two_encoders": {**pair.shares(names, settled, mixed), **record},
        },
    )


def gains(both: float, first: float) -> bool:
    """Whether two encoders are worth their time: by how unlikely both, and the first alone, make held-out truth."""
    return both < first


class _HeldOutPair:
    """What both models say of the held-out rows that both have.

    held: their indexes; used: (n,) which calibrate, on: what they are; sure: (n,) which show how sure a judge may be.
    small, large: (n, classes) probabilities; blended: of both together; truth: (n,) classes.
    far: (n,) how novel each is to either model; known: (n,) which are not novel to the first one.
    act: from where on the first one settles texts; None where it settles none.
    """

    def __init__(
        self, policy: Policy, rows: Sequence[Row], first: fitted.MeasuredModel, last: fitted.MeasuredModel
    ) -> None:
        self.policy, self.classes, models = policy, fitted.classes_of(policy, rows), (first, last)
        self.held = np.intersect1d(first.rows, last.rows)
        here = [rows[index] for index in self.held.tolist()]
        own = [[model.verdicts[place] for place in np.searchsorted(model.rows, self.held)] for model in models]
        self.small, self.large = (_probabilities(self.classes, verdicts) for verdicts in own)
        self.far = [np.array([verdict.novelty for verdict in verdicts]) for verdicts in own]
        self.limits = [model.model.last.novelty.limit for model in models]
        self.known: Bools = self.far[0] <= self.limits[0]
        self.used, self.on = operating_points.measured_on(policy, rows, self.held)
        self.shown: Bools = self.used | operating_points.of_no_label(rows, self.held)
        self.here = here
        # the last encoder may be tuned, and then knows all labels
        self.outside = first.outside
        self.sure = operating_points.answerable(policy, rows, self.held)
        self.truth = np.array([self.classes.index(row.labels[0]) for row in here], np.int32)
        self.blended = blend(last.model.last.calibration, self.small, self.large, self.truth, self.sure)
        self.bands = operating_points.of_texts(policy, [row.text for row in here])
        self.foreign = operating_points.is_foreign(rows, self.held)
        scores = operating_points.HeldOutScores(
            probabilities=self.small,
            known=self.known,
            truth=self.truth,
            right=self.small.argmax(axis=1) == self.truth,
            before=self.blended.probabilities.argmax(axis=1) == self.truth,
            used=self.sure,
        )
        self.act = operating_points.choose_exit(
            scores, max_error=min(policy.goal.max_error if policy.goal else 1.0, MOST_WRONG)
        )

    def exit(self) -> tuple[float, Bools, Floats, ChosenThresholds]:
        """From where on the first stage settles texts, (n,) which, (n, classes) of both, the last one's thresholds."""
        act, places = self.act if self.act is not None else NEVER.act, np.flatnonzero(self.shown)
        read = [self.here[index] for index in places.tolist()]
        bands = [self.bands[index] for index in places.tolist()]
        while True:
            settled: Bools = self.known & (self.small.max(axis=1) >= act)
            mixed = np.where(settled[:, None], self.small, self.blended.probabilities)
            # what the first one settles is not novel to it
            novel = (((self.far[1] > self.limits[1]) & ~settled) | self.foreign)[places]
            chosen = choose(
                self.policy,
                self.classes,
                mixed[places],
                read,
                on=self.on,
                novel=novel,
                bands=bands,
                outside=self.outside,
            )
            banded = [limit for own in chosen.bands.values() for limit in own.values()]
            needed = max(limit.act for limit in (*chosen.thresholds.values(), *banded))
            # what the first stage settles is answered, so it must be as certain as the rest of what is
            if needed <= act:
                return act, settled, mixed, chosen
            act = needed

    def verdicts(
        self,
        settled: Bools,
        mixed: Floats,
        limits: Mapping[str, Threshold],
        chosen: ChosenThresholds,
        names: tuple[str, str],
    ) -> list[Verdict]:
        """What both stages say of each row. limits: of the first one."""
        verdicts = []
        for place, exits in enumerate(settled.tolist()):
            stage, own = (0, limits) if exits else (1, chosen.for_band(self.bands[place]))
            far = float(self.far[stage][place])
            choice = name_one(self.classes, mixed[place], own, novel=far > self.limits[stage])
            verdicts.append(verdict_of(self.policy, self.classes, mixed[place], choice, far, stage=names[stage]))
        return verdicts

    def shares(self, names: tuple[str, str], settled: Bools, mixed: Floats) -> dict[str, Any]:
        judges = {f"{names[0]} alone": self.small, f"{names[1]} alone": self.large, "both": mixed}
        right = {name: (scores.argmax(axis=1) == self.truth)[self.used] for name, scores in judges.items()}
        return {
            "settled_by_first": round(float(settled[self.used].mean()), 4),
            "accuracy": {name: round(float(mask.mean()), 4) for name, mask in right.items()},
        }


def _probabilities(classes: Sequence[str], verdicts: Sequence[Verdict]) -> Floats:
    """(n, classes) as verdicts hold them; `other` is what the labels leave."""
    shares = np.array([[verdict.scores.get(name, 0.0) for name in classes] for verdict in verdicts], np.float32)
    if classes[-1] == OTHER:
        shares[:, -1] = np.clip(1 - shares[:, :-1].sum(axis=1), 0, 1)
    return shares


def fit_two_encoders(training: fitted.TrainingSet, bench: fitted.Workbench) -> fitted.FittedModel | None:
    """A larger frozen encoder behind the small one. Nothing is tuned; what it takes is reading the rows once. None
    where held-out text gained nothing. Raises TrainingError, EncoderError."""
    policy, rows, small = training.policy, training.rows, training.encoder
    first = fit(training, bench)
    bench.progress.step("cascade: exporting it to int8")
    larger, folder, agreed = _larger(policy, rows, bench)
    bench.progress.step("cascade: reading the rows")
    vectors = wholes(larger, [row.text for row in rows], bench.progress.advance)
    last = fit(fitted.TrainingSet(policy=policy, rows=rows, encoder=larger, vectors=vectors), bench)
    record = {"larger": policy.larger_encoder, "export": agreed}
    trained = cascade_model(policy, rows, first, last, names=(fitted.SMALL, fitted.LARGE), record=record)
    if trained is None:
        return None
    return fitted.FittedModel(
        trained=trained, encoders=(small, larger), samples=(training.vectors, vectors), own={fitted.LARGE: folder}
    )


def _larger(policy: Policy, rows: Sequence[Row], bench: fitted.Workbench) -> tuple[Encoder, Path, dict[str, Any]]:
    """The larger encoder as it serves, in int8 where that agrees with what it was."""
    from classifiers.training.fit.torch_encoder import TorchEncoder, torch_threads
    from classifiers.training.fit.torch_export import exported

    with torch_threads(bench.threads, bench.seed):
        whole = TorchEncoder(find_weights(policy.larger_encoder, bench.base_dir, bench.models_dir), tokens=128)
        some = rows[:: max(1, len(rows) // _COMPARED)]
        before = whole.vectors(whole.tokenize([row.text for row in some]), bf16=False)
        weights, bias = centroids(before, targets_of(policy, some), np.ones(len(some), np.float32))
        head = fitted.TunedHead(weights=weights, bias=bias, unseen=np.ones(len(some), bool), tokens=whole.tokens)
        return exported(whole, head, some, fitted.LARGE, bench)
