"""Rows that would teach wrongly or let a test cheat are taken out, and named. Pure."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from classifiers.errors import TrainingError
from classifiers.policy import NONE, Policy
from classifiers.text.normalise import normalise
from classifiers.training.rows import Origin, Row

_TRUST: tuple[Origin, ...] = ("policy", "data", "file", "teacher", "builtin")
"""Whose label stands where two differ, most trusted first."""

_MARKS = " .,;!?…'\"“”„‘’«»¡¿。！？、，"
"""Of a sentence; in text that is normalised all white space is blanks."""

_MAJORITY = 0.8
"""Of the rows of a text, from which their label stands against the rest: at least four against one. One in five is more
than careful labelling gets wrong, so that below it the text itself means several things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A text that was given several labels by someone equally trusted. kept: the labels that a clear majority of its
    rows gave it, or empty, where the text is gone; dropped: how many rows that took away."""

    text: str
    labels: tuple[str, ...]
    kept: tuple[str, ...]
    dropped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """rows: what is left. leaks: texts that the policy's tests hold too. duplicates, empty: how many rows went."""

    rows: tuple[Row, ...]
    leaks: tuple[str, ...]
    contradictions: tuple[Contradiction, ...]
    duplicates: int
    empty: int


def key(text: str, system: str = "") -> str:
    """By this two texts count as the same: normalised, without case and without a sentence's marks at its ends, and
    under the same system prompt."""
    same = normalise(text).casefold()
    same = same.strip(_MARKS) or same
    return f"{same}\n{key(system)}" if same and system else same


def digest(text: str, system: str = "") -> str:
    """16 hex digits by which a text that counts as the same is known again."""
    return hashlib.sha256(key(text, system).encode()).hexdigest()[:16]


def known_by(row: Row) -> str:
    """The digest of its text, which may not be there any more."""
    return row.digest or digest(row.text, row.system)


def clean(policy: Policy, rows: Iterable[Row]) -> Cleaned:
    """Drop empty rows, leaks of the policy's tests, duplicates and contradictions.

    With a line of the policy that leaks goes what the built-in writer made of it. Of equal texts with different labels,
    the most trusted source's stands (the policy, then data, a file, a teacher, the built-in writer); what is merely not
    some label gives way to the most trusted label that it leaves open, but for the built-in writer's. Raises
    TrainingError where a label is left without any row.
    """
    rows = list(rows)
    tests = {key(test.text, test.system) for test in policy.tests}
    leaked: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.source == "policy" and key(row.text, row.system) in tests:
            leaked[row.group].append(row)
    by_key: dict[str, list[Row]] = defaultdict(list)
    # calls are all shown alike
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
    duplicates = 0
    for equal in by_key.values():
        agreed = _Agreed(equal[0]) if len(equal) == 1 else _agreed(policy, equal)
        dropped = len(equal) if agreed.row is None else agreed.outvoted
        if agreed.row is not None:
            kept.append(agreed.row)
            duplicates += len(equal) - 1 - dropped
        if dropped:
            names = dict.fromkeys(name for row in equal for name in _named(row))
            stands = _named(agreed.row) if agreed.row else ()
            contradictions.append(Contradiction(text=equal[0].shown, labels=tuple(names), kept=stands, dropped=dropped))
    _check_labels(policy, kept)
    return Cleaned(
        rows=tuple(kept),
        leaks=tuple(leaks.values()),
        contradictions=tuple(contradictions),
        duplicates=duplicates,
        empty=empty,
    )


def _made_of_any(row: Row, leaked: Iterable[Row]) -> bool:
    """Whether the built-in writer made a row of one of these, which are of its group: a text of two examples has the
    labels of both, and what was made of the other example alone has not."""
    return row.source == "builtin" and any(set(one.labels) <= set(row.labels) for one in leaked)


@dataclass(frozen=True, slots=True)
class _Agreed:
    """The one row that equal texts come to, or None where the most trusted of them contradict each other; outvoted: how
    many rows have another label than a clear majority of those that are trusted alike."""

    row: Row | None
    outvoted: int = 0


def _agreed(policy: Policy, equal: Sequence[Row]) -> _Agreed:
    trusted = _most_trusted(equal)
    labelled = [row for row in trusted if not row.against]
    against = tuple(dict.fromkeys(label for row in trusted for label in row.against))
    if not labelled:
        given = [row for row in equal if row.source != "builtin" and not row.against]
        left_open = [row for row in given if not set(against).intersection(row.labels)]
        if not left_open:
            return _Agreed(replace(max(trusted, key=lambda row: row.weight), against=against))
        labelled = _most_trusted(left_open)
    heard = _majority(policy, labelled)
    first, outvoted = max(heard, key=lambda row: row.weight), len(labelled) - len(heard)
    sets = {row.labels for row in heard}
    if any(set(against).intersection(labels) for labels in sets):
        return _Agreed(None)
    if len(sets) <= 1:
        return _Agreed(first, outvoted)
    if policy.multi_label and () not in sets:
        union = {label for labels in sets for label in labels}
        return _Agreed(replace(first, labels=tuple(label for label in policy.labels if label in union)), outvoted)
    return _Agreed(None)


def _majority(policy: Policy, rows: Sequence[Row]) -> Sequence[Row]:
    """Those that clearly most agree with, or else all. Where several labels may hold, the question is whether any does:
    whoever names one need not have looked for the others."""

    def says(row: Row) -> tuple[str, ...] | bool:
        return bool(row.labels) if policy.multi_label else row.labels

    ((common, count),) = Counter(map(says, rows)).most_common(1)
    return [row for row in rows if says(row) == common] if count >= _MAJORITY * len(rows) else rows


def _named(row: Row) -> tuple[str, ...]:
    """What it says of its text, for people."""
    return row.labels or row.against or (NONE,)


def _most_trusted(rows: Sequence[Row]) -> list[Row]:
    best = min(_TRUST.index(row.source) for row in rows)
    return [row for row in rows if _TRUST.index(row.source) == best]


def _check_labels(policy: Policy, rows: Iterable[Row]) -> None:
    seen = {label for row in rows for label in row.labels}
    bare = [label for label in policy.labels if label not in seen]
    if bare:
        shown = ", ".join(bare[:10]) + (f" and {len(bare) - 10} more" if len(bare) > 10 else "")
        raise TrainingError(
            f"{policy.name}: no training text is left for {shown}; add examples that are not among its tests"
        )
