"""Tuning an encoder for slots: tags of words by cross entropy, and the text's label besides where there are labels.

The weights kept are a moving average over the last part of training, not a best epoch: held-out sentences only measure.
Sentences are varied as they are read again: now and then the values of their slots are exchanged for other values of
the same slots, so that a slot is learned by what stands around it as well as by its words. What teaches slots alone
keeps the vector that it had, so that few labelled texts are still told apart by what the encoder knew before; the
labels' head begins with the centroids of these. Importing this module imports torch.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classifiers.encoder.tokens import LONGEST_CHARS_A_TOKEN, Words
from classifiers.model.model import Floats, tag_count
from classifiers.slots import tags as bio
from classifiers.slots.fill import Marked, replaced
from classifiers.slots.tags import read
from classifiers.training.fit.finetune import SCALE, Say, Steps, head_of, set_head
from classifiers.training.fit.torch_encoder import TorchEncoder, bf16_helps, precision
from classifiers.training.fit.tuning_set import centroids

_DROPOUT, _SMOOTHING = 0.1, 0.1
_AVERAGED = 1 / 6
"""Of all steps; about as long ago as the average remembers."""
_KEPT, _FEW = 0.3, 12
"""How much it counts, beside a word's tag and a text's label, that what has no label keeps its vector: where there are
at most so many texts of a label on average; less the more there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggerPlan:
    """How to tune. rate: of learning; swap: the chance that a sentence gets other values; tokens: a sentence's longest,
    special ones included."""

    rate: float = 3e-4
    epochs: int = 12
    batch: int = 48
    swap: float = 0.6
    tokens: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggerRows:
    """A sentence to learn. label: its class, None where only slots are to be learned from it; weight: how much it
    counts; tagged: whether what is not marked is known to be no slot."""

    marked: Marked
    label: int | None = None
    weight: float = 1.0
    tagged: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TunedTags:
    """tags: (tags, dimensions) and (tags,), on a token's states; labels: (classes, dimensions) and (classes,), on a
    text's vector of length 1. losses: the mean of each epoch; seconds are the caller's to take."""

    tags: tuple[Floats, Floats]
    labels: tuple[Floats, Floats]
    losses: tuple[float, ...]
    bf16: bool


def plan_for(rows: int) -> TaggerPlan:
    """Few sentences are read more often, in smaller batches."""
    if rows >= 6_000:
        return TaggerPlan()
    return TaggerPlan(epochs=16, batch=32) if rows >= 1_500 else TaggerPlan(epochs=20, batch=16, rate=2e-4)


def tune(
    encoder: TorchEncoder,
    lessons: Sequence[TaggerRows],
    slots: Sequence[str],
    classes: int,
    *,
    values: Mapping[str, Sequence[str]],
    plan: TaggerPlan,
    seed: int,
    say: Say,
) -> TunedTags:
    """Train `encoder` in place. values: of each slot, what its values are exchanged for. say: given a line an epoch."""
    bf16 = bf16_helps(encoder.dimensions)
    heads = torch.nn.ModuleDict(
        {
            "tags": torch.nn.Linear(encoder.dimensions, tag_count(len(slots))),
            "labels": torch.nn.Linear(encoder.dimensions, max(classes, 1)),
        }
    )
    losses_of = _TagLosses(encoder, heads, lessons, classes, bf16=bf16)
    chance = random.Random(seed)  # noqa: S311 - no secret
    total = plan.epochs * -(-len(lessons) // plan.batch)
    steps = Steps(encoder, heads, rate=plan.rate, total=total)
    mean = _Mean(steps.parameters, total)
    losses: list[float] = []
    for number in range(1, plan.epochs + 1):
        marked = [_varied(lesson.marked, values, plan.swap, chance) for lesson in lessons]
        words = [_words(encoder, one.text) for one in marked]
        tags = [bio.of_places(own.places, one.marks, slots) for own, one in zip(words, marked, strict=True)]
        loss = partial(losses_of.batch, words, tags)
        lost = steps.epoch([len(own.ids) for own in words], plan.batch, chance, loss, mean.changed)
        losses.append(round(lost, 5))
        say(f"epoch {number} of {plan.epochs}: loss {losses[-1]:.3f}")
    mean.settle()
    encoder.module.eval()
    return TunedTags(
        tags=head_of(heads["tags"], 1.0), labels=head_of(heads["labels"], SCALE), losses=tuple(losses), bf16=bf16
    )


class _TagLosses:
    """The loss of a batch of sentences: of tags, of labels, and of how far what has no label left its vector."""

    def __init__(
        self, encoder: TorchEncoder, heads: Any, lessons: Sequence[TaggerRows], classes: int, *, bf16: bool
    ) -> None:
        self._encoder, self._heads, self._lessons, self._bf16 = encoder, heads, lessons, bf16
        self._written = [_words(encoder, lesson.marked.text).ids for lesson in lessons]
        self._known = encoder.vectors([encoder.tokenizer.surround(ids) for ids in self._written], bf16=bf16)
        self._weights = torch.tensor([lesson.weight for lesson in lessons])
        labels = [(index, lesson.label) for index, lesson in enumerate(lessons) if lesson.label is not None]
        self._kept = _KEPT * min(1.0, _FEW * classes / max(len(labels), 1))
        if classes:
            targets = np.zeros((len(labels), classes), np.float32)
            targets[np.arange(len(labels)), [label for _, label in labels]] = 1
            named = [index for index, _ in labels]
            set_head(heads["labels"], centroids(self._known[named], targets, self._weights.numpy()[named]))

    def batch(self, words: Sequence[Words], tags: Sequence[list[int]], batch: NDArray[np.intp]) -> Any:
        """words, tags: (lessons,) of each, as it is varied in this epoch; batch: indexes."""
        tokenizer, lessons = self._encoder.tokenizer, [self._lessons[index] for index in batch]
        with precision(bf16=self._bf16):
            vectors, hidden = self._encoder.states([tokenizer.surround(words[index].ids) for index in batch])
        weights = self._weights[torch.from_numpy(batch)]
        tagged = [
            (row, first + len(tokenizer.prefix), tag)
            for row, index in enumerate(batch)
            if lessons[row].tagged
            for first, tag in zip(words[index].firsts, tags[index], strict=True)
        ]
        loss = hidden.sum() * 0
        if tagged:
            rows, places, wanted = (torch.tensor(part) for part in zip(*tagged, strict=True))
            states = torch.nn.functional.dropout(hidden[rows, places], _DROPOUT)
            loss = loss + _mean_loss(self._heads["tags"](states), wanted, weights[rows])
        named = [row for row, lesson in enumerate(lessons) if lesson.label is not None]
        if named:
            wanted = torch.tensor([lessons[row].label for row in named])
            logits = self._heads["labels"](SCALE * vectors[named])
            loss = loss + _mean_loss(logits, wanted, weights[named], smoothing=_SMOOTHING)
        alike = [
            row
            for row, index in enumerate(batch)
            if lessons[row].label is None and words[index].ids == self._written[index]
        ]
        if alike:
            # 1 less the cosine to what they were
            known = torch.from_numpy(self._known[batch][alike])
            loss = loss + self._kept * (1 - (vectors[alike] * known).sum(1)).mean()
        return loss


def _mean_loss(logits: Any, wanted: Any, weights: Any, smoothing: float = 0.0) -> Any:
    each = torch.nn.functional.cross_entropy(logits, wanted, reduction="none", label_smoothing=smoothing)
    return (each * weights).sum() / weights.sum()


def _varied(marked: Marked, values: Mapping[str, Sequence[str]], swap: float, chance: random.Random) -> Marked:
    if not marked.marks or chance.random() >= swap:
        return marked
    others = [values.get(mark.name) or [marked.value(mark)] for mark in marked.marks]
    return replaced(marked, [chance.choice(some) for some in others])


def _words(encoder: TorchEncoder, text: str) -> Words:
    words = read(text[: encoder.tokens * LONGEST_CHARS_A_TOKEN], encoder.tokenizer.words)
    room = encoder.tokens - encoder.tokenizer.specials
    firsts = tuple(first for first in words.firsts if first < room)
    return Words(ids=words.ids[:room], firsts=firsts, places=words.places[: len(firsts)])


class _Mean:
    """A moving average of weights. total: how often it will be told that they have changed."""

    def __init__(self, parameters: Sequence[Any], total: int) -> None:
        self._parameters = parameters
        self._decay = 1 - 1 / max(2.0, _AVERAGED * total)
        self._mean: list[Any] = []

    def changed(self) -> None:
        now = [part.detach() for part in self._parameters]
        with torch.no_grad():
            if not self._mean:
                self._mean = [part.clone() for part in now]
            torch._foreach_lerp_(self._mean, now, 1 - self._decay)

    def settle(self) -> None:
        """From here on the weights are their average."""
        with torch.no_grad():
            for part, mean in zip(self._parameters, self._mean, strict=True):
                part.copy_(mean)
