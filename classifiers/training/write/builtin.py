"""The built-in writer: training sentences from a policy's own words. It needs no model and no network.

How much each form counts was measured on text that this project did not write (docs/design/002-fitting-a-head.md):
examples and their variants most, then the name, the description and its clauses. A label's rows of one form share
that form's weight, but an author's examples never fall below a weight of their own, however many there are.
"""

import random
from collections import defaultdict
from collections.abc import Collection, Container, Iterator, Sequence
from dataclasses import dataclass, replace

from classifiers.policy import OTHER, Label, Policy
from classifiers.text.languages import code_of
from classifiers.training.rows import Origin, Row
from classifiers.training.write import frames
from classifiers.training.write.everyday import EVERYDAY
from classifiers.training.write.speech import clauses, exclusions, first_person, name_words, positive
from classifiers.training.write.together import together

_MOST_ROWS = 20_000
"""Over all labels; with many labels each gets fewer forms, the weightiest first, but what the author wrote whole."""

_BRIEF_SCALE = 3.0
"""Beside many sentences of others, the author's few words count more than one of those each: of every label, whichever
has the sentences (else 1.0 to 1.7 points less where every second one has)."""

_EVERYDAY_WEIGHT = 8.0
"""What all everyday rows count together: about as much as a label's rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The writer's rows and, for the report, how many there are of each form."""

    rows: tuple[Row, ...]
    forms: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to say a label: `weight` is shared by its rows, `least` is for each; `probe`: like users' messages;
    `brief`: of use even beside plenty of sentences that someone else wrote."""

    name: str
    weight: float
    least: float = 0.0
    probe: bool = False
    brief: bool = False


_EXAMPLE = _Form("example", 1.5, 0.75, probe=True, brief=True)
_NAME = _Form("name", 1.0, brief=True)
_MEANS = _Form("description", 1.0, brief=True)
_SAID = _Form("description in the first person", 1.0, brief=True)
_NAMED_EXAMPLE = _Form("name: example", 1.0, 0.2, brief=True)
_NAMED_CLAUSE = _Form("name: clause", 0.7)
_CLAUSE = _Form("clause", 0.7)
_FRAMED = _Form("framed example", 0.7, 0.05)
_PLAIN = _Form("hurried example", 0.5, 0.2)
_SHORT = _Form("short example", 0.3, 0.1)
_MISTYPED = _Form("mistyped example", 0.2, 0.1)
_EXCLUDED = _Form("exclusion of another label", 0.3)
_AUTHORS = (_EXAMPLE, _NAME, _MEANS)


def write(policy: Policy, seed: int, *, plenty: Collection[str] = (), without: Container[str] = ()) -> Written:
    """Rows for every label of the policy and for what is none of them. The same seed writes the same rows.

    plenty: labels of which someone else writes plenty of sentences as well, or users did; there paraphrases add time
    and little else.
    without: forms that are left out.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    limit = max(4, _MOST_ROWS // len(policy.labels))
    english = "en" in map(code_of, policy.languages)
    rows: list[Row] = []
    forms: dict[str, int] = {}
    excluded = _excluded_elsewhere(policy)
    scale = _BRIEF_SCALE if plenty else 1.0
    for name in policy.labels:
        brief = name in plenty
        made = list(_label_rows(policy, name, excluded.get(name, ()), chance, english=english))
        made = [pair for pair in made if (pair[0].brief or not brief) and pair[0].name not in without]
        made = sorted(made, key=lambda pair: -pair[0].weight)
        made = [pair for place, pair in enumerate(made) if place < limit or pair[0] in _AUTHORS]
        count: dict[str, int] = {}
        for form, _ in made:
            count[form.name] = count.get(form.name, 0) + 1
        rows += [replace(row, weight=scale * max(form.least, form.weight / count[form.name])) for form, row in made]
        for form_name, number in count.items():
            forms[form_name] = forms.get(form_name, 0) + number
    misses = list(_near_misses(policy, chance, plenty, english=english)) if "near miss" not in without else []
    rows += misses
    if policy.several:
        rows, joined = together(policy, rows, chance)
        forms["two labels"] = joined
    forms["near miss"] = len(misses)
    if english and policy.everyday and (policy.multi_label or policy.other is not None):
        rows += _everyday(policy)
        forms["everyday text"] = len(EVERYDAY)
    return Written(rows=tuple(rows), forms={form: number for form, number in forms.items() if number})


def _label_rows(
    policy: Policy, name: str, excluded: Sequence[str], chance: random.Random, *, english: bool
) -> Iterator[tuple[_Form, Row]]:
    label = policy.labels[name]
    for index, example in enumerate(label.examples):
        for form, text in _example_forms(policy, name, example, chance, english=english):
            source: Origin = "policy" if form is _EXAMPLE else "builtin"
            group = f"{name}/example {index}"
            yield form, Row(text=text, labels=(name,), group=group, source=source, probe=form.probe)
    for form, text in _description_forms(policy, name, label, excluded, english=english):
        group = f"{name}/{form.name if form in {_NAME, _EXCLUDED} else 'means'}"
        yield form, Row(text=text, labels=(name,), group=group, source="builtin", probe=form.probe)


def _example_forms(
    policy: Policy, name: str, example: str, chance: random.Random, *, english: bool
) -> Iterator[tuple[_Form, str]]:
    yield _EXAMPLE, example
    yield _PLAIN, frames.plain(example)
    if english:
        yield _NAMED_EXAMPLE, f"{name_words(name)}: {example}"
        yield _MISTYPED, frames.mistyped(example, chance)
        if policy.kind == "safety":
            # its near misses get the same, so that neither side is known by its frames
            yield _SHORT, frames.short(example)
            for frame in _some_frames(len(policy.labels[name].examples), chance):
                yield _FRAMED, frame.format(x=example)


def _description_forms(
    policy: Policy, name: str, label: Label, excluded: Sequence[str], *, english: bool
) -> Iterator[tuple[_Form, str]]:
    words, means = name_words(name), positive(label.means)
    told = first_person(means)
    yield _MEANS, means
    if policy.kind != "safety":
        # a harmful label's bare name is no harmful message: only its description and examples teach
        yield _NAME, words
    if not english:
        return
    yield _SAID, told
    if policy.kind == "safety":
        return
    for clause in clauses(told):
        yield _CLAUSE, clause
        yield _NAMED_CLAUSE, f"{words}: {clause}"
    for text in excluded:
        yield _EXCLUDED, text


def _excluded_elsewhere(policy: Policy) -> dict[str, list[str]]:
    """What other labels' descriptions exclude in a label's favour: `NOT a late card (card_arrival)`."""
    found: dict[str, list[str]] = defaultdict(list)
    for excluding, label in policy.labels.items():
        for text, names in exclusions(label.means):
            for name in names:
                if name in policy.labels and name != excluding:
                    found[name].append(text)
    return found


def _near_misses(policy: Policy, chance: random.Random, plenty: Container[str], *, english: bool) -> Iterator[Row]:
    """The `not:` lines: harmless for safety, and for single-label kinds merely not that label. Those of a label have
    paraphrases where its examples have."""
    for name, label in policy.labels.items():
        for index, text in enumerate(label.not_):
            group = f"{name}/not {index}"
            safety = policy.kind == "safety"
            against = () if safety else (name,)
            yield Row(text=text, labels=(), against=against, group=group, source="policy")
            if english and safety and name not in plenty:
                for form in (
                    frames.plain(text),
                    frames.short(text),
                    frames.mistyped(text, chance),
                    *(frame.format(x=text) for frame in _some_frames(len(label.not_), chance)),
                ):
                    yield Row(text=form, labels=(), group=group, source="builtin", weight=0.15, probe=False)


def _some_frames(messages: int, chance: random.Random) -> list[str]:
    """All of them for a single message, two for each of many."""
    return chance.sample(frames.AROUND_A_MESSAGE, max(2, len(frames.AROUND_A_MESSAGE) // messages))


def _everyday(policy: Policy) -> Iterator[Row]:
    labels = () if policy.multi_label else (OTHER,)
    weight = 1.0 if policy.kind == "safety" else _EVERYDAY_WEIGHT / len(EVERYDAY)
    for index, text in enumerate(EVERYDAY):
        yield Row(text=text, labels=labels, group=f"everyday {index}", source="builtin", weight=weight)
