"""Two encoders, one artifact: a large one tuned on a policy's rows, and a small one that learns from both.

The large encoder's judgement of text without labels is what the small one learns besides the rows (Hinton et al. 2015,
"Distilling the Knowledge in a Neural Network"). The small one then clears what it is sure is clean; the large one
is asked about the rest. Everything is chosen on held-out groups that neither has seen.

Importing this module imports torch.
"""

import random
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from classifiers import data
from classifiers.model.model import Head, Stage
from classifiers.policy import Policy
from classifiers.training.fit.augment import recombined
from classifiers.training.fit.fitted import LARGE, SMALL, FittedModel, TrainingSet, Workbench
from classifiers.training.fit.heads import calibrate_windows, never_novel
from classifiers.training.fit.second_stage import by_share, cascade_model, max_over_windows
from classifiers.training.fit.tuned import TunedEncoder, tune_encoder, tune_stage
from classifiers.training.fit.tuning_set import TuningSet, tuning_set_of
from classifiers.training.fit.weights import find_weights
from classifiers.training.operating_points import measured_on
from classifiers.training.rows import Row
from classifiers.training.windows import Windows, tuned_windowing

_MOST_UNLABELLED = 3_000


def fit_distilled(training: TrainingSet, bench: Workbench) -> FittedModel | None:
    """Tune both, and set the cascade of them; None where held-out text gained nothing by tuning either. Raises
    TrainingError, EncoderError."""
    policy, source = training.policy, training.policy.larger_encoder
    tuning_set = tuning_set_of(policy, training.rows, bench.seed)
    rows = tuning_set.rows[: len(training.rows)]
    # half of its layers are nearly as good and take half the time
    layers = find_weights(source, bench.base_dir, bench.models_dir).layers // 2 or None
    large = tune_encoder(policy, tuning_set, bench, source=source, name=LARGE, layers=layers)
    if large is None:
        return None
    held: NDArray[np.intp] = np.flatnonzero(tuning_set.held)
    seen = large.read([rows[index] for index in held.tolist()], bench.progress.advance)
    judge = _stage(policy, tuning_set, held, large, seen)
    widened = _widened(tuning_set, large, judge, bench)
    small = tune_stage(policy, rows, widened, bench, source=policy.encoder, name=SMALL)
    if small is None:
        return None
    asked = small.trained.rows
    last = max_over_windows(judge, seen.only(np.searchsorted(held, asked)))
    first = max_over_windows(small.trained.model.last, small.windows.only(asked))
    trained, record = cascade_model(
        policy,
        rows,
        small.trained,
        tuning_set.targets[asked] >= 0.5,
        first=replace(first, stage=replace(first.stage, name=SMALL)),
        last=last,
        pool=by_share,
        head="a small encoder tuned for the policy, and a large one where that is in doubt",
    )
    return FittedModel(
        trained=trained,
        encoders=(small.tuned.encoder, large.encoder),
        samples=(small.windows.vectors, seen.vectors),
        own={SMALL: small.tuned.folder, LARGE: large.folder},
        settings={"cascade": record, "finetune": {SMALL: small.tuned.record, LARGE: large.record}},
    )


def _stage(policy: Policy, tuning_set: TuningSet, held: NDArray[np.intp], large: TunedEncoder, seen: Windows) -> Stage:
    """The large encoder's stage, calibrated on held-out rows, without thresholds. seen: of those rows."""
    head = Head(classes=tuple(policy.labels), weights=large.head.weights, bias=large.head.bias)
    use = np.array([tuning_set.rows[index].probe for index in held]) & measured_on(policy, tuning_set.rows, held)[0]
    logits = seen.vectors @ head.weights.T + head.bias
    return Stage(
        name=LARGE,
        encoder=large.encoder.id,
        head=head,
        calibration=calibrate_windows(logits, seen.starts, tuning_set.targets[held] >= 0.5, use),
        thresholds={},
        novelty=never_novel(seen.vectors.shape[1]),
        windowing=tuned_windowing(large.head.tokens),
        system_tokens=large.head.system_tokens,
    )


def _widened(tuning_set: TuningSet, large: TunedEncoder, judge: Stage, bench: Workbench) -> TuningSet:
    """The tuning set with text that the large stage has labelled: softly, as it judges. A text gets a system prompt as
    often as rows have one."""
    known = [row for row, held in zip(tuning_set.rows, tuning_set.held, strict=True) if row.probe and not held]
    hidden = "\n".join(row.text for row, held in zip(tuning_set.rows, tuning_set.held, strict=True) if held)
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
    soft = max_over_windows(judge, large.read(rows, bench.progress.advance)).probabilities
    return replace(
        tuning_set,
        rows=[*tuning_set.rows, *rows],
        targets=np.concatenate([tuning_set.targets, soft]).astype(np.float32),
        held=np.concatenate([tuning_set.held, np.zeros(len(rows), bool)]),
    )
