"""Fit and calibrate: rows and vectors → a Model, with the held-out scores it was calibrated on.

The shared encoder as it is, and what it makes of a run's rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Encoder
from classifiers.model.model import (
    Calibration,
    EncoderId,
    Floats,
    LinearHead,
    Model,
    Nearest,
    Novelty,
    Stage,
    Windowing,
)
from classifiers.policy import OTHER, Policy
from classifiers.runtime import heads
from classifiers.runtime.heads import any_logit
from classifiers.runtime.heads import probabilities as squash
from classifiers.runtime.thresholds import NOVELTY_LIMIT, LabelChoice, name_any, name_one, score
from classifiers.training import calibrate, operating_points, split
from classifiers.training.fit import linear
from classifiers.training.fit.ensemble import Pool, blend, pool
from classifiers.training.fit.fitted import MeasuredModel, TunedHead
from classifiers.training.operating_points import answerable, enough, is_foreign, is_real, measured_on, rare
from classifiers.training.rows import Row
from classifiers.training.split import Dealt
from classifiers.training.thresholds import for_any, for_one
from classifiers.training.windows import Windows, each_whole, highest, tuned_windowing
from classifiers.verdict import Verdict

if TYPE_CHECKING:
    from classifiers.training.fit.fitted import Workbench


Advance = Callable[[int, int], None]

_SAFETY_STRENGTH = 3.0
_NEVER_NOVEL = 2.0
_SAFETY_WINDOWS = Windowing(tokens=32, overlap=8)
"""One harmful sentence in long harmless text: AUC 0.80 with these, 0.66 with windows of 128 tokens (contrast rows
inside 250 tokens of Banking77 messages, highest window)."""


def fit(
    policy: Policy,
    rows: Sequence[Row],
    vectors: Floats,
    *,
    encoder: EncoderId,
    seed: int,
    advance: Advance,
    tuned: TunedHead | None = None,
    unseen: NDArray[np.bool_] | None = None,
    windows: Windows | None = None,
    dealt: Dealt | None = None,
    before: Floats | None = None,
) -> MeasuredModel:
    """vectors: (rows, dimensions) of length 1. advance: called with how many fits are done and in all.

    unseen: (rows,) where given, the only rows that are held out to measure on.
    windows, dealt: where several labels may hold, the windows of `windowing` that held-out rows are judged by, and the
    folds that they are held out in where these are known already.
    tuned: where the encoder was tuned on these rows: its own head and one that is fitted anew are pooled (of safety,
    the better is taken) by rows that it has not seen, and nothing else is measured on.
    before: where one label is named, (rows, classes) probabilities by a stage that will stand in front, none of which
    has seen its row; it counts beside this one as far as that makes held-out text likelier, where enough of it is real.
    """
    from threadpoolctl import threadpool_limits

    make = partial(_any_of, windows=windows, dealt=dealt) if policy.multi_label else partial(_one_of, before=before)
    # on matrices this small, BLAS threads wait for each other: ten times slower where anything else runs beside them
    with threadpool_limits(1):
        return make(
            policy, rows, vectors, encoder=encoder, seed=seed, advance=advance, tuned=tuned,
            unseen=tuned.unseen if tuned else unseen,
        )  # fmt: skip


def classes_of(policy: Policy, rows: Sequence[Row]) -> tuple[str, ...]:
    """The classes of a head for these rows."""
    other = not policy.multi_label and any(row.labels == (OTHER,) for row in rows)
    return (*policy.labels, *((OTHER,) if other else ()))


def _one_of(
    policy: Policy,
    rows: Sequence[Row],
    vectors: Floats,
    *,
    encoder: EncoderId,
    seed: int,
    advance: Advance,
    tuned: TunedHead | None,
    unseen: NDArray[np.bool_] | None,
    before: Floats | None,
) -> MeasuredModel:
    classes = classes_of(policy, rows)
    place = {name: index for index, name in enumerate(classes)}
    targets = np.array([place[row.labels[0]] for row in rows], np.int32)
    weights = np.array([row.weight for row in rows], np.float32)
    held = split.one_of(
        rows,
        vectors,
        targets,
        weights=weights,
        count=len(classes),
        seed=seed,
        advance=advance,
        unseen=unseen,
    )
    use, on = measured_on(policy, rows, held.rows)
    truth, sure = targets[held.rows], answerable(policy, rows, held.rows)
    sharpness, share = calibrate.nearest_share(
        held.logits[sure], {s: vote[sure] for s, vote in held.votes.items()}, truth[sure]
    )
    votes, logits = held.votes[sharpness], held.logits
    pooled = Pool(tuned=0.0, fitted=1.0)
    if tuned is not None:
        trained = vectors[held.rows] @ tuned.weights.T + tuned.bias
        pooled = pool(trained[sure], (logits + np.float32(share) * votes)[sure], truth[sure])
        logits, share = pooled.tuned * trained + pooled.fitted * logits, pooled.fitted * share
    scores = logits + np.float32(share) * heads.among_likeliest(votes, logits)
    scale = calibrate.temperature(scores[sure], truth[sure])
    real, strange = is_real(rows, held.rows), is_foreign(rows, held.rows)
    real &= ~strange
    if enough(real):
        calibration = calibrate.fit_offsets(scores[real], truth[real], scale)
        probabilities = calibrate.unseen(scores, truth, real, scale, seed)
    else:
        # written text shows how its writer spread the classes, not how they are met
        calibration = Calibration(scale=np.array([scale], np.float32), offset=np.zeros(len(classes), np.float32))
        probabilities = squash(calibration, scores, multi_label=False)
    earlier = 0.0
    # text by one writer shares its words: it could not show how much a stage of words is worth
    if before is not None and enough(real):
        blended = blend(calibration, before[held.rows], probabilities, truth, sure, spared=rare(truth, sure))
        calibration, probabilities, earlier = blended.calibration, blended.probabilities, blended.earlier
    own = (truth != place.get(OTHER, -1)) & ~strange
    names = np.array([name != OTHER for name in classes])
    usual = calibrate.usual(scores[own][:, names].max(axis=1), truth[own], use[own])
    # beside slots, other is learned from text: a value by itself, or in a new frame, is unlike training and none of it
    limit = NOVELTY_LIMIT if usual and not (policy.slots and policy.other is not None) else _NEVER_NOVEL
    fitted = linear.one_of(vectors, targets, weights, len(classes), seed)
    known = Novelty(prototypes=fitted.exemplars, limit=limit, usual=usual)
    away = score(known, vectors[held.rows], scores[:, names])
    banded = operating_points.of_texts(policy, [rows[index].text for index in held.rows])
    used, unanswered = [banded[index] for index in np.flatnonzero(use)], ((away > limit) | strange)[use]
    chosen = for_one(policy, classes, probabilities[use], truth[use], on=on, novel=unanswered, bands=used)
    stage = Stage(
        encoder=encoder,
        head=_head(classes, fitted, tuned, pooled),
        calibration=calibration,
        thresholds=chosen.thresholds,
        novelty=known,
        nearest=Nearest(owners=fitted.owners, sharpness=sharpness, share=share) if share else None,
        bands=chosen.bands,
        earlier=earlier,
    )
    model = Model(policy=policy, stages=(stage,))
    verdicts = tuple(
        verdict_of(
            policy,
            classes,
            scored,
            name_one(classes, scored, chosen.for_band(band), novel=far > limit, has_other=policy.other is not None),
            far,
        )
        for scored, far, band in zip(probabilities, away.tolist(), banded, strict=True)
    )
    settings = {
        "head": "softmax with whitened prototypes and nearest sentences",
        **({"pool": asdict(pooled)} if tuned else {}),
        "c": linear.C,
        "nearest": {"sharpness": sharpness, "share": share, "exemplars": len(fitted.owners)},
        "temperature": round(1 / float(calibration.scale[0]), 4),
        "usual": usual and {"level": round(usual.level, 4), "width": round(usual.width, 4)},
        "calibrated_on": on,
    }
    return MeasuredModel(
        model=model,
        chosen=chosen,
        rows=held.rows,
        read=tuple(rows[index] for index in held.rows.tolist()),
        verdicts=verdicts,
        used=use,
        settings=settings,
    )


def windowing(policy: Policy) -> Windowing:
    """How the heads on a frozen encoder read a text."""
    return _SAFETY_WINDOWS if policy.kind == "safety" else Windowing()


def _head(classes: tuple[str, ...], fitted: linear.Fitted, tuned: TunedHead | None, pooled: Pool) -> LinearHead:
    weights, bias = pooled.fitted * fitted.weights, pooled.fitted * fitted.bias
    if tuned is not None:
        weights, bias = weights + pooled.tuned * tuned.weights, bias + pooled.tuned * tuned.bias
    return LinearHead(classes=classes, weights=weights.astype(np.float32), bias=bias.astype(np.float32))


def _any_of(
    policy: Policy,
    rows: Sequence[Row],
    vectors: Floats,
    *,
    encoder: EncoderId,
    seed: int,
    advance: Advance,
    tuned: TunedHead | None,
    unseen: NDArray[np.bool_] | None,
    windows: Windows | None,
    dealt: Dealt | None,
) -> MeasuredModel:
    classes = classes_of(policy, rows)
    place = {name: index for index, name in enumerate(classes)}
    holds = np.zeros((len(rows), len(classes)), bool)
    for index, row in enumerate(rows):
        holds[index, [place[label] for label in row.labels]] = True
    weights = np.array([row.weight for row in rows], np.float32)
    held = split.any_of(
        rows,
        vectors,
        holds,
        weights=weights,
        strength=_SAFETY_STRENGTH,
        seed=seed,
        advance=advance,
        unseen=unseen,
        windows=windows,
        dealt=dealt,
    )
    (use, on), truth = measured_on(policy, rows, held.rows), holds[held.rows]
    logits, starts, own_head, counts = held.logits, held.starts, None, np.diff(held.starts, append=len(held.logits))
    if tuned is not None:
        trained = (windows or each_whole(vectors)).only(held.rows).vectors @ tuned.weights.T + tuned.bias
        loss = [calibrate.platt_loss(highest(one, starts)[use], truth[use], counts[use]) for one in (trained, logits)]
        if loss[0] <= loss[1]:
            logits, own_head = trained, tuned
    whole = highest(any_logit(logits), starts)[use]
    calibration = calibrate.any_of(highest(logits, starts)[use], truth[use], whole=whole, among=counts[use])
    # as they are served: each window is judged for itself, then the worst counts
    each = squash(calibration, logits, multi_label=True, among=np.repeat(counts, counts))
    probabilities = highest(each, starts)
    chosen = for_any(policy, probabilities[use], truth[use], on, foreign=is_foreign(rows, held.rows[use]))
    matrix, bias = (
        (own_head.weights, own_head.bias) if own_head else linear.any_of(vectors, holds, weights, _SAFETY_STRENGTH)
    )
    # harmless text is of endless kinds, nearly all of it unlike training: novelty would doubt everything
    never = Novelty(prototypes=np.empty((0, vectors.shape[1]), np.float32), limit=_NEVER_NOVEL)
    stage = Stage(
        encoder=encoder,
        head=LinearHead(classes=classes, weights=matrix, bias=bias),
        calibration=calibration,
        thresholds=chosen.thresholds,
        novelty=never,
        # a tuned encoder knows whole rows, and harm beside what is harmless
        windowing=tuned_windowing(tuned.tokens) if tuned else windowing(policy),
        system_tokens=tuned.system_tokens if tuned else 0,
    )
    verdicts = tuple(
        verdict_of(policy, classes, one, name_any(classes, one, chosen.thresholds), 0.0) for one in probabilities
    )
    settings = {
        "head": "tuned with the encoder" if own_head else "logistic regressions for each label and for any",
        "c": _SAFETY_STRENGTH,
        "platt": {
            name: [round(float(scale), 4), round(float(offset), 4)]
            for name, scale, offset in zip(classes, calibration.scale, calibration.offset, strict=True)
        },
        "platt_of_any": calibration.whole and [round(value, 4) for value in calibration.whole],
        "chances": calibration.chances,
        "calibrated_on": on,
    }
    model = Model(policy=policy, stages=(stage,))
    return MeasuredModel(
        model=model,
        chosen=chosen,
        rows=held.rows,
        read=tuple(rows[index] for index in held.rows.tolist()),
        verdicts=verdicts,
        used=use,
        settings=settings,
    )


def verdict_of(
    policy: Policy, classes: Sequence[str], probabilities: Floats, choice: LabelChoice, novelty: float
) -> Verdict:
    scores = dict(zip(classes, probabilities.tolist(), strict=True))
    return Verdict(
        classifier=policy.name,
        version="",
        labels=choice.labels,
        confidence=choice.confidence,
        scores={label: scores[label] for label in policy.labels},
        novelty=novelty,
        abstention=choice.abstention,
        reason=choice.reason,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """vectors: (rows, dimensions) by `encoder`; before: (rows, classes) what a stage in front of it says, as
    `fit.model` has it."""

    encoder: Encoder
    vectors: Floats
    before: Floats | None = None

    def fit(
        self,
        policy: Policy,
        rows: Sequence[Row],
        bench: "Workbench",
        *,
        unseen: NDArray[np.bool_] | None = None,
        windows: Windows | None = None,
        dealt: Dealt | None = None,
    ) -> MeasuredModel:
        """Heads on it, as `fit.model` fits them."""
        return fit(
            policy,
            rows,
            self.vectors,
            encoder=self.encoder.id,
            seed=bench.seed,
            advance=bench.progress.advance,
            unseen=unseen,
            windows=windows,
            dealt=dealt,
            before=self.before,
        )
