"""Two encoders, one artifact: a large one tuned on a policy's rows, and a small one that learns from both.

The large encoder's judgement of text without labels is what the small one learns besides the rows (Hinton et al. 2015,
"Distilling the Knowledge in a Neural Network"). The small one then clears what it is sure is clean; the large one
is asked about the rest. Everything is chosen on held-out groups that neither has seen.

Text without labels is made of a policy's own: parts of rows, and rows next to each other, are neither the rows
themselves nor far from them.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers import data
from classifiers.model.model import LinearHead, Model, Novelty, Stage, Threshold
from classifiers.policy import Policy
from classifiers.runtime import cascade
from classifiers.runtime.cascade import StageResult
from classifiers.runtime.heads import any_logit
from classifiers.training import calibrate, operating_points, thresholds
from classifiers.training.fit.fitted import (
    LARGE,
    SMALL,
    FittedModel,
    MeasuredModel,
    TrainingSet,
    Workbench,
    milliseconds,
)
from classifiers.training.fit.heads import classes_of, verdict_of
from classifiers.training.fit.tuned import TunedEncoder, read, tune_encoder, tune_stage
from classifiers.training.fit.tuning_set import TuningSet, lesson_of
from classifiers.training.fit.two_encoders import Compared, points
from classifiers.training.operating_points import measured_on
from classifiers.training.rows import Row
from classifiers.training.windows import Windows, highest, tuned_windowing
from classifiers.verdict import Verdict

_SHORTEST = 6
"""Words of a text that is parted."""


def recombined(texts: Sequence[str], count: int, seed: int, *, everyday: Sequence[str]) -> list[str]:
    """`count` texts, or fewer where there is little to combine; the same for the same texts and seed. everyday: what
    may stand beside them."""
    if not texts:
        return []
    chance = random.Random(seed)  # noqa: S311 - no secret
    ways: list[Callable[[str, str], str]] = [_side_by_side, _crossed, _first, _last, _with_everyday(chance, everyday)]
    known = set(texts)
    made: dict[str, None] = {}
    for turn in range(4 * count):
        text = ways[turn % len(ways)](chance.choice(texts), chance.choice(texts))
        if text and text not in known:
            made[text] = None
        if len(made) == count:
            break
    return list(made)


def drawn(systems: Sequence[str], count: int, seed: int) -> list[str]:
    """A system prompt for each of `count` texts, as often one and as often none as among those of the rows."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    return chance.choices(systems, k=count) if systems else [""] * count


def _side_by_side(one: str, other: str) -> str:
    return f"{one} {other}"


def _crossed(one: str, other: str) -> str:
    return f"{_first(one, other)} {_last(other, one)}".strip()


def _first(one: str, _: str) -> str:
    words = one.split()
    return " ".join(words[: len(words) // 2]) if len(words) >= _SHORTEST else ""


def _last(one: str, _: str) -> str:
    words = one.split()
    return " ".join(words[len(words) // 2 :]) if len(words) >= _SHORTEST else ""


def _with_everyday(chance: random.Random, everyday: Sequence[str]) -> Callable[[str, str], str]:
    def make(one: str, _: str) -> str:
        if not everyday:
            return ""
        pair = [one, chance.choice(everyday)]
        chance.shuffle(pair)
        return " ".join(pair)

    return make


MOST_ASKED = 0.3
"""Of held-out harmless text, which is written to look harmful, that the large encoder may be asked about where the
policy does not say; of a bank's messages it was a third of that, of what people say to a voice assistant as much."""

_MOST_UNLABELLED = 3_000
_NEVER_NOVEL = 2.0
_OF_ONE_STAGE = {"platt", "platt_of_any", "chances", "head"}
"""Settings that say nothing of both stages."""
_LEAST_DOUBTED = 100
"""Held-out rows that the large encoder is asked about, by which the small one's share beside it is chosen."""


def fit_distilled(training: TrainingSet, bench: Workbench) -> FittedModel | None:
    """Tune both, and set the cascade of them; None where held-out text gained nothing by tuning either.

    Raises TrainingError, EncoderError.
    """
    policy, source = training.policy, training.policy.larger_encoder
    lesson = lesson_of(policy, training.rows, bench.seed)
    rows = lesson.rows[: len(training.rows)]
    large = tune_encoder(policy, lesson, bench, source=source, name=LARGE, layers=policy.larger_layers)
    if large is None:
        return None
    held: NDArray[np.intp] = np.flatnonzero(lesson.held)
    seen = read(large, [rows[index] for index in held.tolist()], bench.progress.advance)
    judge = _stage(policy, rows, held, large, seen)
    wide = _widened(lesson, large, judge, bench)
    small = tune_stage(policy, rows, wide, bench, source=policy.encoder, name=SMALL)
    if small is None:
        return None
    asked = small.trained.rows
    last = _worst(judge, seen.only(np.searchsorted(held, asked)))
    first = _worst(small.trained.model.last, small.windows.only(asked))
    ms = (milliseconds(small.tuned.encoder), milliseconds(large.encoder))
    truth = lesson.targets[asked] >= 0.5
    trained, cascade_settings = _joined(policy, rows, small.trained, truth=truth, first=first, large=last, ms=ms)
    return FittedModel(
        trained=trained,
        encoders=(small.tuned.encoder, large.encoder),
        samples=(small.windows.vectors, seen.vectors),
        own={SMALL: small.tuned.folder, LARGE: large.folder},
        settings={"cascade": cascade_settings, "finetune": {SMALL: small.tuned.record, LARGE: large.record}},
    )


def _worst(stage: Stage, windows: Windows) -> StageResult:
    """What a stage makes of rows: for each label of the window where it is likeliest. Where a row has several, these
    need not be the same for both stages, though they are asked window by window; nor need their number, by which each
    counts for less, where the two encoders' tokenizers part text unlike each other."""
    each = cascade.part(stage, windows.vectors, multi_label=True, among=windows.among)
    rows = windows.starts
    return replace(each, probabilities=highest(each.probabilities, rows), away=highest(each.away, rows))


def _stage(policy: Policy, rows: Sequence[Row], held: NDArray[np.intp], large: TunedEncoder, seen: Windows) -> Stage:
    """The large encoder's stage, calibrated on held-out rows, without thresholds. seen: of those rows."""
    classes = classes_of(policy, rows)
    head = LinearHead(classes=classes, weights=large.head.weights, bias=large.head.bias)
    use = np.array([rows[index].probe for index in held]) & measured_on(policy, rows, held)[0]
    truth = np.array([[name in rows[index].labels for name in classes] for index in held], bool)
    logits = seen.vectors @ head.weights.T + head.bias
    worst, whole = highest(logits, seen.starts), highest(any_logit(logits), seen.starts)
    return Stage(
        name=LARGE,
        encoder=large.encoder.id,
        head=head,
        calibration=calibrate.any_of(worst[use], truth[use], whole=whole[use], among=seen.among[seen.starts][use]),
        thresholds={},
        novelty=Novelty(prototypes=np.empty((0, seen.vectors.shape[1]), np.float32), limit=_NEVER_NOVEL),
        windowing=tuned_windowing(large.head.tokens),
        system_tokens=large.head.system_tokens,
    )


def _widened(lesson: TuningSet, large: TunedEncoder, judge: Stage, bench: Workbench) -> TuningSet:
    """The lesson with text that the large stage has labelled: softly, as it judges."""
    known = [row for row, held in zip(lesson.rows, lesson.held, strict=True) if row.probe and not held]
    hidden = "\n".join(row.text for row, held in zip(lesson.rows, lesson.held, strict=True) if held)
    everyday = [text for text in data.lines("everyday.txt") if text not in hidden]
    count = min(len(known), _MOST_UNLABELLED)
    texts = recombined([row.text for row in known], count, bench.seed, everyday=everyday)
    systems = drawn([row.system for row in known], len(texts), bench.seed)
    rows = [
        Row(text=text, system=system, labels=(), group="unlabelled", source="builtin", probe=False)
        for text, system in zip(texts, systems, strict=True)
    ]
    bench.progress.step(f"distil: {len(rows)} texts without labels")
    soft = _worst(judge, read(large, rows, bench.progress.advance)).probabilities
    return TuningSet(
        rows=[*lesson.rows, *rows],
        targets=np.concatenate([lesson.targets, soft]).astype(np.float32),
        held=np.concatenate([lesson.held, np.zeros(len(rows), bool)]),
    )


def _most_asked(policy: Policy) -> float:
    return MOST_ASKED if policy.larger_asked is None else policy.larger_asked


def _joined(
    policy: Policy,
    rows: Sequence[Row],
    small: MeasuredModel,
    *,
    truth: NDArray[np.bool_],
    first: StageResult,
    large: StageResult,
    ms: tuple[float, float],
) -> tuple[MeasuredModel, dict[str, Any]]:
    """The model of both stages with the thresholds of either, and what the report says of the cascade.

    truth: (n, labels) of the small model's held-out rows; first, large: what either stage makes of them.
    """
    used, on = measured_on(policy, rows, small.rows)
    limits, both = _pooled(policy, used, truth, first, large)
    compared = Compared(
        rows=small.rows,
        used=used,
        on=on,
        truth=truth,
        small=first.probabilities,
        large=large.probabilities,
        both=both.probabilities,
        ms=ms,
    )
    way = operating_points.through(first.probabilities[used], both.probabilities[used], limits)
    chosen = thresholds.for_any(policy, way.certain, truth[used], on, larger=True)
    stages = (
        replace(first.stage, name=SMALL, thresholds=dict.fromkeys(policy.labels, limits)),
        replace(both.stage, thresholds=chosen.thresholds),
    )
    settings = {name: value for name, value in small.settings.items() if name not in _OF_ONE_STAGE}
    settings["head"] = "a small encoder tuned for the policy, and a large one where that is in doubt"
    trained = MeasuredModel(
        model=Model(policy=policy, stages=stages),
        chosen=chosen,
        rows=small.rows,
        read=small.read,
        verdicts=tuple(_verdicts(policy, replace(first, stage=stages[0]), replace(both, stage=stages[1]))),
        used=used,
        settings=settings,
    )
    return trained, {
        "most_asked": _most_asked(policy),
        "clear_below": limits.unsure,
        "earlier": both.stage.earlier,
        "chances": {stage.name: stage.calibration.chances for stage in stages},
        "points": points(policy, compared, _most_asked(policy)),
    }


def _pooled(
    policy: Policy, used: NDArray[np.bool_], truth: NDArray[np.bool_], first: StageResult, large: StageResult
) -> tuple[Threshold, StageResult]:
    """The thresholds of the small stage, and what both say together of what the large one is asked."""
    harmful: NDArray[np.bool_] = np.asarray(truth.any(axis=1), bool)
    limits = operating_points.band(
        first.probabilities[used],
        harmful[used],
        most_asked=_most_asked(policy),
        catch=operating_points.strictest(policy),
    )
    doubted = used & operating_points.through(first.probabilities, large.probabilities, limits).asked
    shown = doubted if doubted.sum() >= _LEAST_DOUBTED else used
    share = calibrate.earlier_share(first.probabilities[shown], large.probabilities[shown], truth[shown])
    return limits, cascade.combine(replace(large, stage=replace(large.stage, earlier=share)), first, multi_label=True)


def _verdicts(policy: Policy, first: StageResult, last: StageResult) -> list[Verdict]:
    """What the cascade says of each held-out row."""
    settled = cascade.settled(first)
    verdicts = []
    for place, sure in enumerate(settled):
        chosen = np.arange(len(settled)) == place
        choice, probabilities = cascade.decide_any([(first if sure else last).only(chosen)], last.stage)
        verdicts.append(verdict_of(policy, first.stage.head.classes, probabilities, choice, 0.0))
    return verdicts
