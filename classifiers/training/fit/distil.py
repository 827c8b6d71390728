"""Two encoders, one artifact: a large one tuned on a policy's rows, and a small one that learns from both.

The large encoder's judgement of text without labels is what the small one learns besides the rows (Hinton et al. 2015,
"Distilling the Knowledge in a Neural Network"). The small one then clears what it is sure is clean; the large one
is asked about the rest. Everything is chosen on held-out groups that neither has seen.

Importing this module imports torch.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers import data
from classifiers.evaluation.metrics import average_precision
from classifiers.model.model import NEVER, Floats, Head, Stage, Threshold
from classifiers.policy import Policy
from classifiers.runtime import cascade
from classifiers.runtime.cascade import StageResult
from classifiers.training import calibrate, operating_points, thresholds
from classifiers.training.fit.augment import recombined
from classifiers.training.fit.fitted import (
    LARGE,
    SMALL,
    FittedModel,
    MeasuredModel,
    TrainingSet,
    Workbench,
)
from classifiers.training.fit.heads import Bools, calibrate_windows, measured, never_novel, verdict_of
from classifiers.training.fit.tuned import TunedEncoder, tune_encoder, tune_stage
from classifiers.training.fit.tuning_set import TuningSet, lesson_of
from classifiers.training.fit.weights import find_weights
from classifiers.training.operating_points import Way, measured_on
from classifiers.training.rows import Row
from classifiers.training.windows import Windows, highest, tuned_windowing
from classifiers.verdict import Verdict

MOST_ASKED = 0.35
"""Of held-out harmless text, which is written to look harmful, that the large encoder may be asked about; of a bank's
messages it was a third of that, of what people say to a voice assistant as much."""

_MOST_UNLABELLED = 3_000
_LEAST_DOUBTED = 100
"""Held-out rows that the large encoder is asked about, by which the small one's share beside it is chosen."""


def fit_distilled(training: TrainingSet, bench: Workbench) -> FittedModel | None:
    """Tune both, and set the cascade of them; None where held-out text gained nothing by tuning either.

    Raises TrainingError, EncoderError.
    """
    policy, source = training.policy, training.policy.larger_encoder
    lesson = lesson_of(policy, training.rows, bench.seed)
    rows = lesson.rows[: len(training.rows)]
    # half of its layers are nearly as good and take half the time
    layers = find_weights(source, bench.base_dir, bench.models_dir).layers // 2 or None
    large = tune_encoder(policy, lesson, bench, source=source, name=LARGE, layers=layers)
    if large is None:
        return None
    held: NDArray[np.intp] = np.flatnonzero(lesson.held)
    seen = large.read([rows[index] for index in held.tolist()], bench.progress.advance)
    judge = _stage(policy, lesson, held, large, seen)
    small = tune_stage(policy, rows, _widened(lesson, large, judge, bench), bench, source=policy.encoder, name=SMALL)
    if small is None:
        return None
    asked = small.trained.rows
    last = _worst(judge, seen.only(np.searchsorted(held, asked)))
    first = _worst(small.trained.model.last, small.windows.only(asked))
    trained, record = _joined(policy, rows, small.trained, lesson.targets[asked] >= 0.5, first=first, large=last)
    return FittedModel(
        trained=trained,
        encoders=(small.tuned.encoder, large.encoder),
        samples=(small.windows.vectors, seen.vectors),
        own={SMALL: small.tuned.folder, LARGE: large.folder},
        settings={"cascade": record, "finetune": {SMALL: small.tuned.record, LARGE: large.record}},
    )


def _worst(stage: Stage, windows: Windows) -> StageResult:
    """What a stage makes of rows: for each label of the window where it is likeliest. Where a row has several, these
    need not be the same for both stages, though they are asked window by window; nor need their number, by which each
    counts for less, where the two encoders' tokenizers part text unlike each other."""
    each = cascade.part(stage, windows.vectors, multi_label=True, among=windows.among)
    rows = windows.starts
    return replace(each, probabilities=highest(each.probabilities, rows), away=highest(each.away, rows))


def _stage(policy: Policy, lesson: TuningSet, held: NDArray[np.intp], large: TunedEncoder, seen: Windows) -> Stage:
    """The large encoder's stage, calibrated on held-out rows, without thresholds. seen: of those rows."""
    head = Head(classes=tuple(policy.labels), weights=large.head.weights, bias=large.head.bias)
    use = np.array([lesson.rows[index].probe for index in held]) & measured_on(policy, lesson.rows, held)[0]
    logits = seen.vectors @ head.weights.T + head.bias
    return Stage(
        name=LARGE,
        encoder=large.encoder.id,
        head=head,
        calibration=calibrate_windows(logits, seen.starts, lesson.targets[held] >= 0.5, use),
        thresholds={},
        novelty=never_novel(seen.vectors.shape[1]),
        windowing=tuned_windowing(large.head.tokens),
        system_tokens=large.head.system_tokens,
    )


def _widened(lesson: TuningSet, large: TunedEncoder, judge: Stage, bench: Workbench) -> TuningSet:
    """The lesson with text that the large stage has labelled: softly, as it judges. A text gets a system prompt as
    often as rows have one."""
    known = [row for row, held in zip(lesson.rows, lesson.held, strict=True) if row.probe and not held]
    hidden = "\n".join(row.text for row, held in zip(lesson.rows, lesson.held, strict=True) if held)
    everyday = [text for text in data.lines("everyday.txt") if text not in hidden]
    count = min(len(known), _MOST_UNLABELLED)
    texts = recombined([row.text for row in known], count, bench.seed, everyday=everyday)
    chance = random.Random(bench.seed)  # noqa: S311 - no secret
    systems = chance.choices([row.system for row in known], k=len(texts)) if known else []
    rows = [
        Row(text=text, system=system, labels=(), group="unlabelled", source="builtin", probe=False)
        for text, system in zip(texts, systems, strict=True)
    ]
    bench.progress.step(f"distil: {len(rows)} texts without labels")
    soft = _worst(judge, large.read(rows, bench.progress.advance)).probabilities
    return replace(
        lesson,
        rows=[*lesson.rows, *rows],
        targets=np.concatenate([lesson.targets, soft]).astype(np.float32),
        held=np.concatenate([lesson.held, np.zeros(len(rows), bool)]),
    )


def _joined(
    policy: Policy,
    rows: Sequence[Row],
    small: MeasuredModel,
    truth: Bools,
    *,
    first: StageResult,
    large: StageResult,
) -> tuple[MeasuredModel, dict[str, Any]]:
    """The model of both stages with the thresholds of either, and what the report says of the cascade.

    truth: (n, labels) of the small model's held-out rows; first, large: what either stage makes of them.
    """
    used, on = measured_on(policy, rows, small.rows)
    harmful: Bools = np.asarray(truth.any(axis=1), bool)
    limits = operating_points.band(
        first.probabilities[used], harmful[used], most_asked=MOST_ASKED, catch=operating_points.strictest(policy)
    )
    doubted = used & operating_points.through(first.probabilities, large.probabilities, limits).asked
    shown = doubted if doubted.sum() >= _LEAST_DOUBTED else used
    share = calibrate.earlier_share(first.probabilities[shown], large.probabilities[shown], truth[shown])
    both = cascade.combine(replace(large, stage=replace(large.stage, earlier=share)), first, multi_label=True)
    bounds = {"small alone": NEVER, "cascade": limits, "large alone": replace(NEVER, unsure=-0.1)}
    chosen, points = {}, []
    for name, bound in bounds.items():
        last = large if name == "large alone" else both
        way = operating_points.through(first.probabilities[used], last.probabilities[used], bound)
        scores = first.probabilities[used] if name == "small alone" else way.certain
        chosen[name] = thresholds.for_any(policy, scores, truth[used], on, larger=True)
        points.append({"point": name, **_point(chosen[name].thresholds, way, scores, harmful[used])})
    one = replace(first.stage, name=SMALL, thresholds=dict.fromkeys(policy.labels, limits))
    stages = (one, replace(both.stage, thresholds=chosen["cascade"].thresholds))
    head = "a small encoder tuned for the policy, and a large one where that is in doubt"
    trained = measured(
        policy,
        rows,
        small.rows,
        stages=stages,
        chosen=chosen["cascade"],
        verdicts=_verdicts(policy, replace(first, stage=stages[0]), replace(both, stage=stages[1])),
        used=used,
        settings={**small.settings, "head": head},
    )
    return trained, {"most_asked": MOST_ASKED, "points": points}


def _point(limits: Mapping[str, Threshold], way: Way, scores: Floats, harmful: Bools) -> dict[str, Any]:
    """One way of using both stages, for the report; shares are of held-out text. limits: of the last stage; scores:
    (n, labels) by which it flags."""
    acts = np.array([limit.act for limit in limits.values()], np.float32)
    flagged: Bools = np.asarray((scores >= acts).any(axis=1), bool)
    return {
        "asked_of_harmless": _share(way.asked[~harmful]) or 0.0,
        "asked": _share(way.asked),
        "caught": _share(flagged[harmful]),
        "alarms": _share(flagged[~harmful]),
        "auprc": average_precision(way.probabilities.max(axis=1), harmful),
        "thresholds": thresholds.describe(dict(limits)),
    }


def _share(mask: Bools) -> float | None:
    return round(float(mask.mean()), 4) if len(mask) else None


def _verdicts(policy: Policy, first: StageResult, last: StageResult) -> Iterator[Verdict]:
    """What the cascade says of each held-out row."""
    for place, sure in enumerate(cascade.settled(first)):
        part = (first if sure else last).only(np.array([place]))
        choice, probabilities = cascade.decide_any([part], last.stage)
        yield verdict_of(policy, first.stage.head.classes, probabilities, choice, 0.0)
