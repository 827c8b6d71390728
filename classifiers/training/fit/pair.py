"""Two encoders for a policy that names one label: the first settles what it is certain of, the last judges the rest,
the first one's judgement beside its own. Pure, but for the detector of languages.

Encoders err apart: both together are right more often than either, and order their answers better by certainty
(docs/design/004-larger-encoders.md).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from classifiers.model import NEVER, Floats, Model, Threshold
from classifiers.policy import OTHER, Policy
from classifiers.thresholds import name_one
from classifiers.training import bands, calibrate, goals
from classifiers.training.fit.blend import blend
from classifiers.training.fit.certain import Told, choose
from classifiers.training.fit.model import classes_of, verdict_of
from classifiers.training.fit.trained import Trained
from classifiers.training.measured import answerable, is_foreign, measured_on
from classifiers.training.rows import Row
from classifiers.verdict import Verdict

MOST_WRONG = 0.01
"""Of what the first encoder settles alone: there its certainty counts, which orders texts less well than both do."""

Names = tuple[str, str]


def joined(policy: Policy, rows: Sequence[Row], first: Trained, last: Trained, *, names: Names) -> Trained | None:
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
    told = Told(probabilities=small, known=known, truth=truth, right=right, before=before, used=sure)
    point = choose(told, max_error=min(policy.goal.max_error if policy.goal else 1.0, MOST_WRONG))
    # the small one settles nothing that is novel to it
    novel = np.array([one.novelty > last.model.last.novelty.limit for one in last.verdicts], bool)
    strange = is_foreign(rows, held)
    texts = bands.of_texts(policy, [rows[index].text for index in held.tolist()])
    banded = [texts[index] for index in np.flatnonzero(used)]

    def chosen_for(act: float) -> tuple[NDArray[np.bool_], Floats, goals.Chosen]:
        settled: NDArray[np.bool_] = known & (small.max(axis=1) >= act)
        mixed, far = np.where(settled[:, None], small, both), novel & ~settled
        return (
            settled,
            mixed,
            goals.for_one(policy, classes, mixed[used], truth[used], on=on, novel=(far | strange)[used], bands=banded),
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
        limits = one.thresholds if over else chosen.of(texts[place])
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


def _limits(chosen: goals.Chosen) -> list[Threshold]:
    return [limit for own in chosen.bands.values() for limit in own.values()]


def gains(both: float, first: float) -> bool:
    """Whether two encoders are worth their time: by how unlikely both, and the first alone, make held-out truth."""
    return both < first


def _only(trained: Trained, held: NDArray[np.intp]) -> Trained:
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
