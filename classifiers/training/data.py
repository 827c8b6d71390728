"""Labelled rows from the user's own files (JSONL, CSV). Files are read, never written."""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from classifiers.errors import TrainingError
from classifiers.policy import NONE, OTHER, Policy
from classifiers.slots.markup import parse
from classifiers.training import sheet
from classifiers.training.clean import digest
from classifiers.training.faults import Faults, Unknown, nothing
from classifiers.training.rows import Origin, Row, encodable

_LABEL_KEYS = ("label", "labels", "category", "intent")


def read_rows(policy: Policy, paths: Sequence[Path], source: Origin = "data", *, unread: bool = False) -> list[Row]:
    """Every row of the files, whose labels must be the policy's (or `other`, or for safety `none`).

    Where the policy has slots, texts may mark them: `a table at [7 pm](time)`; a policy of one label needs no `label`.
    JSONL: objects with `text` and `label` (a string; for safety also a list). CSV: a header with `text` and
    `label` in any case, parted by commas, semicolons or tabs, several labels separated by `|`, fields of at most
    10,000,000 characters. A column `group` keeps rows together. Of safety, `system` is the system prompt that a text
    was written under; rows of one prompt are one group where they name none. unread: whether a row may give a prompt
    although the policy reads none.
    Raises TrainingError naming file:line for all that cannot be read, and files without a row.
    """
    rows: list[Row] = []
    faults = Faults()
    for path in paths:
        before, told, empty = len(rows), len(faults.found), True
        for line, record in _records(policy, path, faults):
            empty = False
            row = _row(policy, record, f"{path.name}:{line}", source, unread=unread)
            if isinstance(row, Row):
                rows.append(row)
            else:
                faults.add(f"{path}:{line}", row)
        if empty and len(faults.found) == told:
            faults.add(str(path), "holds no row")
        if not any(row.marks for row in rows[before:]):
            # a file that marks nothing says nothing of slots
            rows[before:] = [replace(row, marks=None) for row in rows[before:]]
    if faults:
        raise TrainingError(faults.told(policy))
    return rows


def read_calls(policy: Policy, calls: Iterable[tuple[str, str]]) -> list[Row]:
    """Rows of calls as a gateway kept them, (text, label): a text is read as it came, so nothing is known of slots, and
    stands in no report. What is empty, or whose label is not the policy's, is left out."""
    rows = []
    for number, (text, label) in enumerate(calls, 1):
        labels = _labels(policy, {"label": label})
        if text.strip() and isinstance(labels, tuple):
            given = Row(text=encodable(text), labels=labels, group=f"call:{number}", source="data")
            rows.append(replace(given, digest=digest(given.text)))
    return rows


def _needs_no_label(policy: Policy) -> bool:
    return bool(policy.slots) and len(policy.labels) == 1


def _records(policy: Policy, path: Path, faults: Faults) -> Iterator[tuple[int, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        faults.add(str(path), f"cannot be read ({error.strerror})")
        return
    except UnicodeDecodeError as error:
        # of what was read: a pipe is empty by now
        line = error.object[: error.start].count(b"\n") + 1
        faults.add(f"{path}:{line}", "not UTF-8; save the file as UTF-8")
        return
    if path.suffix.lower() in {".csv", ".tsv"}:
        yield from sheet.records(path, text, faults, label_keys=_LABEL_KEYS, labelled=not _needs_no_label(policy))
    else:
        yield from _json_records(path, text, faults)


def _json_records(path: Path, text: str, faults: Faults) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            faults.add(f"{path}:{number}", f"not valid JSON: {error}")


def _row(policy: Policy, record: Any, place: str, source: Origin, *, unread: bool) -> Row | str | Unknown:
    """The row, or what is wrong with it."""
    if not isinstance(record, dict):
        return "a row must be an object with text and label"
    text = record.get("text")
    if not isinstance(text, str) or not text.strip():
        return "text is missing or empty"
    labels = _labels(policy, record)
    if not isinstance(labels, tuple):
        return labels
    system = record.get("system") or "" if policy.kind == "safety" else ""
    if not isinstance(system, str):
        return "system is not text"
    system = encodable(system.strip())
    if system and not (policy.reads_system or unread):
        return "gives a system prompt, which is read only with reads_system: true"
    group = _group(record, place, system)
    row = Row(text=encodable(text), labels=labels, group=group, source=source, system=system)
    return _marked(row, policy)


def _group(record: dict[str, Any], place: str, system: str) -> str:
    """Rows of one system prompt belong together: measured on some, what was learned of the others would flatter."""
    if record.get("group") not in (None, ""):
        return encodable(f"{place.rpartition(':')[0]}/{record['group']}")
    return group_of(system) if system else encodable(place)


def group_of(system: str) -> str:
    """The group of a system prompt's rows that name no other."""
    return sha256(system.encode()).hexdigest()


def _labels(policy: Policy, record: dict[str, Any]) -> tuple[str, ...] | str | Unknown:
    """A row's labels, or what is wrong with them."""
    key = next((key for key in _LABEL_KEYS if record.get(key) is not None), None)
    value = record[key] if key else next(iter(policy.labels)) if _needs_no_label(policy) else None
    names = value.split("|") if isinstance(value, str) and policy.multi_label else value
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return "label is missing or is not text"
    labels = tuple(dict.fromkeys(_spelt(policy, name.strip()) for name in names if name.strip()))
    if names and not labels:
        return f"label is empty; where no label holds, write {nothing(policy)}"
    unknown = [name for name in labels if name not in policy.labels and name not in {OTHER, NONE}]
    if unknown:
        return Unknown(unknown[0])
    held = tuple(name for name in policy.labels if name in labels)
    if policy.multi_label and held and len(held) < len(labels):
        return f"{next(name for name in labels if name not in held)} stands beside a label; write one or the other"
    if not policy.multi_label and len(labels) != 1:
        return f"a policy of kind {policy.kind} takes one label a row, here are {len(labels)}"
    return held if held or policy.multi_label else (OTHER,)


def _spelt(policy: Policy, name: str) -> str:
    """A label as the policy spells it: an accent may be part of its letter or follow it, and looks the same."""
    if name.isascii() or name in policy.labels:
        return name
    forms = unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)
    return next((form for form in forms if form in policy.labels), name)


def _marked(row: Row, policy: Policy) -> Row | str:
    """The row with the marks taken out of its text, or what is wrong with them."""
    if not policy.slots:
        return row
    try:
        marked = parse(row.text, tuple(policy.slots))
    except ValueError as error:
        return str(error)
    return replace(row, text=marked.text, marks=marked.marks)
