"""Heads on an encoder's vectors, fitted and calibrated: rows and vectors become a measured model."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.model.model import Band, Bools, Calibration, Floats, Head, Model, Nearest, Novelty, Stage, Windowing
from classifiers.policy import OTHER, Policy
from classifiers.runtime import cascade, heads
from classifiers.runtime.heads import any_logit
from classifiers.runtime.heads import probabilities as squash
from classifiers.runtime.thresholds import NOVELTY_LIMIT, LabelChoice, name_any, name_one, score
from classifiers.training import calibrate, operating_points, split
from classifiers.training.fit import linear
from classifiers.training.fit.ensemble import WRITTEN_SHARE, Blend, blend, pool
from classifiers.training.fit.fitted import MeasuredModel, OutsideText, TrainingSet, TunedHead, Workbench
from classifiers.training.fit.linear import Ints
from classifiers.training.label_thresholds import OrdinaryTraffic, for_any
from classifiers.training.rows import Row
from classifiers.training.split import HeldOutWindows
from classifiers.training.thresholds import ChosenThresholds, for_one
from classifiers.training.windows import each_whole, highest, tuned_windowing, wholes
from classifiers.verdict import Verdict

Advance = Callable[[int, int], None]

_SAFETY_STRENGTH = 3.0
_NEVER_NOVEL = 2.0
NO_CLASS = -1
"""The class of text out of scope, of a model that has no class `other`."""
_SAFETY_WINDOWS = Windowing(tokens=32, overlap=8)
"""One harmful sentence in long harmless text: AUC 0.80 with these, 0.66 with windows of 128 tokens (contrast rows
inside 250 tokens of Banking77 messages, highest window)."""
_PARTS = Windowing(tokens=64, overlap=8, units=True)
"""Where a head has a hidden layer: a sentence by itself is not diluted (docs/design/004-guards.md)."""


def fit(training: TrainingSet, bench: Workbench) -> MeasuredModel:
    """Fit heads on vectors and calibrate them on held-out rows."""
    from threadpoolctl import threadpool_limits

    # on matrices this small, BLAS threads wait for each other: ten times slower where anything else runs
    with threadpool_limits(1):
        return (_multi_label if training.policy.multi_label else _single_label)(training, bench)


def windowing(policy: Policy) -> Windowing:
    """How the heads on a frozen encoder read a text."""
    return _PARTS if policy.reads_parts else _SAFETY_WINDOWS if policy.kind == "safety" else Windowing()


def never_novel(dimensions: int) -> Novelty:
    """To which nothing is novel."""
    return Novelty(prototypes=np.empty((0, dimensions), np.float32), limit=_NEVER_NOVEL)


def measured(
    policy: Policy,
    rows: Sequence[Row],
    held: NDArray[np.intp],
    *,
    stages: Iterable[Stage],
    chosen: ChosenThresholds,
    verdicts: Iterable[Verdict],
    used: Bools,
    settings: dict[str, Any],
) -> MeasuredModel:
    """A model of these stages. held: the indexes of held-out rows; used: (held,) which of them calibrated it."""
    return MeasuredModel(
        model=Model(policy=policy, stages=tuple(stages)),
        chosen=chosen,
        rows=held,
        read=tuple(rows[index] for index in held.tolist()),
        verdicts=tuple(verdicts),
        used=used,
        settings=settings,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeldOutLogits:
    """Held-out rows before calibration. rows: (n,) indexes; truth: (n,) classes; scores: (n, classes). sure: (n,) which
    rows show how sure a judge may be. sharpness, share: of the votes of the nearest sentences; pooled: what the tuned
    head and the fitted one count."""

    rows: NDArray[np.intp]
    truth: Ints
    scores: Floats
    sure: Bools
    sharpness: float
    share: float
    pooled: tuple[float, float]


def _single_label(training: TrainingSet, bench: Workbench) -> MeasuredModel:
    policy, rows, classes = training.policy, training.rows, training.classes
    targets = np.array([classes.index(row.labels[0]) for row in rows], np.int32)
    held = _held_out_logits(training, bench, targets)
    calibrated = _calibrated(training, held, bench.seed)
    fitted = linear.one_of(training.vectors, targets, training.weights, len(classes), bench.seed)
    use, on = operating_points.measured_on(policy, rows, held.rows)
    novelty, far = _novelty(training, fitted, held, use)
    novel = far > novelty.limit
    own, (share, rest) = training.tuned or fitted, held.pooled
    weights, bias = rest * fitted.weights + share * own.weights, rest * fitted.bias + share * own.bias
    stage = Stage(
        encoder=training.encoder.id,
        head=Head(classes=classes, weights=weights.astype(np.float32), bias=bias.astype(np.float32)),
        calibration=calibrated.calibration,
        thresholds={},
        novelty=novelty,
        nearest=Nearest(owners=fitted.owners, sharpness=held.sharpness, share=held.share) if held.share else None,
        earlier=calibrated.earlier,
    )
    outside = _outside(training, stage, held, targets, bench.seed)
    bands = operating_points.of_texts(policy, [rows[index].text for index in held.rows])
    shown = use | operating_points.of_no_label(rows, held.rows)
    chosen = choose(
        policy,
        classes,
        calibrated.probabilities[shown],
        [rows[index] for index in held.rows[shown].tolist()],
        on=on,
        novel=(novel | operating_points.is_foreign(rows, held.rows))[shown],
        bands=[bands[index] for index in np.flatnonzero(shown)],
        outside=outside,
    )
    stage = replace(stage, thresholds=chosen.thresholds, bands=chosen.bands)
    verdicts = [
        verdict_of(policy, classes, row, name_one(classes, row, limits, novel=new), away)
        for row, limits, new, away in zip(
            calibrated.probabilities, map(chosen.for_band, bands), novel.tolist(), far.tolist(), strict=True
        )
    ]
    settings = {
        "head": "softmax with whitened prototypes and nearest sentences",
        "nearest": {"sharpness": held.sharpness, "share": held.share, "exemplars": len(fitted.owners)},
        "calibrated_on": on,
    }
    made = measured(
        policy, rows, held.rows, stages=(stage,), chosen=chosen, verdicts=verdicts, used=use, settings=settings
    )
    return replace(made, outside=outside)


def choose(
    policy: Policy,
    classes: Sequence[str],
    probabilities: Floats,
    read: Sequence[Row],
    *,
    on: str,
    novel: Bools,
    bands: Sequence[Band],
    outside: OutsideText | None,
) -> ChosenThresholds:
    """Thresholds by held-out rows and by text out of scope. read: the rows of probabilities, novel and bands."""
    outside = outside or OutsideText.nothing(len(classes))
    place = {name: index for index, name in enumerate(classes)}
    truth = [place.get(row.labels[0], NO_CLASS) for row in read]
    own = [_kind_of(row) for row in read]
    return for_one(
        policy,
        classes,
        np.concatenate([probabilities, outside.probabilities]),
        np.array([*truth, *[place.get(OTHER, NO_CLASS)] * len(outside.kinds)], np.int32),
        on=on,
        novel=np.concatenate([novel, outside.novel]),
        # of a band's length and language, text out of scope shows no more than any other does
        bands=[*bands, *outside.bands],
        kinds=[*own, *outside.kinds],
    )


def _kind_of(row: Row) -> str:
    if row.labels not in {(OTHER,), ()}:
        return operating_points.IN_SCOPE
    return operating_points.EVERYDAY if row.source == "builtin" else OTHER


def _outside(training: TrainingSet, stage: Stage, held: _HeldOutLogits, targets: Ints, seed: int) -> OutsideText:
    """Text of `training.outside`, and the policy's own text judged by fits that do not know its label."""
    policy, rows, count = training.policy, training.rows, len(training.classes)
    kinds, texts = [kind for kind, _ in training.outside], [text for _, text in training.outside]
    scores, far = np.zeros((0, count), np.float32), np.zeros(0, np.float32)
    if texts:
        scores, far = cascade.score(stage, wholes(training.encoder, texts))
    near = None
    # a tuned encoder knows all labels, whatever its head does
    if training.tuned is None and training.neighbours:
        near = split.left_out(
            rows,
            training.vectors,
            targets,
            weights=training.weights,
            count=count,
            labels=len(policy.labels),
            sharpness=held.sharpness,
            seed=seed,
        )
    if near is not None:
        own = near.logits + np.float32(held.share) * heads.among_likeliest(near.votes[held.sharpness], near.logits)
        scores = np.concatenate([scores, own])
        named = own[:, : len(policy.labels)]
        far = np.concatenate([far, score(stage.novelty, training.vectors[near.rows], named)])
        kinds += [operating_points.NEIGHBOURS] * len(near.rows)
        texts += [rows[index].text for index in near.rows.tolist()]
    probabilities, table = squash(stage.calibration, scores, multi_label=False), training.ngrams
    if table and stage.earlier:
        before = np.concatenate([table.outside, table.left_out[[] if near is None else near.rows]])
        probabilities = heads.pooled_one(probabilities, before, np.array(stage.earlier, np.float32))
    return OutsideText(
        probabilities=probabilities,
        novel=far > stage.novelty.limit,
        kinds=kinds,
        bands=operating_points.of_texts(policy, texts),
    )


def _held_out_logits(training: TrainingSet, bench: Workbench, targets: Ints) -> _HeldOutLogits:
    """The scores of the linear head, of the nearest sentences and of the tuned head as one."""
    tuned = training.tuned
    held = split.one_of(
        training.rows,
        training.vectors,
        targets,
        weights=training.weights,
        count=len(training.classes),
        seed=bench.seed,
        advance=bench.progress.advance,
        unseen=training.held_out,
        dealt=training.dealt,
    )
    truth, sure = targets[held.rows], operating_points.answerable(training.policy, training.rows, held.rows)
    sharpness, share = calibrate.nearest_share(
        held.logits[sure], {sharp: vote[sure] for sharp, vote in held.votes.items()}, truth[sure]
    )
    votes, logits, pooled = held.votes[sharpness], held.logits, (0.0, 1.0)
    if tuned is not None:
        own = training.vectors[held.rows] @ tuned.weights.T + tuned.bias
        pooled = pool(own[sure], (logits + np.float32(share) * votes)[sure], truth[sure])
        logits, share = pooled[0] * own + pooled[1] * logits, pooled[1] * share
    scores = logits + np.float32(share) * heads.among_likeliest(votes, logits)
    return _HeldOutLogits(
        rows=held.rows, truth=truth, scores=scores, sure=sure, sharpness=sharpness, share=share, pooled=pooled
    )


def _calibrated(training: TrainingSet, held: _HeldOutLogits, seed: int) -> Blend:
    scale = calibrate.temperature(held.scores[held.sure], held.truth[held.sure])
    real = operating_points.is_real(training.rows, held.rows) & ~operating_points.is_foreign(training.rows, held.rows)
    shown, table = operating_points.enough(real), training.ngrams
    if shown:
        calibration = calibrate.fit_offsets(held.scores[real], held.truth[real], scale)
        own = calibrate.unseen(held.scores, held.truth, real, calibration, seed)
    else:
        # written text shows how its writer spread the classes, not how they are met
        offset = np.zeros(len(training.classes), np.float32)
        calibration = Calibration(scale=np.array([scale], np.float32), offset=offset)
        own = squash(calibration, held.scores, multi_label=False)
    if table is None or (training.tuned and not shown):
        return Blend(earlier=0.0, calibration=calibration, probabilities=own)
    tried = {"spared": operating_points.rare(held.truth, held.sure)} if shown else {"shares": (WRITTEN_SHARE,)}
    return blend(calibration, table.held_out[held.rows], own, held.truth, held.sure, **tried)


def _novelty(training: TrainingSet, fitted: linear.Fitted, held: _HeldOutLogits, use: Bools) -> tuple[Novelty, Floats]:
    """What is novel to the model, and (n,) how novel each held-out row is."""
    policy = training.policy
    named = np.array([name != OTHER for name in training.classes])
    own = named[held.truth] & ~operating_points.is_foreign(training.rows, held.rows)
    usual = calibrate.usual(held.scores[own][:, named].max(axis=1), held.truth[own], use[own])
    # with slots, other is learned from text: a value by itself, or in a new frame, is unlike training and none of it
    limit = NOVELTY_LIMIT if usual and not (policy.slots and policy.other is not None) else _NEVER_NOVEL
    novelty = Novelty(prototypes=fitted.exemplars, limit=limit, usual=usual)
    return novelty, score(novelty, training.vectors[held.rows], held.scores[:, named])


def _multi_label(training: TrainingSet, bench: Workbench) -> MeasuredModel:
    policy, rows, classes, tuned = training.policy, training.rows, training.classes, training.tuned
    holds = np.array([[name in row.labels for name in classes] for row in rows], bool)
    held, own_head = _held_out_windows(training, bench, holds)
    best = Head(classes=classes, weights=own_head.weights, bias=own_head.bias) if own_head else None
    head = best or _fit_any(training, bench.seed)(training.vectors, holds, training.weights)
    # a text of many parts has many chances: as rows are found among others, they are calibrated
    calm = operating_points.ordinary_kinds(policy, rows, held.rows) != ""
    if policy.builds_on:
        # these have no weight, so the head that serves has not learned them either
        windows = (training.windows or each_whole(training.vectors)).only(held.rows)
        served = calm[windows.owners][:, None]
        held = replace(held, logits=np.where(served, head.logits(windows.vectors), held.logits))
    shown = held.amid(np.flatnonzero(calm), bench.seed) if policy.reads_parts else held
    kinds = operating_points.ordinary_kinds(policy, rows, shown.rows)
    use, on = operating_points.measured_on(policy, rows, shown.rows)
    truth, counts = holds[shown.rows], np.diff(shown.starts, append=len(shown.logits))
    calibration = calibrate_windows(shown.logits, shown.starts, truth, use, parts=policy.reads_parts)
    # as they are served: each window is judged for itself, then the worst counts
    each = squash(calibration, shown.logits, multi_label=True, among=np.repeat(counts, counts))
    probabilities = highest(each, shown.starts)
    chosen = for_any(
        policy,
        probabilities[use],
        truth[use],
        on,
        foreign=operating_points.is_foreign(rows, shown.rows[use]),
        ordinary=OrdinaryTraffic.of(probabilities, kinds, times=2) if policy.reads_parts else None,
        kinds=[_kind_of(rows[index]) for index in shown.rows[use].tolist()],
        outside=_outside_topics(training, head, calibration, probabilities[~use], shown.rows[~use]),
    )
    stage = Stage(
        encoder=training.encoder.id,
        head=head,
        calibration=calibration,
        thresholds=chosen.thresholds,
        # harmful text is of endless kinds, nearly all of it unlike training: novelty would doubt everything
        novelty=never_novel(training.vectors.shape[1]),
        # a tuned encoder knows whole rows, and harm next to what is harmless
        windowing=tuned_windowing(tuned.tokens) if tuned else windowing(policy),
        system_tokens=tuned.system_tokens if tuned else 0,
    )
    settings = {"head": _head_name(training, own_head), "calibrated_on": on}
    own, limits = slice(len(held.rows)), chosen.thresholds
    verdicts = [verdict_of(policy, classes, row, name_any(classes, row, limits), 0.0) for row in probabilities[own]]
    trained = measured(
        policy, rows, held.rows, stages=(stage,), chosen=chosen, verdicts=verdicts, used=use[own], settings=settings
    )
    return replace(trained, among=probabilities[len(held.rows) :] if len(shown.rows) > len(held.rows) else None)


def _outside_topics(
    training: TrainingSet, head: Head, calibration: Calibration, left: Floats, rows: NDArray[np.intp]
) -> tuple[list[str], Floats] | None:
    """The kinds and the (m, labels) probabilities of text out of scope; None for a guard. left: those of held-out rows
    that do not calibrate, of which everyday sentences count; rows: their indexes."""
    if training.policy.kind == "safety":
        return None
    everyday = np.array([_kind_of(training.rows[index]) == operating_points.EVERYDAY for index in rows], bool)
    kinds = [operating_points.EVERYDAY] * int(everyday.sum()) + [kind for kind, _ in training.outside]
    found = left[everyday]
    if training.outside:
        vectors = wholes(training.encoder, [text for _, text in training.outside])
        own = squash(calibration, head.logits(vectors), multi_label=True, among=np.ones(len(vectors), np.int32))
        found = np.concatenate([found, own])
    return kinds, found


def _head_name(training: TrainingSet, tuned: TunedHead | None) -> str:
    if tuned is not None:
        return "tuned with the encoder"
    fitted = "a hidden layer" if training.hidden else "logistic regressions for each label and for any"
    return f"{fitted}, added to the network of {training.policy.builds_on}" if training.base else fitted


def _fit_any(training: TrainingSet, seed: int) -> Callable[[Floats, Bools, Floats], Head]:
    """How a multi-label head is fitted: vectors, holds, weights → head."""
    fit = partial(linear.head_of, training.classes, strength=_SAFETY_STRENGTH, hidden=training.hidden, seed=seed)
    base = training.base
    return fit if base is None else lambda *rows: linear.added(base, fit(*rows))


def calibrate_windows(
    logits: Floats, starts: NDArray[np.intp], truth: Bools, use: Bools, *, parts: bool = False
) -> Calibration:
    """The calibration of a multi-label head. logits: (windows, classes); starts: (n,) the first window of each held-out
    row; truth: (n, classes); use: (n,) which rows count; parts: whether the windows are parts as well."""
    return calibrate.any_of(
        highest(logits, starts)[use],
        truth[use],
        whole=highest(any_logit(logits), starts)[use],
        among=np.diff(starts, append=len(logits))[use],
        counted=calibrate.PARTS_COUNTED if parts else calibrate.WINDOWS_COUNTED,
        shared=parts,
    )


def _held_out_windows(training: TrainingSet, bench: Workbench, holds: Bools) -> tuple[HeldOutWindows, TunedHead | None]:
    """Held-out logits by the better of the fitted head and the tuned one, and the tuned one where it is better."""
    held = split.any_of(
        training.rows,
        training.vectors,
        holds,
        weights=training.weights,
        fit=_fit_any(training, bench.seed),
        seed=bench.seed,
        advance=bench.progress.advance,
        unseen=training.held_out,
        windows=training.windows,
        dealt=training.dealt,
    )
    tuned = training.tuned
    if tuned is None:
        return held, None
    use, _ = operating_points.measured_on(training.policy, training.rows, held.rows)
    truth, counts = holds[held.rows][use], np.diff(held.starts, append=len(held.logits))[use]
    own = (training.windows or each_whole(training.vectors)).only(held.rows).vectors @ tuned.weights.T + tuned.bias
    losses = [calibrate.platt_loss(highest(logits, held.starts)[use], truth, counts) for logits in (own, held.logits)]
    return (replace(held, logits=own), tuned) if losses[0] <= losses[1] else (held, None)


def verdict_of(
    policy: Policy,
    classes: Sequence[str],
    probabilities: Floats,
    choice: LabelChoice,
    novelty: float,
    *,
    stage: str = "",
) -> Verdict:
    """The verdict of a stage that has not been published yet. probabilities: (classes,)."""
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
        stage=stage,
    )
