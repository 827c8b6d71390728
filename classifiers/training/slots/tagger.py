"""A model that finds slots: an encoder tuned for tags and labels at once, exported, and measured on held-out groups.

What is held out chooses nothing but the labels' calibration and the sharpness of the tags' confidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.encoder.session import Encoder
from classifiers.encoder.tokens import Words
from classifiers.evaluation import metrics
from classifiers.evaluation.metrics import counts, ratio
from classifiers.model.model import MAIN, Floats, Tagger
from classifiers.policy import OTHER, Policy
from classifiers.slots import tags
from classifiers.slots.fill import Marked
from classifiers.slots.tags import SlotMark, read
from classifiers.training.fit.fitted import FittedModel, TrainingSet, TunedHead, Workbench, classes_of
from classifiers.training.fit.heads import fit
from classifiers.training.fit.tuning_set import held_out
from classifiers.training.rows import Row
from classifiers.training.slots.rows import WEIGHT, described, pools
from classifiers.training.windows import wholes

if TYPE_CHECKING:
    from classifiers.training.slots.tune import TaggerRows

_SCALES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0)
_COMPARED = 500
_ASKED = "the policy has slots"
_NOTHING_IS_OTHER = (
    "no text means other, so every text is given one of the labels; add rows labelled other, or the built-in everyday "
    "text (en among the languages, and not everyday: false)"
)


def measures(
    truths: Sequence[Sequence[SlotMark]],
    guesses: Sequence[Sequence[SlotMark]],
    *,
    slots: Sequence[str],
    labelled: Sequence[bool] | None = None,
) -> dict[str, Any]:
    """Precision, recall and F1 over whole slots (name, start and end), of all and of each, with 95 % intervals; whole:
    share of texts all right. slots: all that there are, also those that no text has. labelled: of each text whether its
    label is right, where that is asked of a whole one."""
    pairs = [(set(truth), set(guess)) for truth, guess in zip(truths, guesses, strict=True)]
    labelled = [True] * len(pairs) if labelled is None else labelled
    right = sum(truth == guess and label for (truth, guess), label in zip(pairs, labelled, strict=True))
    return {
        "rows": len(pairs),
        **_counts(pairs, None),
        "whole": ratio(right, len(pairs)),
        "whole_interval": metrics.wilson(right, len(pairs)),
        "slots": {name: _counts(pairs, name) for name in slots},
    }


def _counts(pairs: Sequence[tuple[set[SlotMark], set[SlotMark]]], name: str | None) -> Mapping[str, Any]:
    both = guessed = true = 0
    for truth, guess in pairs:
        wanted, given = ({mark for mark in marks if name in {None, mark.name}} for marks in (truth, guess))
        both, guessed, true = both + len(wanted & given), guessed + len(given), true + len(wanted)
    return counts(both, guessed, true)


def sharpness(logits: Sequence[Floats], truth: Sequence[Sequence[int]]) -> float:
    """The factor on logits under which the true tags are likeliest, of a few."""
    if not any(len(row) for row in truth):
        return 1.0
    rows = np.concatenate([text[: len(row)] for text, row in zip(logits, truth, strict=True)]).astype(np.float64)
    right = np.concatenate([np.asarray(row[: len(text)], np.intp) for text, row in zip(logits, truth, strict=True)])

    def loss(scale: float) -> float:
        scaled = scale * rows
        top = scaled.max(axis=1)
        total = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float((total - scaled[np.arange(len(right)), right]).mean())

    return min(_SCALES, key=loss)


def fit_tagger(policy: Policy, rows: Sequence[Row], bench: Workbench) -> FittedModel:
    """Tune an encoder on all rows but a tenth to a fifth, whole groups. Raises TrainingError where torch is missing or
    rows are of one group, EncoderError where the encoder is."""
    from classifiers.training.fit.torch_encoder import TorchEncoder, torch_threads
    from classifiers.training.fit.torch_export import exported
    from classifiers.training.fit.weights import find_weights
    from classifiers.training.slots.tune import plan_for, tune

    say = bench.progress.step
    held, classes = held_out(rows, bench.seed), classes_of(policy, rows)
    taught = [row for row, unseen in zip(rows, held, strict=True) if not unseen]
    with torch_threads(bench.threads, bench.seed):
        weights = find_weights(policy.encoder, bench.base_dir, bench.models_dir)
        lessons = lessons_of(policy, taught, classes)
        plan = plan_for(len(lessons))
        torch_encoder = TorchEncoder(weights, tokens=plan.tokens)
        tuned = tune(
            torch_encoder,
            lessons,
            tuple(policy.slots),
            len(classes),
            values=pools(policy, taught),
            plan=plan,
            seed=bench.seed,
            say=lambda line: say(f"slots: {line}"),
        )
        head = TunedHead(weights=tuned.labels[0], bias=tuned.labels[1], unseen=held, tokens=torch_encoder.tokens)
        say("slots: exporting the encoder to int8")
        compared = [row for row, unseen in zip(rows, held, strict=True) if unseen][:_COMPARED]
        encoder, folder, agreed = exported(torch_encoder, head, compared, MAIN, bench)
    record = {
        "from": weights.name,
        "rows": len(lessons),
        "held_out_rows": int(held.sum()),
        "plan": asdict(plan),
        "bf16": tuned.bf16,
        "losses": list(tuned.losses),
        "export": agreed,
    }
    made = _finish(policy, rows, head, tuned.tags, encoder=encoder, bench=bench)
    return replace(made, own={MAIN: folder}).with_settings(finetune=record)


def lessons_of(policy: Policy, rows: Sequence[Row], classes: Sequence[str]) -> list["TaggerRows"]:
    """What rows teach, and what the policy's slots teach by themselves."""
    from classifiers.training.slots.tune import TaggerRows

    lessons = [
        TaggerRows(
            marked=Marked(text=row.text, marks=row.marks or ()),
            label=classes.index(row.labels[0]) if row.labels else None,
            weight=row.weight,
            tagged=row.marks is not None,
        )
        for row in rows
    ]
    # the described sentences have no label
    unlabelled = described(policy) if len(policy.labels) > 1 else ()
    return lessons + [TaggerRows(marked=marked, weight=WEIGHT) for marked in unlabelled]


def _finish(
    policy: Policy,
    rows: Sequence[Row],
    head: TunedHead,
    tag_head: tuple[Floats, Floats],
    *,
    encoder: Encoder,
    bench: Workbench,
) -> FittedModel:
    """What stands on the exported encoder: the labels' head, fitted and calibrated, and the tagger, measured."""
    bench.progress.step("slots: encoding the rows")
    vectors = wholes(encoder, [row.text for row in rows], bench.progress.advance)
    trained = fit(TrainingSet(policy=policy, rows=rows, encoder=encoder, vectors=vectors, tuned=head), bench)
    slots = tuple(policy.slots)
    marks, truths, guesses, logits = [], [], [], []
    for row, unseen in zip(rows, head.unseen, strict=True):
        if unseen and row.marks is not None and row.labels != (OTHER,) and row.source != "builtin":
            words, own = _tagged(encoder, row.text, tag_head, head.tokens)
            marks.append(row.marks)
            logits.append(own)
            truths.append(tags.of_places(words.places, row.marks, slots))
            guesses.append(
                [
                    SlotMark(name=slots[run.slot], start=words.places[run.first][0], end=words.places[run.last][1])
                    for run in tags.runs(own)
                ]
            )
    scale = sharpness(logits, truths)
    settings = {"recipe": "slots", "because": _ASKED, **trained.settings}
    settings["slots"] = {"scale": scale, **measures(marks, guesses, slots=slots)}
    if note := note_of(policy, rows):
        bench.progress.step(note)
        settings["note"] = note
    tagger = Tagger(slots=slots, weights=tag_head[0], bias=tag_head[1], scale=scale)
    trained = replace(trained, model=replace(trained.model, tagger=tagger), settings=settings)
    return FittedModel(trained=trained, encoders=(encoder,), samples=(vectors,))


def note_of(policy: Policy, rows: Sequence[Row]) -> str:
    """A note for the report where no row is labelled other, and so no text counts as novel."""
    return "" if policy.other is None or OTHER in classes_of(policy, rows) else _NOTHING_IS_OTHER


def _tagged(encoder: Encoder, text: str, head: tuple[Floats, Floats], tokens: int) -> tuple[Words, Floats]:
    """The words of a sentence and, of those in its first window, (words, tags) logits."""
    room, words = encoder.room(tokens), read(text, encoder.words)
    firsts = [first for first in words.firsts if first < room]
    return words, encoder.states([words.ids[:room]])[0][1][firsts] @ head[0].T + head[1]
