"""What a teacher is asked: batches of messages for a label, each message with attributes of its own. Pure.

Attributed prompts: Yu et al. 2023, "Large Language Model as Attributed Training Data Generator".
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from classifiers.policy import OTHER, Policy
from classifiers.training.write.speech import name_words

LENGTHS = ("two to five words", "one short sentence", "one sentence", "two or three sentences with some background")
REGISTERS = ("neutral", "casual", "polite", "annoyed", "worried", "formal", "in a hurry")
FORMS = ("a question", "a statement", "a request", "a complaint", "a search-box fragment without a verb")
NOISE = ("", "", "", "all lower case, no punctuation", "one or two typos", "abbreviations as in a text message")
ANGLES = ("said outright", "said outright", "implied by describing the situation", "asked on behalf of someone else")

BATCH = 10
_NEIGHBOURS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One prompt. labels: what its answers are labelled; wanted: how many; batch: its number, for grouping."""

    prompt: str
    labels: tuple[str, ...]
    wanted: int
    batch: str


def asks(policy: Policy, sentences_per_label: int, seed: int) -> list[Ask]:
    """Every prompt for a policy, labels taking turns, so that a budget that ends early ends evenly."""
    turns = [
        list(_label_asks(policy, name, sentences_per_label, random.Random(f"{seed}/{name}")))  # noqa: S311 - no secret
        for name in policy.labels
    ]
    beside = random.Random(f"{seed}/")  # noqa: S311
    if policy.multi_label:
        turns += [list(_contrast_asks(policy, name, sentences_per_label, beside)) for name in policy.labels]
    elif policy.other is not None:
        turns.append(list(_other_asks(policy, sentences_per_label, beside)))
    longest = max((len(turn) for turn in turns), default=0)
    return [turn[place] for place in range(longest) for turn in turns if place < len(turn)]


def neighbours(policy: Policy, name: str) -> list[str]:
    """The labels most easily taken for this one: by the words that their names, descriptions and examples share."""
    own = _words(policy, name)
    others = [other for other in policy.labels if other != name]
    return sorted(others, key=lambda other: -len(own & _words(policy, other)))[:_NEIGHBOURS]


def _label_asks(policy: Policy, name: str, total: int, chance: random.Random) -> Iterator[Ask]:
    label = policy.labels[name]
    near = neighbours(policy, name)
    for number, wanted in enumerate(_batches(total)):
        lines = [
            f"You write realistic test data. Context: {policy.about}",
            f'Write {wanted} different messages that mean "{name_words(name)}": {label.means}',
        ]
        if label.examples:
            lines.append(
                "For orientation only, do not repeat: "
                + "; ".join(chance.sample(label.examples, min(3, len(label.examples))))
            )
        if label.not_:
            lines.append("None of them may mean this, although it looks similar: " + "; ".join(label.not_[:5]))
        if near and not policy.multi_label:
            kin = "; ".join(f'"{name_words(other)}" ({policy.labels[other].means})' for other in near)
            lines.append(f"Each must clearly be that and none of these neighbours: {kin}")
            lines.append("Let about a third of them share words with a neighbour while still meaning the first.")
        yield _ask(policy, lines, (name,), wanted=wanted, batch=f"{name}/{number}", chance=chance)


def _contrast_asks(policy: Policy, name: str, total: int, chance: random.Random) -> Iterator[Ask]:
    label = policy.labels[name]
    for number, wanted in enumerate(_batches(total)):
        lines = [
            f"You write realistic test data for a safety filter. Context: {policy.about}",
            f'The filter flags "{name_words(name)}": {label.means}',
            f"Write {wanted} entirely harmless messages that share its topics and trigger words, as a careless filter",
            "would flag: figures of speech, news, fiction, history, medicine, programming, asking for help, work.",
        ]
        if label.not_:
            lines.append("Such as, do not repeat: " + "; ".join(label.not_[:5]))
        yield _ask(policy, lines, (), wanted=wanted, batch=f"harmless {name}/{number}", chance=chance)


def _other_asks(policy: Policy, total: int, chance: random.Random) -> Iterator[Ask]:
    names = "; ".join(name_words(name) for name in list(policy.labels)[:100])
    for number, wanted in enumerate(_batches(total)):
        lines = [
            f"You write realistic test data. Context: {policy.about}",
            f"Write {wanted} messages that are out of scope: {policy.other}",
            f"None may be about any of these: {names}",
            "Let half of them come from the same field and half from everyday life.",
        ]
        yield _ask(policy, lines, (OTHER,), wanted=wanted, batch=f"{OTHER}/{number}", chance=chance)


def _ask(
    policy: Policy, lines: Sequence[str], labels: tuple[str, ...], *, wanted: int, batch: str, chance: random.Random
) -> Ask:
    languages = [language for language in policy.languages if language.lower() != "en"]
    numbered = [f"{place + 1}. {_attributes(chance)}" for place in range(wanted)]
    tail = [
        "Vary vocabulary, names, amounts, places and sentence openings. Message by message:",
        *numbered,
        f'Answer with a JSON array of {wanted} strings and nothing else: ["…", "…"]',
    ]
    if languages:
        tail.insert(0, f"Write in these languages, evenly: {', '.join(policy.languages)}.")
    return Ask(prompt="\n".join([*lines, *tail]), labels=labels, wanted=wanted, batch=batch)


def _attributes(chance: random.Random) -> str:
    chosen = (chance.choice(kind) for kind in (LENGTHS, REGISTERS, FORMS, ANGLES, NOISE))
    return "; ".join(value for value in chosen if value)


def _batches(total: int) -> list[int]:
    return [BATCH] * (total // BATCH) + ([total % BATCH] if total % BATCH else [])


def _words(policy: Policy, name: str) -> set[str]:
    label = policy.labels[name]
    told = " ".join((name_words(name), label.means, *label.examples)).lower()
    return {word for word in re.findall(r"\w+", told) if len(word) > 3}
