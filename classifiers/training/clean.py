"""Removes rows that would teach wrongly or let a test cheat, and names them. Pure."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from classifiers.errors import TrainingError
from classifiers.policy import NONE, OTHER, Policy
from classifiers.text.normalise import normalise
from classifiers.training.rows import Origin, Row

_TRUST: tuple[Origin, ...] = ("policy", "data", "picked", "judged", "file", "teacher", "builtin")
"""Sources by trust, the most trusted first: its label wins where two differ."""

_MARKS = " .,;!?…'\"“”„‘’«»¡¿。！？、，"
"""Marks of a sentence; normalised text has no other white space than blanks."""

_MAJORITY = 0.8
"""The share of a text's rows whose label wins against the rest: four against one. Careful labelling is wrong less
often, so below it the text itself is ambiguous."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A text with several labels by equally trusted sources. kept: the labels of a clear majority, or empty where the
    text was removed; dropped: how many rows were removed."""

    text: str
    labels: tuple[str, ...]
    kept: tuple[str, ...]
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """rows: what is left. leaks: texts that are also tests of the policy. duplicates, empty: rows removed."""

    rows: tuple[Row, ...]
    leaks: tuple[str, ...]
    contradictions: tuple[Contradiction, ...]
    duplicates: int
    empty: int


def key(text: str, system: str = "") -> str:
    """A key that is equal for texts that count as the same: normalised, without case and closing marks, under the same
    system prompt."""
    same = normalise(text).casefold()
    # small letters may look like others, or be written in several ways
    same = same if same.isascii() else normalise(same).casefold()
    same = same.strip(_MARKS) or same
    return f"{same}\n{key(system)}" if same and system else same


def digest(text: str, system: str = "") -> str:
    """16 hex digits that are equal for texts that count as the same."""
    return hashlib.sha256(key(text, system).encode()).hexdigest()[:16]


def known_by(row: Row) -> str:
    """The digest of a row's text, which the row itself may not have."""
    return row.digest or digest(row.text, row.system)


def clean(policy: Policy, rows: Iterable[Row]) -> Cleaned:
    """Drop empty rows, leaks of the policy's tests, duplicates and contradictions.

    Rows that the built-in writer made of a leaked line go with it. Of equal texts with different labels, the most
    trusted source wins (the policy, data, what a guard picked and a person labelled, what a judge labelled, a file, a
    teacher, the built-in writer). A near miss gives way to the most trusted label that it allows, except the built-in
    writer's. Raises TrainingError where a label has no row left.
    """
    rows = list(rows)
    tests = {key(test.text, test.system) for test in policy.tests}
    leaked: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.source == "policy" and key(row.text, row.system) in tests:
            leaked[row.group].append(row)
    by_key: dict[str, list[Row]] = defaultdict(list)
    # calls are shown without their text, so the key tells them apart
    leaks: dict[tuple[str, str], str] = {}
    empty = 0
    for row in rows:
        same = key(row.text, row.system)
        if not same:
            empty += 1
        elif _made_of_any(row, leaked.get(row.group, ())):
            continue
        elif same in tests:
            leaks[same, row.shown] = row.shown
        else:
            by_key[same].append(row)
    kept: list[Row] = []
    contradictions: list[Contradiction] = []
    for equal in by_key.values():
        agreed, outvoted = _agreed(policy, equal)
        if agreed:
            kept.append(agreed)
        if outvoted:
            names = dict.fromkeys(name for row in equal for name in _named(row))
            stands = _named(agreed) if agreed else ()
            torn = Contradiction(text=equal[0].shown, labels=tuple(names), kept=stands, dropped=outvoted)
            contradictions.append(torn)
    _check_labels(policy, kept)
    dropped = sum(torn.dropped for torn in contradictions)
    return Cleaned(
        rows=tuple(kept),
        leaks=tuple(leaks.values()),
        contradictions=tuple(contradictions),
        duplicates=sum(map(len, by_key.values())) - len(kept) - dropped,
        empty=empty,
    )


def _check_labels(policy: Policy, rows: Iterable[Row]) -> None:
    learned = {label for row in rows for label in row.labels}
    if bare := [label for label in policy.labels if label not in learned]:
        shown = ", ".join(bare[:10]) + (f" and {len(bare) - 10} more" if len(bare) > 10 else "")
        raise TrainingError(
            f"{policy.name}: no training text is left for {shown}; add examples that are not among its tests"
        )


def _made_of_any(row: Row, leaked: Iterable[Row]) -> bool:
    """Whether the built-in writer made the row from one of these rows of its group: a text of two examples has the
    labels of both; a text made from the other example alone does not."""
    return row.source == "builtin" and any(set(line.labels) <= set(row.labels) for line in leaked)


def _agreed(policy: Policy, equal: Sequence[Row]) -> tuple[Row | None, int]:
    """The row for equal texts, None where the most trusted contradict each other; and how many rows differ."""
    trusted = _most_trusted(equal)
    against = {label: None for row in trusted for label in row.against}
    given = [row for row in equal if row.source != "builtin" and not row.against]
    left_open = [row for row in given if against.keys().isdisjoint(row.labels)]
    labelled = [row for row in trusted if not row.against] or _most_trusted(left_open)
    if not labelled:
        return replace(max(trusted, key=lambda row: row.weight), against=tuple(against)), 0
    majority = _majority(policy, labelled)
    first = max(majority, key=lambda row: row.weight)
    sets = {row.labels for row in majority}
    union = set().union(*sets)
    if against.keys() & union or (len(sets) > 1 and (not policy.multi_label or () in sets)):
        return None, len(equal)
    return replace(first, labels=tuple(filter(union.__contains__, (*policy.labels, OTHER)))), len(labelled) - len(
        majority
    )


def _majority(policy: Policy, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows of a clear majority, or else all. With several labels, the vote is on whether any label holds: whoever
    gave one label may not have looked for the others."""
    says = [bool(row.labels) if policy.multi_label else row.labels for row in rows]
    ((common, count),) = Counter(says).most_common(1)
    majority = [row for row, vote in zip(rows, says, strict=True) if vote == common]
    return majority if count >= _MAJORITY * len(rows) else rows


def _named(row: Row) -> tuple[str, ...]:
    return row.labels or row.against or (NONE,)


def _most_trusted(rows: Sequence[Row]) -> list[Row]:
    best = min((_TRUST.index(row.source) for row in rows), default=0)
    return [row for row in rows if _TRUST.index(row.source) == best]
