"""A log's file as records with their lines: JSON objects a line each, a list of them, an object that holds such
a list, or one alone. Where its lines break makes no difference."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_LISTS: Final = ("data", "logs", "requests", "results")
_RECORDS: Final = frozenset({"messages", "request", "response", "input", "output"})
"""Fields of a record, which may hold lists of its own."""
_FILLED: Final = re.compile(r"[^\s,:]")
_DECODER: Final = json.JSONDecoder()


def records(path: Path) -> Iterator[tuple[int, Any]]:
    """(line, record) of each; of what is no JSON (line, a ValueError that says why). Raises OSError."""
    with path.open("rb") as file:
        lines = (line.removeprefix(b"\xef\xbb\xbf").strip() for line in file)
        first = next((line for line in lines if line), b"")
    if _read(first) is None and first[:1] in (b"[", b"{"):
        text = path.read_text("utf-8-sig", errors="replace")
        if first.startswith(b"["):
            yield from _listed(text, text.index("["))
            return
        found = _read(text)
        if isinstance(found, dict):
            yield from _spread(text, found)
            return
    yield from _lines(path)


def _spread(text: str, found: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    """A file that is one object over several lines."""
    name = _list_of(found)
    if name is None:
        yield text.count("\n", 0, text.index("{")) + 1, found
    else:
        yield from _listed(text, dict(_fields(text))[name])


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace").strip()
            if not text:
                continue
            try:
                found = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield number, ValueError(str(error))
                continue
            name = _list_of(found)
            inside = found if isinstance(found, list) else [found] if name is None else found[name]
            yield from ((number, one) for one in inside)


def _list_of(found: Any) -> str | None:
    """The field of an API's answer that holds its records; None where it is a record itself."""
    if not isinstance(found, dict) or not _RECORDS.isdisjoint(found):
        return None
    return next((name for name in _LISTS if isinstance(found.get(name), list)), None)


def _fields(text: str) -> Iterator[tuple[str, int]]:
    """The fields of an object, each with where its value begins. text: one object that is JSON."""
    at = text.index("{") + 1
    while text[at := _after_blanks(text, at)] != "}":
        name, at = _DECODER.raw_decode(text, at)
        at = _after_blanks(text, at)
        yield name, at
        _, at = _DECODER.raw_decode(text, at)


def _listed(text: str, bracket: int) -> Iterator[tuple[int, Any]]:
    """The items of the list that begins at a bracket."""
    at, line, counted = bracket + 1, 1, 0
    while True:
        at = _after_blanks(text, at)
        line, counted = line + text.count("\n", counted, at), at
        if at >= len(text):
            yield line, ValueError("the list does not end; the file may be cut off")
            return
        if text[at] == "]":
            return
        try:
            found, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            yield line, ValueError(str(error))
            return
        yield line, found


def _after_blanks(text: str, at: int) -> int:
    """Where the next value begins, or what encloses it ends."""
    found = _FILLED.search(text, at)
    return found.start() if found else len(text)


def _read(text: bytes | str) -> Any:
    """None where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
