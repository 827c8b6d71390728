"""Two encoders, one artifact: a large one tuned on a policy's rows, and a small one that learns from both.

The large encoder's judgement of text without labels is what the small one learns beside the rows (Hinton et al. 2015,
"Distilling the Knowledge in a Neural Network"). The small one then clears what it is sure is clean; the large one
is asked about the rest. Everything is chosen on held-out groups that neither has seen.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classifiers import cascade
from classifiers.cascade import Part
from classifiers.encoder.session import Encoder
from classifiers.heads.linear import any_logit
from classifiers.model import LinearHead, Model, Novelty, Stage, Threshold
from classifiers.policy import Policy
from classifiers.training import goals, grey, platt
from classifiers.training.fit.lesson import Lesson, lesson_of
from classifiers.training.fit.model import classes_of, verdict_of
from classifiers.training.fit.points import Compared, points
from classifiers.training.fit.trained import Trained
from classifiers.training.fit.tuned import TunedEncoder, read, stage, tune_encoder
from classifiers.training.goals import Chosen
from classifiers.training.measured import measured_on
from classifiers.training.rows import Row
from classifiers.training.unlabelled import drawn, recombined
from classifiers.training.windows import Windows, highest, tuned_windowing
from classifiers.training.write.everyday import EVERYDAY
from classifiers.verdict import Verdict

if TYPE_CHECKING:
    from classifiers.training.fit.recipe import Bench, Made

SMALL, LARGE = "small", "large"
MOST_ASKED = 0.3
"""Of held-out harmless text, which is written to look harmful, that the large encoder may be asked about where the
policy does not say; of a bank's messages it was a third of that, of what people say to a voice assistant as much."""

_MOST_UNLABELLED = 3_000
_TIMED_TOKENS, _TIMES = 32, 15
_NEVER_NOVEL = 2.0
_OF_ONE_STAGE = {"platt", "platt_of_any", "chances", "head"}
"""Settings that say nothing of both stages."""
_LEAST_DOUBTED = 100
"""Held-out rows that the large encoder is asked about, by which the small one's share beside it is chosen."""


def make(policy: Policy, rows: Sequence[Row], bench: "Bench") -> "Made | None":
    """Tune both, and set the cascade of them; None where held-out text gained nothing by tuning either.

    Raises TrainingError, EncoderError.
    """
    from classifiers.training.fit.recipe import Made

    lesson = lesson_of(policy, rows, bench.seed)
    rows = lesson.rows[: len(rows)]
    large = tune_encoder(policy, lesson, bench, source=policy.larger_encoder, name=LARGE, layers=policy.larger_layers)
    if large is None:
        return None
    held: NDArray[np.intp] = np.flatnonzero(lesson.held)
    seen = read(large, [rows[index] for index in held.tolist()], bench.progress.advance)
    judge = _stage(policy, rows, held, large, seen)
    wide = _widened(lesson, large, judge, bench)
    small = stage(policy, rows, wide, bench, source=policy.encoder, name=SMALL)
    if small is None:
        return None
    asked = small.trained.rows
    used, on = measured_on(policy, rows, asked)
    told = _worst(judge, seen.only(np.searchsorted(held, asked)))
    first = _worst(small.trained.model.last, small.windows.only(asked))
    truth = lesson.targets[asked] >= 0.5
    harmful: NDArray[np.bool_] = np.asarray(truth.any(axis=1), bool)
    limits = grey.band(
        first.probabilities[used], harmful[used], most_asked=_most_asked(policy), catch=grey.strictest(policy)
    )
    # both judge together what the large one is asked, and nothing else
    doubted = used & grey.through(first.probabilities, told.probabilities, limits).asked
    shown = doubted if doubted.sum() >= _LEAST_DOUBTED else used
    share = platt.earlier_share(first.probabilities[shown], told.probabilities[shown], truth[shown])
    both = cascade.beside(replace(told, stage=replace(judge, earlier=share)), first, multi_label=True)
    compared = Compared(
        rows=asked,
        used=used,
        on=on,
        truth=truth,
        small=first.probabilities,
        large=told.probabilities,
        both=both.probabilities,
        ms=(milliseconds(small.tuned.encoder), milliseconds(large.encoder)),
    )
    trained = _joined(policy, small.trained, compared, limits, first=first, last=both)
    trained.settings["finetune"] = {SMALL: small.tuned.told, LARGE: large.told}
    return Made(
        trained=trained,
        encoders=(small.tuned.encoder, large.encoder),
        samples=(small.windows.vectors, seen.vectors),
        own={SMALL: small.tuned.folder, LARGE: large.folder},
    )


def _worst(stage: Stage, windows: Windows) -> Part:
    """What a stage makes of rows: for each label of the window where it is likeliest. Where a row has several, these
    need not be the same for both stages, though they are asked window by window; nor need their number, by which each
    counts for less, where the two encoders' tokenizers part text unlike each other."""
    told = cascade.part(stage, windows.vectors, multi_label=True, among=windows.among)
    rows = windows.starts
    return replace(told, probabilities=highest(told.probabilities, rows), away=highest(told.away, rows))


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
        calibration=platt.any_of(worst[use], truth[use], whole=whole[use], among=seen.among[seen.starts][use]),
        thresholds={},
        novelty=Novelty(prototypes=np.empty((0, seen.vectors.shape[1]), np.float32), limit=_NEVER_NOVEL),
        windowing=tuned_windowing(large.head.tokens),
        system_tokens=large.head.system_tokens,
    )


def _widened(lesson: Lesson, large: TunedEncoder, judge: Stage, bench: "Bench") -> Lesson:
    """The lesson with text that the large stage has labelled: softly, as it judges."""
    known = [row for row, held in zip(lesson.rows, lesson.held, strict=True) if row.probe and not held]
    hidden = "\n".join(row.text for row, held in zip(lesson.rows, lesson.held, strict=True) if held)
    everyday = [text for text in EVERYDAY if text not in hidden]
    count = min(len(known), _MOST_UNLABELLED)
    texts = recombined([row.text for row in known], count, bench.seed, everyday=everyday)
    systems = drawn([row.system for row in known], len(texts), bench.seed)
    rows = [
        Row(text=text, system=system, labels=(), group="unlabelled", source="builtin", probe=False)
        for text, system in zip(texts, systems, strict=True)
    ]
    bench.progress.step(f"distil: {len(rows)} texts without labels")
    soft = _worst(judge, read(large, rows, bench.progress.advance)).probabilities
    return Lesson(
        rows=[*lesson.rows, *rows],
        targets=np.concatenate([lesson.targets, soft]).astype(np.float32),
        held=np.concatenate([lesson.held, np.zeros(len(rows), bool)]),
    )


def _most_asked(policy: Policy) -> float:
    return MOST_ASKED if policy.larger_asked is None else policy.larger_asked


def _joined(
    policy: Policy, small: Trained, compared: Compared, limits: Threshold, *, first: Part, last: Part
) -> Trained:
    """The model of both stages with the thresholds of either. limits: the small one's; first: what it says of the
    held-out rows; last: what the large one does, the small one beside it."""
    most_asked = _most_asked(policy)
    chosen = _thresholds(policy, compared, limits)
    one = replace(first.stage, name=SMALL, thresholds=dict.fromkeys(policy.labels, limits))
    two = replace(last.stage, thresholds=chosen.thresholds)
    settings = {
        **{name: value for name, value in small.settings.items() if name not in _OF_ONE_STAGE},
        "head": "a small encoder tuned for the policy, and a large one where that is in doubt",
        "cascade": {
            "most_asked": most_asked,
            "clear_below": limits.unsure,
            "earlier": last.stage.earlier,
            "chances": {stage.name: stage.calibration.chances for stage in (one, two)},
            "points": points(policy, compared, most_asked),
        },
    }
    return Trained(
        model=Model(policy=policy, stages=(one, two)),
        chosen=chosen,
        rows=compared.rows,
        read=small.read,
        verdicts=tuple(_verdicts(policy, replace(first, stage=one), replace(last, stage=two))),
        used=compared.used,
        settings=settings,
    )


def _thresholds(policy: Policy, compared: Compared, limits: Threshold) -> Chosen:
    """Those of the large stage, by what comes out of both."""
    way = grey.through(compared.small[compared.used], compared.both[compared.used], limits)
    return goals.for_any(policy, way.certain, compared.truth[compared.used], compared.on, larger=True)


def _verdicts(policy: Policy, first: Part, last: Part) -> list[Verdict]:
    """What the cascade says of each held-out row."""
    settled = cascade.settled(first)
    found = []
    for place, sure in enumerate(settled):
        chosen = np.arange(len(settled)) == place
        choice, highest = cascade.decide_any([(first if sure else last).only(chosen)], last.stage)
        found.append(verdict_of(policy, first.stage.head.classes, highest, choice, 0.0))
    return found


def milliseconds(encoder: Encoder) -> float:
    """For a window of 32 tokens, the least of some tries: what else runs here does not count."""
    window = [7] * (_TIMED_TOKENS - encoder.specials)
    taken = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        encoder.encode([window])
        taken.append(time.perf_counter() - began)
    return 1000 * min(taken)
