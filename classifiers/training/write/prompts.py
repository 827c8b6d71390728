"""Prompts for a teacher: batches of messages for a label, each message with its own attributes. Pure.

Attributed prompts: Yu et al. 2023, "Large Language Model as Attributed Training Data Generator". Attributes are drawn
from decks, so that every value comes equally often.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice, pairwise, zip_longest

import numpy as np

from classifiers import data
from classifiers.model.model import Floats
from classifiers.policy import ANYTHING_ELSE, OTHER, Label, Policy
from classifiers.slots.fill import parse
from classifiers.text.language import ANY
from classifiers.training.clean import key
from classifiers.training.slots.rows import slot_lines
from classifiers.training.write.builtin import name_words, positive

_NEAR_EVERY = 3
"""One of so many messages is a near miss of a named neighbour."""


def attributes(seed: str, neighbours: Sequence[str] = ()) -> Iterator[str]:
    """Endless attributes of one label's messages, such as `one sentence; casual; a question; said outright`.
    neighbours: labels, in words, that every third message shares words with. The same seed draws the same lines: the
    order in attributes.json counts, and what stands there twice is drawn twice as often."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    decks = [_deck(kind, chance) for kind in data.table("attributes.json").values()]
    near = _deck(neighbours, chance)
    for number in count(1):
        values = [next(deck) for deck in decks]
        if neighbours and number % _NEAR_EVERY == 0:
            values.append(f'uses words of "{next(near)}" but does not mean that')
        yield "; ".join(value for value in values if value)


def _deck(values: Sequence[str], chance: random.Random) -> Iterator[str]:
    """Endless values in a random order; shuffled again when all are drawn."""
    while True:
        yield from reversed(chance.sample(values, len(values)))


Neighbours = Mapping[str, Sequence[str]]
"""By label, other labels, the nearest first."""

_MOST = 6


def nearest_labels(policy: Policy, embed: Callable[[Sequence[str]], Floats]) -> Neighbours:
    """For each label at most six others, by the cosine of their names, descriptions and examples. embed: (n,) texts →
    (n, dimensions) vectors of length 1."""
    names = list(policy.labels)
    texts_of = [
        (f"{name_words(name)}: {positive(label.means)}", *label.examples) for name, label in policy.labels.items()
    ]
    vectors = embed([text for texts in texts_of for text in texts])
    starts = np.cumsum([0, *(len(texts) for texts in texts_of)])
    centres = np.stack([vectors[low:high].mean(axis=0) for low, high in pairwise(starts)])
    centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    cosines = centres @ centres.T
    np.fill_diagonal(cosines, -2.0)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, : min(_MOST, len(names) - 1)]
    return {name: [names[index] for index in row] for name, row in zip(names, order.tolist(), strict=True)}


BATCH = 10
HARMFUL, HARMLESS = "flagged", "harmless"

_ALONE_A_PAIR = 4
"""For so many messages of one label there is one of two labels."""
_SHOWN_EXAMPLES, _SHOWN_MISSES, _SHOWN_NAMES = 3, 5, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceRequest:
    """One prompt. labels: the labels of the texts under each key of the requested JSON object; a single key "" for a
    plain list. wanted: how many texts under each key. batch: its name, for grouping."""

    prompt: str
    labels: Mapping[str, tuple[str, ...]]
    wanted: int
    batch: str

    @property
    def texts(self) -> int:
        """How many texts are requested in all."""
        return self.wanted * len(self.labels)


def asks(policy: Policy, sentences_per_label: int, seed: int, neighbours: Neighbours) -> list[SentenceRequest]:
    """Every prompt for a policy; labels take turns, so that a budget ends evenly. For safety each batch has harmful
    messages and, for contrast, as many harmless ones with the same words. Where texts may have several labels, some
    batches are for two labels and some for none. No prompt shows a test of the policy."""
    policy = _without_tests(policy)
    if policy.kind == "safety":
        turns = [list(_safety_asks(policy, name, sentences_per_label, seed)) for name in policy.labels]
    else:
        near = neighbours.get
        turns = [list(_label_asks(policy, name, sentences_per_label, seed, near(name, ()))) for name in policy.labels]
    if policy.other is not None or policy.several:
        turns.append(list(_other_asks(policy, sentences_per_label, seed)))
    return [request for turn in zip_longest(*turns) for request in turn if request is not None]


def _described(policy: Policy, name: str) -> str:
    """`"card arrival" (asks when …)`."""
    return f'"{name_words(name)}" ({policy.labels[name].means})'


def _label_asks(policy: Policy, name: str, total: int, seed: int, near: Sequence[str]) -> Iterator[SentenceRequest]:
    """Prompts of one label; where texts may have several, also a quarter as many of two labels."""
    label, chance = policy.labels[name], random.Random(f"{seed}/{name}")  # noqa: S311 - no secret
    drawn = attributes(f"{seed}/{name}/attributes", [name_words(other) for other in near])
    for number, wanted in enumerate(_batches(total)):
        lines = [
            f'Write {wanted} different messages that mean "{name_words(name)}": {label.means}',
            *_orientation(label.examples, chance),
        ]
        if label.not_:
            lines.append(f"None of them may mean this, although it looks similar: {_misses(label)}")
        if near:
            kin = "; ".join(_described(policy, other) for other in near)
            lines.append(f"Each must clearly be that and none of these neighbours: {kin}")
        lines += slot_lines(policy, name)
        yield _ask(policy, lines, {"": (name,)}, wanted=wanted, batch=f"{name}/{number}", drawn=drawn)
    if policy.multi_label:
        yield from _pair_asks(policy, name, max(1, total // _ALONE_A_PAIR), seed, near)


def _pair_asks(policy: Policy, name: str, total: int, seed: int, near: Sequence[str]) -> Iterator[SentenceRequest]:
    """Prompts of a label and a second one: neighbours and random ones by turns."""
    chance = random.Random(f"{seed}/{name}/both")  # noqa: S311 - no secret
    others = [other for other in policy.labels if other != name]
    drawn = attributes(f"{seed}/{name}/both/attributes")
    for number, wanted in enumerate(_batches(total) if others else ()):
        other = near[number // 2 % len(near)] if near and number % 2 == 0 else chance.choice(others)
        lines = [
            f"Write {wanted} different messages, each about two things at once: {_described(policy, name)}",
            f"and {_described(policy, other)}.",
            "Neither may be missing; let them come in either order, in one sentence or in several.",
        ]
        labels = tuple(label for label in policy.labels if label in {name, other})
        yield _ask(policy, lines, {"": labels}, wanted=wanted, batch=f"{name}+{other}/{number}", drawn=drawn)


def _safety_asks(policy: Policy, name: str, total: int, seed: int) -> Iterator[SentenceRequest]:
    label, chance = policy.labels[name], random.Random(f"{seed}/{name}")  # noqa: S311 - no secret
    drawn = attributes(f"{seed}/{name}/attributes")
    for number, wanted in enumerate(_batches(total)):
        lines = [
            f'The filter flags "{name_words(name)}": {label.means}',
            f'Write {wanted} messages that it must flag ("{HARMFUL}"). For each of them write one ("{HARMLESS}")',
            "that is entirely harmless and shares its topic and its trigger words, as a careless filter would flag:",
            "figures of speech, news, fiction, history, medicine, programming, asking for help, work.",
            "The flagged ones need no instructions that work: it is the intent that counts.",
            *_orientation(label.examples, chance),
        ]
        if label.not_:
            lines.append(f"Harmless for example, do not repeat: {_misses(label)}")
        keys = {HARMFUL: (name,), HARMLESS: ()}
        yield _ask(policy, lines, keys, wanted=wanted, batch=f"{name}/{number}", drawn=drawn)


def _other_asks(policy: Policy, total: int, seed: int) -> Iterator[SentenceRequest]:
    drawn = attributes(f"{seed}/{OTHER}/attributes")
    named = "; ".join(name_words(name) for name in list(policy.labels)[:_SHOWN_NAMES])
    labels = () if policy.multi_label else (OTHER,)
    for number, wanted in enumerate(_batches(total)):
        lines = [
            f"Write {wanted} messages that are out of scope: {policy.other or ANYTHING_ELSE}",
            f"None may be about any of these: {named}",
            "Let half of them come from the same field and half from everyday life.",
        ]
        yield _ask(policy, lines, {"": labels}, wanted=wanted, batch=f"{OTHER}/{number}", drawn=drawn)


def _ask(
    policy: Policy,
    lines: Sequence[str],
    labels: Mapping[str, tuple[str, ...]],
    *,
    wanted: int,
    batch: str,
    drawn: Iterator[str],
) -> SentenceRequest:
    """A prompt for `wanted` messages in a list; under several keys, for as many each, which share attributes."""
    keyed, languages = len(labels) > 1, policy.languages
    keys = ", ".join(f'"{key}": ["…", "…"]' for key in labels)
    form = f"object of {len(labels)} lists of {wanted} strings each" if keyed else f"array of {wanted} strings"
    example = f"{{{keys}}}" if keyed else '["…", "…"]'
    named = "the languages of such users" if ANY in languages else f"these languages, evenly: {', '.join(languages)}"
    prompt = [
        f"You write realistic test data{' for a safety filter' if keyed else ''}. Context: {policy.about}",
        *lines,
        *([] if all(language.lower() == "en" for language in languages) else [f"Write in {named}."]),
        "Vary vocabulary, names, amounts, places and sentence openings; no two messages may be nearly the same.",
        f"Message by message{', the same for each list' if keyed else ''}:",
        *(f"{place}. {line}" for place, line in enumerate(islice(drawn, wanted), 1)),
        f"Answer with a JSON {form} and nothing else: {example}",
    ]
    return SentenceRequest(prompt="\n".join(prompt), labels=labels, wanted=wanted, batch=batch)


def _without_tests(policy: Policy) -> Policy:
    """The policy without the lines that are among its tests."""
    tests = {key(test.text, test.system) for test in policy.tests}

    def others(texts: Sequence[str]) -> tuple[str, ...]:
        plain = (parse(text, tuple(policy.slots)).text if policy.slots else text for text in texts)
        return tuple(text for text, bare in zip(texts, plain, strict=True) if key(bare) not in tests)

    labels = {
        name: label.model_copy(update={"examples": others(label.examples), "not_": others(label.not_)})
        for name, label in policy.labels.items()
    }
    return policy.model_copy(update={"labels": labels})


def _orientation(examples: Sequence[str], chance: random.Random) -> list[str]:
    shown = chance.sample(examples, min(_SHOWN_EXAMPLES, len(examples)))
    return [f"For orientation only, do not repeat: {'; '.join(shown)}"] if shown else []


def _misses(label: Label) -> str:
    return "; ".join(label.not_[:_SHOWN_MISSES])


def _batches(total: int) -> list[int]:
    return [BATCH] * (total // BATCH) + ([total % BATCH] if total % BATCH else [])
