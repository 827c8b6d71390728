"""What a teacher is asked: batches of messages for a label, each message with attributes of its own. Pure."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from classifiers.policy import ANYTHING_ELSE, OTHER, Policy
from classifiers.slots.markup import parse
from classifiers.text.languages import ANY
from classifiers.training.clean import key
from classifiers.training.slots.asked import slot_lines
from classifiers.training.write.attributes import Attributes
from classifiers.training.write.neighbours import Neighbours
from classifiers.training.write.speech import name_words

BATCH = 10
HARMFUL, HARMLESS = "flagged", "harmless"
NEITHER = "something else"

_NO_LABEL: tuple[str, ...] = ()
_ALONE_A_PAIR = 4
"""Of so many messages of a label alone there is one of it and another."""
_SHOWN_EXAMPLES, _SHOWN_MISSES, _SHOWN_NAMES = 3, 5, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One prompt.

    labels: by key of the JSON object that is asked for, what the texts under it are labelled; a single key "" where a
    plain list is asked for. wanted: how many texts under each. batch: its name, for grouping.
    """

    prompt: str
    labels: Mapping[str, tuple[str, ...]]
    wanted: int
    batch: str

    @property
    def texts(self) -> int:
        """How many texts are asked for in all."""
        return self.wanted * len(self.labels)


def asks(policy: Policy, sentences_per_label: int, seed: int, neighbours: Neighbours) -> list[Ask]:
    """Every prompt for a policy, labels taking turns, so that a budget that ends early ends evenly.

    For safety each batch holds harmful messages and, for contrast, as many harmless ones with the same words. Where a
    text may have several labels, some batches are of two at once, and some of none. None shows a test of the policy.
    """
    policy = _without_tests(policy)
    ask = _safety_asks if policy.kind == "safety" else _topic_asks if policy.multi_label else _label_asks
    turns = [list(ask(policy, name, sentences_per_label, seed, neighbours.get(name, ()))) for name in policy.labels]
    if policy.other is not None or policy.several:
        turns.append(list(_other_asks(policy, sentences_per_label, seed)))
    longest = max((len(turn) for turn in turns), default=0)
    return [turn[place] for place in range(longest) for turn in turns if place < len(turn)]


def described(policy: Policy, name: str) -> str:
    """`"card arrival" (asks when …)`."""
    return f'"{name_words(name)}" ({policy.labels[name].means})'


def scope(policy: Policy) -> str:
    """The names of its labels, for what is to be out of scope."""
    return "; ".join(name_words(name) for name in list(policy.labels)[:_SHOWN_NAMES])


def tail(policy: Policy) -> list[str]:
    """What every prompt says of languages and variety."""
    languages = policy.languages
    lines = ["Vary vocabulary, names, amounts, places and sentence openings; no two messages may be nearly the same."]
    if all(language.lower() == "en" for language in languages):
        return lines
    named = "the languages of such users" if ANY in languages else f"these languages, evenly: {', '.join(languages)}"
    return [f"Write in {named}.", *lines]


def _label_asks(policy: Policy, name: str, total: int, seed: int, near: Sequence[str]) -> Iterator[Ask]:
    label, chance = policy.labels[name], random.Random(f"{seed}/{name}")  # noqa: S311 - no secret
    drawn = Attributes(f"{seed}/{name}/attributes", [name_words(other) for other in near])
    for number, wanted in enumerate(_batches(total)):
        lines = [
            f"You write realistic test data. Context: {policy.about}",
            f'Write {wanted} different messages that mean "{name_words(name)}": {label.means}',
            *_orientation(label.examples, chance),
        ]
        if label.not_:
            misses = "; ".join(label.not_[:_SHOWN_MISSES])
            lines.append(f"None of them may mean this, although it looks similar: {misses}")
        if near:
            kin = "; ".join(described(policy, other) for other in near)
            lines.append(f"Each must clearly be that and none of these neighbours: {kin}")
        lines += slot_lines(policy, name)
        yield _list_ask(policy, lines, (name,), wanted=wanted, batch=f"{name}/{number}", drawn=drawn)


def _topic_asks(policy: Policy, name: str, total: int, seed: int, near: Sequence[str]) -> Iterator[Ask]:
    """Of the label alone, and a quarter as many of it with another: its neighbours, and whichever come by lot."""
    yield from _label_asks(policy, name, total, seed, near)
    chance = random.Random(f"{seed}/{name}/both")  # noqa: S311 - no secret
    others = [other for other in policy.labels if other != name]
    drawn = Attributes(f"{seed}/{name}/both/attributes")
    for number, wanted in enumerate(_batches(max(1, total // _ALONE_A_PAIR)) if others else ()):
        other = near[number // 2 % len(near)] if near and number % 2 == 0 else chance.choice(others)
        lines = [
            f"You write realistic test data. Context: {policy.about}",
            f"Write {wanted} different messages, each about two things at once: {described(policy, name)}",
            f"and {described(policy, other)}.",
            "Neither may be missing; let them come in either order, in one sentence or in several.",
        ]
        labels = tuple(label for label in policy.labels if label in {name, other})
        yield _list_ask(policy, lines, labels, wanted=wanted, batch=f"{name}+{other}/{number}", drawn=drawn)


def _safety_asks(policy: Policy, name: str, total: int, seed: int, near: Sequence[str]) -> Iterator[Ask]:
    del near  # the neighbours that matter for safety are harmless
    label, chance = policy.labels[name], random.Random(f"{seed}/{name}")  # noqa: S311
    drawn = Attributes(f"{seed}/{name}/attributes")
    for number, wanted in enumerate(_batches(total)):
        lines = [
            f"You write realistic test data for a safety filter. Context: {policy.about}",
            f'The filter flags "{name_words(name)}": {label.means}',
            f'Write {wanted} messages that it must flag ("{HARMFUL}"). For each of them write one ("{HARMLESS}")',
            "that is entirely harmless and shares its topic and its trigger words, as a careless filter would flag:",
            "figures of speech, news, fiction, history, medicine, programming, asking for help, work.",
            "The flagged ones need no instructions that work: it is the intent that counts.",
            *_orientation(label.examples, chance),
        ]
        if label.not_:
            misses = "; ".join(label.not_[:_SHOWN_MISSES])
            lines.append(f"Harmless for example, do not repeat: {misses}")
        keys = {HARMFUL: (name,), HARMLESS: _NO_LABEL}
        yield keyed_ask(policy, lines, keys, wanted=wanted, batch=f"{name}/{number}", drawn=drawn)


def _other_asks(policy: Policy, total: int, seed: int) -> Iterator[Ask]:
    drawn = Attributes(f"{seed}/{OTHER}/attributes")
    labels = _NO_LABEL if policy.multi_label else (OTHER,)
    for number, wanted in enumerate(_batches(total)):
        lines = [
            f"You write realistic test data. Context: {policy.about}",
            f"Write {wanted} messages that are out of scope: {policy.other or ANYTHING_ELSE}",
            f"None may be about any of these: {scope(policy)}",
            "Let half of them come from the same field and half from everyday life.",
        ]
        yield _list_ask(policy, lines, labels, wanted=wanted, batch=f"{OTHER}/{number}", drawn=drawn)


def _list_ask(
    policy: Policy, lines: Sequence[str], labels: tuple[str, ...], *, wanted: int, batch: str, drawn: Attributes
) -> Ask:
    prompt = [
        *lines,
        *tail(policy),
        "Message by message:",
        *(f"{place + 1}. {drawn.draw()}" for place in range(wanted)),
        f'Answer with a JSON array of {wanted} strings and nothing else: ["…", "…"]',
    ]
    return Ask(prompt="\n".join(prompt), labels={"": labels}, wanted=wanted, batch=batch)


def keyed_ask(
    policy: Policy,
    lines: Sequence[str],
    labels: Mapping[str, tuple[str, ...]],
    *,
    wanted: int,
    batch: str,
    drawn: Attributes,
) -> Ask:
    """A prompt for as many messages under each of several keys, which share the attributes line by line."""
    keys = ", ".join(f'"{key}": ["…", "…"]' for key in labels)
    prompt = [
        *lines,
        *tail(policy),
        "Message by message, the same for each list:",
        *(f"{place + 1}. {drawn.draw()}" for place in range(wanted)),
        f"Answer with a JSON object of {len(labels)} lists of {wanted} strings each and nothing else: {{{keys}}}",
    ]
    return Ask(prompt="\n".join(prompt), labels=dict(labels), wanted=wanted, batch=batch)


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
    if not examples:
        return []
    shown = chance.sample(examples, min(_SHOWN_EXAMPLES, len(examples)))
    return [f"For orientation only, do not repeat: {'; '.join(shown)}"]


def _batches(total: int) -> list[int]:
    return [BATCH] * (total // BATCH) + ([total % BATCH] if total % BATCH else [])
