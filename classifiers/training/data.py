"""Labelled rows from the user's own files (JSONL, CSV). Files are read, never written."""

import csv
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

from classifiers.errors import TrainingError
from classifiers.policy import NONE, OTHER, Policy
from classifiers.slots.markup import parse
from classifiers.training.clean import digest
from classifiers.training.rows import Origin, Row, encodable

_LINE_END = re.compile(r"\r\n|\r|\n")
_LABEL_KEYS = ("label", "labels", "category", "intent")
_SHOWN_PROBLEMS = 20
_SHOWN_HEADER_CHARS = 200
_MOST_FIELD_CHARS = 10_000_000
"""Of a CSV's field. Beyond it a quote was left open; csv's own limit of 131,072 is less than a text may be long."""


def read_rows(policy: Policy, paths: Sequence[Path], source: Origin = "data", *, unread: bool = False) -> list[Row]:
    """Every row of the files, whose labels must be the policy's (or `other`, or for safety `none`).

    Where the policy has slots, texts may mark them: `a table at [7 pm](time)`; a policy of one label needs no `label`.
    JSONL: objects with `text` and `label` (a string; for safety also a list). CSV: a header with `text` and
    `label`, several labels separated by `|`, fields of at most 10,000,000 characters. A column `group` keeps rows
    together. Of safety, `system` is the system prompt that a text was written under; rows of one prompt are one group
    where they name none. unread: whether a row may give a prompt although the policy reads none.
    Raises TrainingError naming file:line for all that cannot be read.
    """
    rows: list[Row] = []
    problems: list[str] = []
    for path in paths:
        before = len(rows)
        for line, record in _records(policy, path, problems):
            row = _row(
                policy, record, f"{path.name}:{line}", source, unread=unread, hint=len(problems) < _SHOWN_PROBLEMS
            )
            if isinstance(row, str):
                problems.append(f"{path}:{line}: {row}")
            else:
                rows.append(row)
        if not any(row.marks for row in rows[before:]):
            # a file that marks nothing says nothing of slots
            rows[before:] = [replace(row, marks=None) for row in rows[before:]]
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        shown = problems[:_SHOWN_PROBLEMS] + ([f"… and {more} more"] if more > 0 else [])
        raise TrainingError("\n".join(shown))
    return rows


def read_calls(policy: Policy, calls: Iterable[tuple[str, str]]) -> list[Row]:
    """Rows of calls as a gateway kept them, (text, label): a text is read as it came, so nothing is known of slots, and
    stands in no report. What is empty, or whose label is not the policy's, is left out."""
    rows = []
    for number, (text, label) in enumerate(calls, 1):
        labels = _labels(policy, {"label": label}, hint=False)
        if text.strip() and not isinstance(labels, str):
            given = Row(text=encodable(text), labels=labels, group=f"call:{number}", source="data")
            rows.append(replace(given, digest=digest(given.text)))
    return rows


def _needs_no_label(policy: Policy) -> bool:
    return bool(policy.slots) and len(policy.labels) == 1


def _records(policy: Policy, path: Path, problems: list[str]) -> Iterator[tuple[int, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror})")
        return
    except UnicodeDecodeError as error:
        # of what was read: a pipe is empty by now
        line = error.object[: error.start].count(b"\n") + 1
        problems.append(f"{path}:{line}: not UTF-8; save the file as UTF-8")
        return
    if path.suffix.lower() in {".csv", ".tsv"}:
        yield from _csv_records(path, text, problems, labelled=not _needs_no_label(policy))
    else:
        yield from _json_records(path, text, problems)


def _csv_records(path: Path, text: str, problems: list[str], *, labelled: bool) -> Iterator[tuple[int, Any]]:
    lines = StringIO(text, newline="")
    delimiter, held = ("\t", "tabs") if path.suffix.lower() == ".tsv" else (",", "commas")
    # of the whole process, for csv has it no other way; it is the same for every file
    csv.field_size_limit(_MOST_FIELD_CHARS)
    # lenient, it would read all that follows an open quote as one field
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    begins = 1
    try:
        header = reader.fieldnames or ()
        if "text" not in header or (labelled and not any(key in header for key in _LABEL_KEYS)):
            needed = "text and label" if labelled else "text"
            found = ", ".join(header)[:_SHOWN_HEADER_CHARS] or "nothing"
            problems.append(f"{path}:1: a CSV needs a header with {needed}; found {found}")
            return
        begins = reader.line_num + 1
        for record in reader:
            begins = reader.line_num + 1
            if any(record.get(None, ())):
                problems.append(f"{path}:{reader.line_num}: more fields than the header; quote text that holds {held}")
            else:
                yield reader.line_num, record
    except csv.Error as error:
        following = _LINE_END.split(text)[begins - 1 :]
        blank = next((count for count, line in enumerate(following) if line.strip()), 0)
        problems.append(f"{path}:{begins + blank}: {_csv_problem(str(error))}")


def _csv_problem(error: str) -> str:
    """What csv says of a record that it cannot read, in other words."""
    if "field limit" in error:
        return f"a field of more than {_MOST_FIELD_CHARS:,} characters; is a quote left open?"
    if "unexpected end" in error:
        return "a quote is opened that nothing closes"
    if "expected after" in error:
        return "text follows a closing quote; a quote within quoted text is written twice"
    return error


def _json_records(path: Path, text: str, problems: list[str]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"{path}:{number}: not valid JSON: {error}")


def _row(policy: Policy, record: Any, place: str, source: Origin, *, unread: bool, hint: bool) -> Row | str:
    """The row, or what is wrong with it. hint: whether to look for the label that was meant, which takes a while."""
    if not isinstance(record, dict):
        return "a row must be an object with text and label"
    text = record.get("text")
    if not isinstance(text, str) or not text.strip():
        return "text is missing or empty"
    labels = _labels(policy, record, hint=hint)
    if isinstance(labels, str):
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


def _labels(policy: Policy, record: dict[str, Any], *, hint: bool) -> tuple[str, ...] | str:
    """A row's labels, or what is wrong with them."""
    key = next((key for key in _LABEL_KEYS if record.get(key) is not None), None)
    value = record[key] if key else next(iter(policy.labels)) if _needs_no_label(policy) else None
    names = value.split("|") if isinstance(value, str) and policy.multi_label else value
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return "label is missing or is not text"
    labels = tuple(dict.fromkeys(_spelt(policy, name.strip()) for name in names if name.strip()))
    if names and not labels:
        return f"label is empty; where no label holds, write {NONE if policy.kind == 'safety' else OTHER}"
    unknown = [name for name in labels if name not in policy.labels and name not in {OTHER, NONE}]
    if unknown:
        near = get_close_matches(unknown[0], list(policy.labels), n=1) if hint else ()
        return f"no label {unknown[0]!r} in the policy {policy.name}" + (f"; did you mean {near[0]!r}?" if near else "")
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
