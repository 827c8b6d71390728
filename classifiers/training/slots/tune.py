"""Tuning an encoder for slots: tags of words by cross entropy, and the text's label besides where there are labels.

The weights kept are a moving average over the last part of training, not a best epoch: held-out sentences only measure.
Sentences are varied as they are read again: now and then the values of their slots are exchanged for other values of
the same slots, so that a slot is learned by what stands around it as well as by its words. What teaches slots alone
keeps the vector that it had, so that few labelled texts are still told apart by what the encoder knew before; the
labels' head begins with the centroids of these.
"""

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.encoder.tokens import LONGEST_CHARS_A_TOKEN, Words
from classifiers.model.model import Floats
from classifiers.slots import tags as bio
from classifiers.slots.fill import Marked, replaced
from classifiers.slots.tags import read
from classifiers.training.fit.finetune import SCALE, Steps, head_of, run_epoch, set_head
from classifiers.training.fit.torch_encoder import TorchEncoder, bf16_helps, in_order, precision
from classifiers.training.fit.tuning_set import centroids

_DROPOUT = 0.1
_AVERAGED = 1 / 6
"""Of all steps; about as long ago as the average remembers."""
_MEASURED = 64
_KEPT, _FEW = 0.3, 12
"""How much it counts, beside a word's tag and a text's label, that what has no label keeps its vector: where there are
at most so many texts of a label on average; less the more there are."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggerPlan:
    """How to tune. rate: of learning; swap: the chance that a sentence gets other values; smoothing: of the labels'
    targets; tokens: a sentence's longest, special ones included."""

    rate: float = 3e-4
    epochs: int = 12
    batch: int = 48
    swap: float = 0.6
    smoothing: float = 0.1
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


_Row = tuple[TaggerRows, Words, list[int]]


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
    import torch

    bf16 = bf16_helps(encoder.dimensions)
    heads = torch.nn.ModuleDict(
        {
            "tags": torch.nn.Linear(encoder.dimensions, bio.count(len(slots))),
            "labels": torch.nn.Linear(encoder.dimensions, max(classes, 1)),
        }
    )
    written = [_read(encoder, lesson.marked, slots)[0].ids for lesson in lessons]
    known = encoder.vectors([encoder.tokenizer.surround(ids) for ids in written], bf16=bf16)
    losses_of = _TagLosses(encoder, heads, lessons, written, known, kept=_kept(lessons, classes), plan=plan, bf16=bf16)
    if classes:
        set_head(heads["labels"], _centroids(known, lessons, classes))
    chance = random.Random(seed)  # noqa: S311 - no secret
    total = plan.epochs * -(-len(lessons) // plan.batch)
    steps = Steps(encoder, heads, rate=plan.rate, total=total)
    mean = _Mean(steps.parameters, total)
    losses: list[float] = []
    for number in range(1, plan.epochs + 1):
        read_now = [_read(encoder, _varied(lesson.marked, values, plan.swap, chance), slots) for lesson in lessons]
        lengths = [len(words.ids) for words, _ in read_now]
        loss = partial(losses_of.batch, read_now)
        lost = run_epoch(encoder, steps, lengths, plan.batch, chance, loss=loss, after=mean.changed)
        losses.append(round(lost, 5))
        say(f"epoch {number} of {plan.epochs}: loss {losses[-1]:.3f}")
    mean.settle()
    encoder.module.eval()
    return TunedTags(
        tags=head_of(heads["tags"], 1.0), labels=head_of(heads["labels"], SCALE), losses=tuple(losses), bf16=bf16
    )


def _kept(lessons: Sequence[TaggerRows], classes: int) -> float:
    """How much it counts that text without a label keeps its vector."""
    labelled = sum(lesson.label is not None for lesson in lessons)
    return _KEPT * min(1.0, _FEW * classes / max(labelled, 1))


@dataclass(frozen=True, slots=True)
class _TagLosses:
    """The loss of a batch of sentences.

    written: (lessons,) ids of each as it was written; known: (lessons, dimensions) its vector before tuning.
    kept: how much it counts that what has no label keeps that vector.
    """

    encoder: TorchEncoder
    heads: Any
    lessons: Sequence[TaggerRows]
    written: Sequence[Sequence[int]]
    known: Floats
    kept: float
    plan: TaggerPlan
    bf16: bool

    def batch(self, read_now: Sequence[tuple[Words, list[int]]], batch: NDArray[np.intp]) -> Any:
        """read_now: (lessons,) words and tags of each, as it is varied in this epoch; batch: indexes."""
        tokenizer = self.encoder.tokenizer
        with precision(bf16=self.bf16):
            vectors, hidden = self.encoder.states([tokenizer.surround(read_now[index][0].ids) for index in batch])
        rows = [(self.lessons[index], *read_now[index]) for index in batch]
        loss = _tag_loss(self.heads["tags"], hidden, rows, len(tokenizer.prefix))
        loss = loss + _label_loss(self.heads["labels"], vectors, rows, self.plan.smoothing)
        alike = [
            place
            for place, (lesson, words, _) in enumerate(rows)
            if lesson.label is None and words.ids == self.written[batch[place]]
        ]
        return loss + self.kept * _moved(vectors, self.known[batch], alike)


def _centroids(vectors: Floats, lessons: Sequence[TaggerRows], classes: int) -> tuple[Floats, Floats]:
    named = [(index, lesson.label) for index, lesson in enumerate(lessons) if lesson.label is not None]
    targets = np.zeros((len(named), classes), np.float32)
    targets[np.arange(len(named)), [label for _, label in named]] = 1
    weights = np.array([lessons[index].weight for index, _ in named], np.float32)
    return centroids(vectors[[index for index, _ in named]], targets, weights)


def _varied(marked: Marked, values: Mapping[str, Sequence[str]], swap: float, chance: random.Random) -> Marked:
    if not marked.marks or chance.random() >= swap:
        return marked
    return replaced(
        marked,
        [chance.choice(values[mark.name]) if values.get(mark.name) else marked.value(mark) for mark in marked.marks],
    )


def _read(encoder: TorchEncoder, marked: Marked, slots: Sequence[str]) -> tuple[Words, list[int]]:
    """The first window's words and their tags."""
    words = read(marked.text[: encoder.tokens * LONGEST_CHARS_A_TOKEN], encoder.tokenizer.words)
    room = encoder.tokens - encoder.tokenizer.specials
    firsts = tuple(first for first in words.firsts if first < room)
    places = words.places[: len(firsts)]
    return Words(ids=words.ids[:room], firsts=firsts, places=places), bio.of_places(places, marked.marks, slots)


def _tag_loss(head: Any, hidden: Any, rows: Sequence[_Row], prefix: int) -> Any:
    """Mean over words. prefix: how many special tokens come before a text's own."""
    import torch

    row, place, tag, weight = [], [], [], []
    for index, (lesson, words, tags) in enumerate(rows):
        if lesson.tagged:
            row += [index] * len(tags)
            place += [first + prefix for first in words.firsts]
            tag += tags
            weight += [lesson.weight] * len(tags)
    if not row:
        return hidden.sum() * 0
    states = torch.nn.functional.dropout(hidden[torch.tensor(row), torch.tensor(place)], _DROPOUT)
    each = torch.nn.functional.cross_entropy(head(states), torch.tensor(tag), reduction="none")
    share = torch.tensor(weight)
    return (each * share).sum() / share.sum()


def _label_loss(head: Any, vectors: Any, rows: Sequence[_Row], smoothing: float) -> Any:
    """Mean over the texts that have a label."""
    import torch

    named = [index for index, (lesson, _, _) in enumerate(rows) if lesson.label is not None]
    if not named:
        return vectors.sum() * 0
    each = torch.nn.functional.cross_entropy(
        head(SCALE * vectors[named]),
        torch.tensor([rows[index][0].label for index in named]),
        reduction="none",
        label_smoothing=smoothing,
    )
    share = torch.tensor([rows[index][0].weight for index in named])
    return (each * share).sum() / share.sum()


def _moved(vectors: Any, known: Floats, asked: Sequence[int]) -> Any:
    """How far the vectors `asked` for have turned from what they were: 1 less their cosine, the mean."""
    import torch

    if not asked:
        return vectors.sum() * 0
    return (1 - (vectors[asked] * torch.from_numpy(known[asked])).sum(1)).mean()


class _Mean:
    """A moving average of weights. total: how often it will be told that they have changed."""

    def __init__(self, parameters: Sequence[Any], total: int) -> None:
        self._parameters = parameters
        self._decay = 1 - 1 / max(2.0, _AVERAGED * total)
        self._mean: list[Any] = []

    def changed(self) -> None:
        import torch

        now = [part.detach() for part in self._parameters]
        with torch.no_grad():
            if not self._mean:
                self._mean = copy.deepcopy(now)
            torch._foreach_lerp_(self._mean, now, 1 - self._decay)

    def settle(self) -> None:
        """From here on the weights are their average."""
        import torch

        with torch.no_grad():
            for part, mean in zip(self._parameters, self._mean, strict=True):
                part.copy_(mean)


def tag_logits(encoder: TorchEncoder, texts: Sequence[str], head: tuple[Floats, Floats]) -> list[Floats]:
    """For each text (words, tags), by torch in 32 bits; to hold the exported graph against."""
    import torch

    windows = [_read(encoder, Marked(text=text), ())[0] for text in texts]
    made: list[Floats] = [np.empty((0, len(head[1])), np.float32)] * len(texts)
    prefix = len(encoder.tokenizer.prefix)
    encoder.module.eval()
    with torch.no_grad():
        for batch in in_order([len(words.ids) for words in windows], _MEASURED):
            _, hidden = encoder.states([encoder.tokenizer.surround(windows[index].ids) for index in batch])
            for row, index in enumerate(batch):
                states = hidden[row].numpy()[[first + prefix for first in windows[index].firsts]]
                made[index] = states @ head[0].T + head[1]
    return made
