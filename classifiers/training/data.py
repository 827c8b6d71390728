"""Labelled rows from the user's JSONL and CSV files; and the archive of the rows that a version was trained on.

The archive is `<models>/<name>/training/<version>.jsonl`, with doubtful rows in `<version>.doubts.jsonl`; of a call's
text it keeps only the digest. It serves evaluations on this machine, which find shared rows and neighbours of errors.
It is no part of the artifact: a classifier can be handed on and served without it.
"""

import csv
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from hashlib import sha256
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from classifiers.errors import ArtifactError, TrainingError
from classifiers.policy import NONE, OTHER, Policy
from classifiers.slots.fill import parse
from classifiers.training.clean import digest
from classifiers.training.label_noise import Doubt
from classifiers.training.rows import Origin, Row, encodable

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name in place of a label that is no label of the policy."""

    name: str


@dataclass(slots=True)
class Faults:
    """What is wrong with rows of files, in order, each with its place. An unknown name is listed once."""

    listed: list[tuple[str, str | Unknown]] = field(default_factory=list)
    rows: Counter[Unknown] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.listed)

    def add(self, place: str, fault: str | Unknown) -> None:
        """place: `file:line`, or the file."""
        if isinstance(fault, Unknown):
            self.rows[fault] += 1
            if self.rows[fault] > 1:
                return
        self.listed.append((place, fault))

    def describe(self, policy: Policy) -> str:
        """The first twenty, a line each, and how many more there are."""
        lines = [f"{place}: {self._line(policy, fault)}" for place, fault in self.listed[:_SHOWN]]
        more = len(self.listed) - _SHOWN
        return "\n".join([*lines, *([f"… and {more} more"] if more > 0 else [])])

    def _line(self, policy: Policy, fault: str | Unknown) -> str:
        if isinstance(fault, str):
            return fault
        near = get_close_matches(fault.name, list(policy.labels), n=1)
        # both hints, since `harmless` is near to `harmful`
        meant = [*(f"did you mean {name!r}?" for name in near), f"where no label holds, write {nothing(policy)}"]
        more = self.rows[fault] - 1
        others = f" ({more:,} more {'row has' if more == 1 else 'rows have'} it)" if more else ""
        return f"no label {fault.name!r} in the policy {policy.name}{others}; {' '.join(meant)}"


def nothing(policy: Policy) -> str:
    """What a row gives in place of a label where none of the policy's holds."""
    return NONE if policy.multi_label else OTHER


_LINE_END = re.compile(r"\r\n|\r|\n")
_PARTS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_SHOWN_HEADER_CHARS = 200
_MOST_FIELD_CHARS = 10_000_000
"""The longest field; a longer one means an open quote. csv's own limit of 131,072 is shorter than some texts."""


def records(
    path: Path, text: str, faults: Faults, *, label_keys: Sequence[str], labelled: bool
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, fields by column) of each row of a CSV or TSV file, as a spreadsheet may have saved it.

    text: the file's content; label_keys: names of the label's column; labelled: whether that column is needed.
    """
    # csv has this limit only for the whole process
    csv.field_size_limit(_MOST_FIELD_CHARS)
    needed = [("text",), *([tuple(label_keys)] if labelled else [])]
    delimiter = _delimiter(path, text, needed)
    # without strict, everything after an open quote is read as one field
    reader = csv.DictReader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        header = reader.fieldnames or ()
        if not _names_all(header, needed):
            faults.add(f"{path}:1", _no_header(header, label_keys, labelled=labelled))
            return
        reader.fieldnames = columns = _columns(header)
        begins = reader.line_num + 1
        for record in reader:
            begins = reader.line_num + 1
            if any(record.get(None, ())):
                signs = _PARTS[delimiter]
                faults.add(f"{path}:{reader.line_num}", f"more fields than the header; quote text that holds {signs}")
            elif any((record[name] or "").strip() for name in columns):
                # spreadsheets save an emptied row as blanks
                yield reader.line_num, record
    except csv.Error as error:
        following = _LINE_END.split(text)[begins - 1 :]
        blank = next((count for count, line in enumerate(following) if line.strip()), 0)
        faults.add(f"{path}:{begins + blank}", _problem(str(error)))


def _delimiter(path: Path, text: str, needed: Sequence[Sequence[str]]) -> str:
    """The delimiter by the file's name, unless the header has the needed columns only with another one."""
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    for delimiter in (usual, *(sign for sign in _PARTS if sign != usual)):
        try:
            header = next(csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True), ())
        except csv.Error:
            continue
        if _names_all(header, needed):
            return delimiter
    return usual


def _names_all(header: Sequence[str], needed: Sequence[Sequence[str]]) -> bool:
    columns = _columns(header)
    return all(any(name in columns for name in names) for names in needed)


def _columns(header: Sequence[str]) -> list[str]:
    """Column names in lower case; an exact name comes before one that differs in case."""
    folded = [name.strip().casefold() for name in header]
    return [raw if name in header else name for raw, name in zip(header, folded, strict=True)]


def _no_header(header: Sequence[str], label_keys: Sequence[str], *, labelled: bool) -> str:
    first, *others = label_keys
    label = f" and {first} (or {', '.join(others)})" if labelled else ""
    given = ", ".join(header)[:_SHOWN_HEADER_CHARS] or "nothing"
    signs = f"parted by {' or '.join(', '.join(_PARTS.values()).rsplit(', ', 1))}"
    return f"the first line must name the columns text{label}, {signs}; found {given}"


def _problem(error: str) -> str:
    """An error of csv in plain words."""
    if "field limit" in error:
        return f"a field of more than {_MOST_FIELD_CHARS:,} characters; is a quote left open?"
    if "unexpected end" in error:
        return "a quote is opened that nothing closes"
    if "expected after" in error:
        return "text follows a closing quote; a quote within quoted text is written twice"
    return error


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
        before, faults_before, empty = len(rows), len(faults.listed), True
        for line, record in _records(policy, path, faults):
            empty = False
            row = _row(policy, record, f"{path.name}:{line}", source, unread=unread)
            if isinstance(row, Row):
                rows.append(row)
            else:
                faults.add(f"{path}:{line}", row)
        if empty and len(faults.listed) == faults_before:
            faults.add(str(path), "holds no row")
        if not any(row.marks for row in rows[before:]):
            # a file without any mark says nothing about slots
            rows[before:] = [replace(row, marks=None) for row in rows[before:]]
    if faults:
        raise TrainingError(faults.describe(policy))
    return rows


def read_calls(policy: Policy, calls: Iterable[tuple[str, str]]) -> list[Row]:
    """Rows of a gateway's calls, (text, label). Their texts have no marks and appear in no report.

    Calls with an empty text, or a label that the policy does not have, are left out.
    """
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
        # from the bytes in the error: a pipe cannot be read again
        number = error.object[: error.start].count(b"\n") + 1
        faults.add(f"{path}:{number}", "not UTF-8; save the file as UTF-8")
        return
    if path.suffix.lower() in {".csv", ".tsv"}:
        yield from records(path, text, faults, label_keys=_LABEL_KEYS, labelled=not _needs_no_label(policy))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            faults.add(f"{path}:{number}", f"not valid JSON: {error}")


def _row(policy: Policy, record: Any, place: str, source: Origin, *, unread: bool) -> Row | str | Unknown:
    """A row, or what is wrong with it."""
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
    """The group of a row; rows of one system prompt are one group, so that they are never both learned and measured."""
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
    known = tuple(name for name in policy.labels if name in labels)
    if policy.multi_label and known and len(known) < len(labels):
        return f"{next(name for name in labels if name not in known)} stands beside a label; write one or the other"
    if not policy.multi_label and len(labels) != 1:
        return f"a policy of kind {policy.kind} takes one label a row, here are {len(labels)}"
    return known if known or policy.multi_label else (OTHER,)


def _spelt(policy: Policy, name: str) -> str:
    """A label as the policy spells it; an accent may be part of its letter or a character of its own."""
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


FOLDER = "training"
DOUBTS = ".doubts.jsonl"
_FIELDS = ("text", "labels", "group", "source", "writer", "system", "digest")


def keep(models_dir: Path, name: str, version: str, rows: Iterable[Row], doubts: Sequence[Doubt] = ()) -> Path:
    """Archive the rows of a version, and the doubtful ones if any. Raises OSError where they cannot be written."""
    with archived_rows(models_dir, name, rows, doubts) as publish:
        return publish(version)


@contextmanager
def archived_rows(
    models_dir: Path, name: str, rows: Iterable[Row], doubts: Sequence[Doubt] = ()
) -> Iterator[Callable[[str], Path]]:
    """Write the archive before its version exists, so that a full disk publishes no version without one.

    Gives a function that moves the files to a version; otherwise they are removed. Raises OSError.
    """
    home = models_dir / name / FOLDER
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".kept-", dir=home) as scratch:
        written = _write(Path(scratch) / "rows", map(_record, rows))
        doubted = _write(Path(scratch) / "doubts", map(asdict, doubts)) if doubts else None

        def publish(version: str) -> Path:
            path = file_of(models_dir, name, version)
            if doubted:
                doubted.replace(path.with_suffix(DOUBTS))
            return written.replace(path)

        yield publish


def _record(row: Row) -> dict[str, Any]:
    record = {key: value for key, value in asdict(row).items() if key in _FIELDS and value}
    if row.digest:
        del record["text"]
    return {**record, "labels": row.labels}


def _write(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    # readable only by whoever trained, since it holds users' texts
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return path


def load(models_dir: Path, name: str, version: str) -> tuple[Row, ...] | None:
    """The archived rows, those of calls without text; None where there is no archive. Raises ArtifactError where the
    file is damaged."""
    path = file_of(models_dir, name, version)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        return tuple(_kept_row(json.loads(line)) for line in lines if line)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path} does not hold training rows ({error}); delete it") from error


def _kept_row(record: Mapping[str, Any]) -> Row:
    texts = {"text": ""} if "digest" in record else {}
    row = Row(**{**texts, **record, "labels": tuple(record["labels"])})
    if not all(isinstance(text, str) for text in (row.text, row.system, row.digest, *row.labels)):
        raise TypeError("a text is none")
    return row


def file_of(models_dir: Path, name: str, version: str) -> Path:
    """The path of a version's archive, which may not exist."""
    return models_dir / name / FOLDER / f"{version}.jsonl"
