"""Two encoders for a policy that names one label: the first settles what it is certain of, the last judges the rest,
the first one's judgement beside its own. Pure, but for the detector of languages.

Encoders err apart: both together are right more often than either, and order their answers better by certainty
(docs/design/004-larger-encoders.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.linear import pooled_one
from classifiers.model import NEVER, Calibration, Floats, Model, Threshold
from classifiers.policy import OTHER, Policy
from classifiers.thresholds import name_one
from classifiers.training import bands, calibrate, goals
from classifiers.training.fit.certain import Told, choose
from classifiers.training.fit.linear import Ints
from classifiers.training.fit.model import Trained, classes_of, verdict_of
from classifiers.training.measured import measured_on
from classifiers.training.rows import Row
from classifiers.verdict import Verdict

SHARES = (0.0, 0.25, 0.4, 0.5, 0.6, 0.75)
"""Of the first encoder beside the last, of which the one that makes held-out text likeliest is taken."""

MOST_WRONG = 0.01
"""Of what the first encoder settles alone: there its certainty counts, which orders texts less well than both do."""

_MOST_EARLIER = 0.9

Names = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blend:
    """earlier, calibration: as the last stage holds them; probabilities: (n, classes) of both together."""

    earlier: float
    calibration: Calibration
    probabilities: Floats


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
    blend = _blend(last.model.last.calibration, small, large, truth, used)
    if blend is None:
        return None
    both = blend.probabilities
    right, before = small.argmax(axis=1) == truth, both.argmax(axis=1) == truth
    known = np.array([one.novelty <= first.model.last.novelty.limit for one in first.verdicts], bool)
    told = Told(probabilities=small, known=known, right=right, before=before, used=used, scale=1.0)
    point = choose(told, max_error=min(policy.goal.max_error if policy.goal else 1.0, MOST_WRONG))
    texts = bands.of_texts(policy, [rows[index].text for index in held.tolist()])

    def chosen_for(act: float) -> tuple[NDArray[np.bool_], Floats, goals.Chosen]:
        settled: NDArray[np.bool_] = known & (small.max(axis=1) >= act)
        mixed = np.where(settled[:, None], small, both)
        use = np.flatnonzero(used)
        return (
            settled,
            mixed,
            goals.for_one(policy, classes, mixed[used], truth[used], on=on, bands=[texts[index] for index in use]),
        )

    act = point.act if point else NEVER.act
    settled, mixed, chosen = chosen_for(act)
    needed = max(limit.act for limit in (*chosen.thresholds.values(), *_limits(chosen)))
    if needed > act:
        # what the small one settles is answered, so it must be as certain as the rest of what is
        act = needed
        settled, mixed, chosen = chosen_for(act)
    one = replace(
        first.model.last, name=names[0], bands={}, thresholds={name: Threshold(act=act, unsure=act) for name in classes}
    )
    two = replace(
        last.model.last,
        name=names[1],
        earlier=blend.earlier,
        calibration=blend.calibration,
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
        "earlier": round(blend.earlier, 4),
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
    verdicts = tuple(trained.verdicts[place] for place in places.tolist())
    return replace(trained, rows=held, verdicts=verdicts, used=trained.used[places])


def _blend(
    calibration: Calibration, small: Floats, large: Floats, truth: Ints, used: NDArray[np.bool_]
) -> _Blend | None:
    """How much the first encoder counts, and the last one's calibration with it beside; None where the first is as good
    alone. calibration: the last one's by itself; small, large: (n, classes) calibrated probabilities of held-out rows,
    of which the `used` ones count."""
    tried = []
    for share in SHARES:
        logits = np.log(np.maximum(pooled_one(large, small, share), 1e-30))
        tried.append(
            (calibrate.loss(logits[used], truth[used]), share, calibrate.temperature(logits[used], truth[used]))
        )
    loss, share, sharper = min(tried)
    if not gains(loss, calibrate.loss(np.log(np.maximum(small, 1e-30))[used], truth[used])):
        return None
    earlier = min(share * sharper, _MOST_EARLIER)
    scale = sharper * (1 - share) / (1 - earlier)
    sharpened = large.astype(np.float64) ** scale
    sharpened /= sharpened.sum(axis=1, keepdims=True)
    return _Blend(
        earlier=earlier,
        # a power of probabilities is a multiple of all that stands in the exponent
        calibration=replace(
            calibration,
            scale=(calibration.scale * scale).astype(np.float32),
            offset=(calibration.offset * scale).astype(np.float32),
        ),
        probabilities=pooled_one(sharpened.astype(np.float32), small, earlier),
    )


def _probabilities(classes: Sequence[str], verdicts: Sequence[Verdict]) -> Floats:
    """(n, classes) as verdicts hold them; `other` is what the labels leave."""
    found = np.array([[one.scores.get(name, 0.0) for name in classes] for one in verdicts], np.float32)
    if classes[-1] == OTHER:
        found[:, -1] = np.clip(1 - found[:, :-1].sum(axis=1), 0, 1)
    return found
