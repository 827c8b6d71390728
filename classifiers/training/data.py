"""Labelled rows from the user's JSONL and CSV files; and the archive of the rows that a version was trained on.

The archive is `<models>/<name>/training/<version>.jsonl`, with doubtful rows in `<version>.doubts.jsonl` and vectors of
rows in `<version>.vectors.npz`; of a call's text it keeps only the digest. It serves evaluations and explanations on
this machine, which find shared rows and neighbours. It is no part of the artifact: a classifier can be handed on and
served without it.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from difflib import get_close_matches
from hashlib import sha256
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np

from classifiers.errors import ArtifactError, TrainingError
from classifiers.model.model import Floats
from classifiers.policy import NONE, OTHER, Policy
from classifiers.slots.fill import parse
from classifiers.training.clean import digest
from classifiers.training.label_noise import Doubt
from classifiers.training.rows import LabelledCall, Origin, Row, encodable

_SHOWN = 20
_YES, _NO = ("true", "yes", "1"), ("", "false", "no", "0")
_LABEL_KEYS = ("label", "labels", "category", "intent")
_DELIMITERS = (",", ";", "\t")
_MOST_FIELD_CHARS = 10_000_000
"""The longest field; a longer one means an open quote. csv's own limit of 131,072 is shorter than some texts."""


class _UnknownLabelError(TrainingError):
    """A name in place of a label that is no label of the policy."""


@dataclass(slots=True)
class _Faults:
    """What is wrong with rows of files, in order, each with its place: `file:line`, or the file. An unknown label is
    listed once."""

    listed: list[tuple[str, str]] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)

    def add(self, place: str, fault: str | Exception) -> None:
        self.labels[str(fault)] += isinstance(fault, _UnknownLabelError)
        if self.labels[str(fault)] < 2:
            self.listed.append((place, str(fault)))

    def check(self) -> None:
        """Raises TrainingError with the first twenty faults, a line each."""
        more = {fault: f" ({count - 1:,} more of such rows)" for fault, count in self.labels.items() if count > 1}
        lines = [f"{place}: {fault}{more.get(fault, '')}" for place, fault in self.listed[:_SHOWN]]
        if len(self.listed) > _SHOWN:
            lines.append(f"… and {len(self.listed) - _SHOWN} more")
        if lines:
            raise TrainingError("\n".join(lines))


def read_rows(
    policy: Policy,
    paths: Sequence[Path],
    source: Origin = "data",
    *,
    unread: bool = False,
    names: Mapping[str, str | None] = MappingProxyType({}),
) -> list[Row]:
    """Every row of the files, whose labels must be the policy's (or `other`, or for safety `none`).

    Where the policy has slots, texts may mark them: `a table at [7 pm](time)`; a policy of one label needs no `label`.
    JSONL: objects with `text` and `label` (a string; for safety also a list). CSV: a header with `text` and
    `label` in any case, parted by commas, semicolons or tabs, several labels separated by `|`, fields of at most
    10,000,000 characters. A column `group` keeps rows together. Of safety, `system` is the system prompt that a text
    was written under; rows of one prompt are one group where they name none. `picked` is true of texts that a guard
    blocked or was in doubt of. unread: whether a row may give a prompt
    although the policy reads none. names: what the files' labels are called in the policy; rows of a label that is None
    are left out.
    Raises TrainingError naming file:line for all that cannot be read, and files without a row.
    """
    rows: list[Row] = []
    faults = _Faults()
    for path in paths:
        file_rows: list[Row] = []
        faults_before, empty = len(faults.listed), True
        for line, record in _records(policy, path, faults):
            empty = False
            try:
                if (named := _renamed(record, names)) is not None:
                    file_rows.append(_row(policy, named, f"{path.name}:{line}", source, unread=unread))
            except (TrainingError, ValueError) as error:
                faults.add(f"{path}:{line}", error)
        if empty and len(faults.listed) == faults_before:
            faults.add(str(path), "holds no row")
        # a file without any mark says nothing about slots
        marked = any(row.marks for row in file_rows)
        rows += file_rows if marked else [replace(row, marks=None) for row in file_rows]
    faults.check()
    return rows


def reviewed_file(folder: Path, name: str) -> Path:
    """Where rows are that a person made of a classifier's own texts. folder: of its policy's file."""
    return folder / f"{name}.reviewed.jsonl"


def files_of(policy: Policy, folder: Path) -> list[Path]:
    """The files of a policy's own rows: those that it names, and the reviewed ones, if there are any."""
    files, reviewed = [folder / name for name in policy.data], reviewed_file(folder, policy.name)
    own = {file.resolve() for file in files}
    more = reviewed.is_file() and reviewed.stat().st_size and reviewed.resolve() not in own
    return [*files, reviewed] if more else files


def reviewed_digest(policy: Policy, folder: Path) -> str:
    """The SHA-256 of the reviewed rows, which makes a version of them differ; empty where there are none."""
    file = reviewed_file(folder, policy.name)
    return sha256(file.read_bytes()).hexdigest() if file in files_of(policy, folder) else ""


def _renamed(record: Any, names: Mapping[str, str | None]) -> Any:
    """A record with its labels by other names; None where one of them is to be left out."""
    key = next((key for key in _LABEL_KEYS if names and isinstance(record, dict) and key in record), None)
    if key is None:
        return record
    own = record[key] if isinstance(record[key], list) else [record[key]]
    if any(names.get(label, "") is None for label in own if isinstance(label, str)):
        return None
    return record | {key: list(dict.fromkeys(names.get(label, label) for label in own))}


def read_calls(policy: Policy, calls: Iterable[LabelledCall]) -> list[Row | None]:
    """The row of each of a gateway's calls. Their texts have no marks and appear in no report. None for calls with an
    empty text, or a label that the policy does not have."""
    rows: list[Row | None] = []
    for number, call in enumerate(calls, 1):
        rows.append(None)
        with suppress(TrainingError):
            labels, text = _labels(policy, {"label": call.label}), encodable(call.text)
            if text.strip():
                row = Row(text=text, labels=labels, group=f"call:{number}", source="data", digest=digest(text))
                rows[-1] = replace(row, calls=call.weight)
    return rows


def _records(policy: Policy, path: Path, faults: _Faults) -> Iterator[tuple[int, Any]]:
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
        yield from _table(path, text, faults, labelled=not _needs_no_label(policy))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                faults.add(f"{path}:{number}", f"not valid JSON: {error}")


def _table(path: Path, text: str, faults: _Faults, *, labelled: bool) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, fields by column) of each row of a CSV or TSV file, as a spreadsheet may have saved it."""
    # csv has this limit only for the whole process
    csv.field_size_limit(_MOST_FIELD_CHARS)
    first, line = (text.splitlines() or [""])[0].strip(), 1
    try:
        for delimiter in _DELIMITERS:
            columns = [name.strip().casefold() for name in next(csv.reader([first], delimiter=delimiter), ())]
            if "text" in columns and not (labelled and {*_LABEL_KEYS}.isdisjoint(columns)):
                break
        else:
            label = f" and {_LABEL_KEYS[0]} (or {', '.join(_LABEL_KEYS[1:])})" if labelled else ""
            needs = f"the first line must name the columns text{label}, parted by commas, semicolons or tabs"
            faults.add(f"{path}:1", f"{needs}; found {first[:200] or 'nothing'}")
            return
        # without strict, everything after an open quote is read as one field
        reader = csv.DictReader(StringIO(text, newline=""), columns, delimiter=delimiter, strict=True)
        for number, record in enumerate(reader):
            line = reader.line_num + 1
            if any(record.pop(None, ())):
                faults.add(f"{path}:{line - 1}", "more fields than the header; quote text that holds the separator")
            elif number and any((value or "").strip() for value in record.values()):
                # spreadsheets save an emptied row as blanks
                yield line - 1, record
    except csv.Error as error:
        faults.add(f"{path}:{line}", f"not valid CSV from here: {error}; is a quote left open, or not doubled in text?")


def _row(policy: Policy, record: Any, place: str, source: Origin, *, unread: bool) -> Row:
    """A row. Raises TrainingError, ValueError."""
    if not isinstance(record, dict):
        raise TrainingError("a row must be an object with text and label")
    text = record.get("text")
    if not isinstance(text, str) or not text.strip():
        raise TrainingError("text is missing or empty")
    labels = _labels(policy, record)
    system = record.get("system") or "" if policy.kind == "safety" else ""
    if not isinstance(system, str):
        raise TrainingError("system is not text")
    system = encodable(system.strip())
    if system and not (policy.reads_system or unread):
        raise TrainingError("gives a system prompt, which is read only with reads_system: true")
    group = group_of(system) if system else place
    if record.get("group") not in (None, ""):
        group = f"{place.rpartition(':')[0]}/{record['group']}"
    picked = str(record.get("picked") or "").strip().casefold()
    if picked not in {*_YES, *_NO}:
        raise TrainingError("picked is neither true nor false")
    row = Row(text=encodable(text), labels=labels, group=encodable(group), source=source, system=system)
    if source == "data" and picked in _YES:
        row = replace(row, source="judged" if record.get("by") == "judge" else "picked", probe=False)
    if not policy.slots:
        return row
    marked = parse(row.text, tuple(policy.slots))
    return replace(row, text=marked.text, marks=marked.marks)


def group_of(system: str) -> str:
    """The group of a system prompt's rows that name no other, so that they are never both learned and measured."""
    return sha256(system.encode()).hexdigest()


def _needs_no_label(policy: Policy) -> bool:
    return bool(policy.slots) and len(policy.labels) == 1


def _labels(policy: Policy, record: Mapping[str, Any]) -> tuple[str, ...]:
    """A row's labels. Raises TrainingError, ValueError."""
    default = next(iter(policy.labels)) if _needs_no_label(policy) else None
    value = next((record[key] for key in _LABEL_KEYS if record.get(key) is not None), default)
    names = value.split("|") if isinstance(value, str) and policy.multi_label else value
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TrainingError("label is missing or is not text")
    nothing = f"where no label holds, write {NONE if policy.multi_label else OTHER}"
    labels = [name for name in dict.fromkeys(map(str.strip, names)) if name]
    if names and not labels:
        raise TrainingError(f"label is empty; {nothing}")
    for name in labels:
        if name not in policy.labels and name not in {OTHER, NONE}:
            # both hints, since `harmless` is near to `harmful`
            meant = "".join(f"did you mean {near!r}? " for near in get_close_matches(name, list(policy.labels), n=1))
            raise _UnknownLabelError(f"no label {name!r} in the policy {policy.name}; {meant}{nothing}")
    known = tuple(name for name in policy.labels if name in labels)
    if policy.multi_label and known and len(known) < len(labels):
        raise TrainingError("a label and none at once; write one or the other")
    if not policy.multi_label and len(labels) != 1:
        raise TrainingError(f"a policy of kind {policy.kind} takes one label a row, here are {len(labels)}")
    return known if known or policy.multi_label else (OTHER,)


_FOLDER = "training"
_MOST_VECTORS = 20_000
_FIELDS = ("text", "group", "source", "writer", "system", "digest", "weight", "probe", "foreign")


@contextmanager
def archived_rows(
    models_dir: Path, name: str, rows: Sequence[Row], doubts: Sequence[Doubt] = (), vectors: Floats | None = None
) -> Iterator[Callable[[str], Path]]:
    """Write the archive before its version exists, so that a full disk publishes no version without one. Gives a
    function that moves the files to a version; otherwise they are removed. vectors: (rows, dimensions) by the encoder
    that the version is served with, if the rows have such. Raises OSError."""
    home = models_dir / name / _FOLDER
    home.mkdir(parents=True, exist_ok=True)
    records = (
        {key: getattr(row, key) for key in _FIELDS} | {"labels": row.labels} | ({"text": ""} if row.digest else {})
        for row in rows
    )
    with TemporaryDirectory(prefix=".kept-", dir=home) as scratch:
        written = _write(Path(scratch) / "rows", records)
        doubted = _write(Path(scratch) / "doubts", map(asdict, doubts)) if doubts else None
        kept = _write_vectors(Path(scratch) / "vectors", rows, vectors) if vectors is not None else None

        def publish(version: str) -> Path:
            path = file_of(models_dir, name, version)
            if kept:
                kept.replace(vectors_of(models_dir, name, version))
            if doubted:
                doubted.replace(path.with_suffix(".doubts.jsonl"))
            return written.replace(path)

        yield publish


def _write(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    # readable only by whoever trained, since it holds users' texts
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return path


def _write_vectors(path: Path, rows: Sequence[Row], vectors: Floats) -> Path:
    """The vectors of rows with a text, in 16 bits, with the rows' numbers. Of too many, some of the built-in writer's
    are left out, and then some of all."""
    shown = [place for place, row in enumerate(rows) if row.text and not row.digest]
    own = _spread([place for place in shown if rows[place].source != "builtin"], _MOST_VECTORS)
    rest = _spread([place for place in shown if rows[place].source == "builtin"], _MOST_VECTORS - len(own))
    places = np.array(sorted([*own, *rest]), np.int32)
    path.touch(mode=0o600)
    with path.open("wb") as file:
        np.savez(file, rows=places, vectors=vectors[places].astype(np.float16))
    return path


def _spread(places: Sequence[int], most: int) -> Sequence[int]:
    return [places[index * len(places) // most] for index in range(most)] if len(places) > most else places


def load(models_dir: Path, name: str, version: str) -> tuple[Row, ...] | None:
    """The archived rows, those of calls without text; None without archive. Raises ArtifactError for a damaged file."""
    path = file_of(models_dir, name, version)
    try:
        return tuple(msgspec.json.decode(line, type=Row) for line in path.read_bytes().splitlines())
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} does not hold training rows ({error}); delete it") from error


def file_of(models_dir: Path, name: str, version: str) -> Path:
    """The path of a version's archive, which may not exist."""
    return models_dir / name / _FOLDER / f"{version}.jsonl"


def vectors_of(models_dir: Path, name: str, version: str) -> Path:
    """The path of the vectors of a version's rows, which may not exist."""
    return file_of(models_dir, name, version).with_suffix(".vectors.npz")
