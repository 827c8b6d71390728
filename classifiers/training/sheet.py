"""Rows of a CSV or TSV, however a spreadsheet has saved it: parted by commas, semicolons or tabs, its columns' names in
any case."""

import csv
import re
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

from classifiers.training.faults import Faults

_LINE_END = re.compile(r"\r\n|\r|\n")
_PARTS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_SHOWN_HEADER_CHARS = 200
_MOST_FIELD_CHARS = 10_000_000
"""Of a field. Beyond it a quote was left open; csv's own limit of 131,072 is less than a text may be long."""


def records(
    path: Path, text: str, faults: Faults, *, label_keys: Sequence[str], labelled: bool
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, fields by column) of each row of a file. text: what it holds; label_keys: names of the label's column;
    labelled: whether it needs one, besides `text`."""
    # of the whole process, for csv has it no other way; it is the same for every file
    csv.field_size_limit(_MOST_FIELD_CHARS)
    needed = [("text",), *([tuple(label_keys)] if labelled else [])]
    delimiter = _delimiter(path, text, needed)
    # lenient, it would read all that follows an open quote as one field
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
                held = _PARTS[delimiter]
                faults.add(f"{path}:{reader.line_num}", f"more fields than the header; quote text that holds {held}")
            elif any((record[name] or "").strip() for name in columns):
                # a row of blanks is how a spreadsheet saves one that was emptied
                yield reader.line_num, record
    except csv.Error as error:
        following = _LINE_END.split(text)[begins - 1 :]
        blank = next((count for count, line in enumerate(following) if line.strip()), 0)
        faults.add(f"{path}:{begins + blank}", _problem(str(error)))


def _delimiter(path: Path, text: str, needed: Sequence[Sequence[str]]) -> str:
    """What parts the columns: what the file's name says, unless the header has what it needs by another sign alone."""
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
    """Names as they are looked up; one that is written so already comes before one that only reads alike."""
    folded = [name.strip().casefold() for name in header]
    return [raw if name in header else name for raw, name in zip(header, folded, strict=True)]


def _no_header(header: Sequence[str], label_keys: Sequence[str], *, labelled: bool) -> str:
    first, *others = label_keys
    label = f" and {first} (or {', '.join(others)})" if labelled else ""
    found = ", ".join(header)[:_SHOWN_HEADER_CHARS] or "nothing"
    signs = f"parted by {' or '.join(', '.join(_PARTS.values()).rsplit(', ', 1))}"
    return f"the first line must name the columns text{label}, {signs}; found {found}"


def _problem(error: str) -> str:
    """What csv says of a record that it cannot read, in other words."""
    if "field limit" in error:
        return f"a field of more than {_MOST_FIELD_CHARS:,} characters; is a quote left open?"
    if "unexpected end" in error:
        return "a quote is opened that nothing closes"
    if "expected after" in error:
        return "text follows a closing quote; a quote within quoted text is written twice"
    return error
