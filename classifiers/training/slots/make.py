"""A model that finds slots: an encoder tuned for tags and labels at once, exported, measured on what it has not seen.

Held out are whole groups; they choose nothing but the labels' calibration and the sharpness of the tags' confidence.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.session import Encoder
from classifiers.encoder.tokens import Words
from classifiers.model import MAIN, Floats, Tagger
from classifiers.policy import OTHER, Policy
from classifiers.slots.markup import Marked
from classifiers.slots.words import read
from classifiers.training.fit.lesson import held_out
from classifiers.training.fit.model import classes_of, fit
from classifiers.training.fit.trained import TunedHead
from classifiers.training.fit.tuned import exported
from classifiers.training.rows import Row
from classifiers.training.slots.measure import found, measures, sharpness, truth_of
from classifiers.training.slots.rows import example_rows, pools
from classifiers.training.windows import wholes

if TYPE_CHECKING:
    from classifiers.training.fit.recipe import Bench, Made
    from classifiers.training.slots.tune import Lesson, TunedTags

_COMPARED = 500
_ASKED = "the policy has slots"
_NOTHING_IS_OTHER = (
    "no text means other, so every text is given one of the labels; add rows labelled other, or the built-in everyday "
    "text (en among the languages, and not everyday: false)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """Held-out sentences as the exported encoder reads them. logits: (words, tags) of each."""

    marked: Sequence[Marked]
    words: Sequence[Words]
    logits: Sequence[Floats]


def make(policy: Policy, rows: Sequence[Row], bench: "Bench", held: NDArray[np.bool_] | None = None) -> "Made":
    """held: (rows,) what tuning is not to see; by default a tenth to a fifth, whole groups.

    Raises TrainingError where torch is missing or rows are of one group, EncoderError where the encoder is.
    """
    from classifiers.training.fit.torch_encoder import TorchEncoder, torch_threads
    from classifiers.training.fit.weights import find_weights
    from classifiers.training.slots.tune import plan_for, tag_logits, tune

    say = bench.progress.step
    held = held_out(rows, bench.seed) if held is None else held
    taught = [row for row, unseen in zip(rows, held, strict=True) if not unseen]
    slots = tuple(policy.slots)
    with torch_threads(bench.threads, bench.seed):
        weights = find_weights(policy.encoder, bench.base_dir, bench.models_dir)
        lessons = lessons_of(policy, taught, classes_of(policy, rows))
        plan = plan_for(len(lessons))
        torch_encoder = TorchEncoder(weights, tokens=plan.tokens)
        tuned = tune(
            torch_encoder,
            lessons,
            slots,
            len(classes_of(policy, rows)),
            values=pools(policy, taught),
            plan=plan,
            seed=bench.seed,
            say=lambda line: say(f"slots: {line}"),
        )
        say("slots: exporting the encoder to int8")
        texts = [row.text for row, unseen in zip(rows, held, strict=True) if unseen][:_COMPARED]
        encoder, folder, agreed = exported(torch_encoder, tuned.labels, texts, MAIN, bench, multi_label=False)
        before = tag_logits(torch_encoder, texts, tuned.tags)
    made = _finish(policy, rows, held, tuned, encoder=encoder, tokens=torch_encoder.tokens, bench=bench)
    after = _tagged(encoder, [Marked(text=text) for text in texts], tuned.tags, torch_encoder.tokens).logits
    made.trained.settings["finetune"] = {
        "from": weights.name,
        "rows": len(lessons),
        "held_out_rows": int(held.sum()),
        "plan": asdict(plan),
        "bf16": tuned.bf16,
        "losses": list(tuned.losses),
        "export": {**agreed, "same_tags": _same_tags(before, after)},
    }
    return replace(made, own={MAIN: folder})


def lessons_of(policy: Policy, rows: Sequence[Row], classes: Sequence[str]) -> list["Lesson"]:
    """What rows teach, and what the policy's slots teach by themselves."""
    from classifiers.training.slots.tune import Lesson

    place = {name: index for index, name in enumerate(classes)}
    lessons = [
        Lesson(
            marked=Marked(text=row.text, marks=row.marks or ()),
            label=place[row.labels[0]] if row.labels else None,
            weight=row.weight,
            tagged=row.marks is not None,
        )
        for row in rows
    ]
    return lessons + [Lesson(marked=marked, weight=weight) for marked, weight in example_rows(policy)]


def _finish(
    policy: Policy,
    rows: Sequence[Row],
    held: NDArray[np.bool_],
    tuned: "TunedTags",
    *,
    encoder: Encoder,
    tokens: int,
    bench: "Bench",
) -> "Made":
    """What stands on the exported encoder: the labels' head, fitted and calibrated, and the tagger, measured."""
    from classifiers.training.fit.recipe import Made

    bench.progress.step("slots: encoding the rows")
    vectors = wholes(encoder, [row.text for row in rows], bench.progress.advance)
    head = TunedHead(weights=tuned.labels[0], bias=tuned.labels[1], unseen=held, tokens=tokens)
    trained = fit(
        policy, rows, vectors, encoder=encoder.id, seed=bench.seed, advance=bench.progress.advance, tuned=head
    )
    told = [
        Marked(text=row.text, marks=row.marks)
        for row, unseen in zip(rows, held, strict=True)
        if unseen and row.marks is not None and row.labels != (OTHER,) and row.source != "builtin"
    ]
    seen = _tagged(encoder, told, tuned.tags, tokens)
    slots = tuple(policy.slots)
    scale = sharpness(
        seen.logits, [truth_of(one, words, slots) for one, words in zip(seen.marked, seen.words, strict=True)]
    )
    tagger = Tagger(slots=slots, weights=tuned.tags[0], bias=tuned.tags[1], scale=scale)
    guesses = [found(words, logits, slots) for words, logits in zip(seen.words, seen.logits, strict=True)]
    settings: dict[str, Any] = {"recipe": "slots", "because": _ASKED, **trained.settings}
    settings["slots"] = {"scale": scale, **measures([one.marks for one in seen.marked], guesses, slots=slots)}
    if note := note_of(policy, rows):
        bench.progress.step(note)
        settings["note"] = note
    model = replace(trained.model, tagger=tagger)
    return Made(trained=replace(trained, model=model, settings=settings), encoders=(encoder,), samples=(vectors,))


def note_of(policy: Policy, rows: Sequence[Row]) -> str:
    """What whoever trains is to be told of rows that show nothing but labels, where no text is held to be novel."""
    return "" if policy.other is None or OTHER in classes_of(policy, rows) else _NOTHING_IS_OTHER


def _tagged(encoder: Encoder, marked: Sequence[Marked], head: tuple[Floats, Floats], tokens: int) -> _Read:
    """The first window of each sentence."""
    room = encoder.room(tokens)
    words: list[Words] = []
    logits: list[Floats] = []
    for one in marked:
        whole = read(one.text, encoder.words)
        firsts = [first for first in whole.firsts if first < room]
        words.append(whole)
        logits.append(encoder.states(whole.ids[:room])[1][firsts] @ head[0].T + head[1])
    return _Read(marked=marked, words=words, logits=logits)


def _same_tags(before: Sequence[Floats], after: Sequence[Floats]) -> float | None:
    """Share of words whose likeliest tag the export left as it was."""
    pairs = [(one.argmax(axis=1), other.argmax(axis=1)) for one, other in zip(before, after, strict=True) if len(one)]
    if not pairs:
        return None
    same = np.concatenate([one == other for one, other in pairs])
    return round(float(same.mean()), 5)
