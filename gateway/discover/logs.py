"""Log files to calls. A file holds JSON objects, one a line or in a list, which may be a field of one object. Line
breaks make no difference."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway.discover import formats
from gateway.discover.calls import Log

_LISTS: Final = ("data", "logs", "requests", "results")
_RECORDS: Final = frozenset({"messages", "request", "response", "input", "output"})
"""Fields of a record, which may hold lists of its own."""
_FILLED: Final = re.compile(r"[^\s,:]")
_DECODER: Final = json.JSONDecoder()


def records(path: Path) -> Iterator[tuple[int, Any]]:
    """Each record with its line; in place of a record that is no JSON, a ValueError that says why. Raises OSError."""
    with path.open("rb") as file:
        lines = (line.removeprefix(b"\xef\xbb\xbf").strip() for line in file)
        first = next((line for line in lines if line), b"")
    if _read(first) is None and first[:1] in (b"[", b"{"):
        text = path.read_text("utf-8-sig", errors="replace")
        if first.startswith(b"["):
            yield from _listed(text, text.index("["))
            return
        document = _read(text)
        if isinstance(document, dict):
            name = _list_name(document)
            if name is None:
                yield text.count("\n", 0, text.index("{")) + 1, document
            else:
                yield from _listed(text, dict(_fields(text))[name])
            return
    yield from _lines(path)


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace").strip()
            if not text:
                continue
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                yield number, ValueError(str(error))
                continue
            name = _list_name(value)
            items = value if isinstance(value, list) else [value] if name is None else value[name]
            yield from ((number, item) for item in items)


def _list_name(value: Any) -> str | None:
    """The field of an API's answer that holds its records; None where it is a record itself."""
    if not isinstance(value, dict) or not _RECORDS.isdisjoint(value):
        return None
    return next((name for name in _LISTS if isinstance(value.get(name), list)), None)


def _fields(text: str) -> Iterator[tuple[str, int]]:
    """The fields of an object of JSON, each with the start of its value."""
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
            item, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            yield line, ValueError(str(error))
            return
        yield line, item


def _after_blanks(text: str, at: int) -> int:
    """The start of the next value, or the end of the list or object around it."""
    filled = _FILLED.search(text, at)
    return filled.start() if filled else len(text)


def _read(text: bytes | str) -> Any:
    """None where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


_UNKNOWN: Final = (
    "is of no known form: a request with its response, messages that end with the answer, a batch's line, or a record "
    "of LiteLLM, Portkey or Helicone"
)


def read_files(paths: Iterable[Path], log: Log, advance: Callable[[int], None]) -> None:
    """Adds the calls of exported logs; one file may hold records of several formats. advance: called with how many
    records are read. Raises OSError."""
    batches = formats.Batches()
    places = ((f"{path}:{line}", record) for path in paths for line, record in records(path))
    for number, (place, record) in enumerate(places, 1):
        if isinstance(record, ValueError):
            log.problems.append(f"{place}: is not JSON: {record}")
        elif not isinstance(record, dict):
            log.problems.append(f"{place}: must be an object, is {type(record).__name__}")
        elif formats.is_batch(record):
            batches.take(place, record)
        elif not log.take(place, partial(formats.exchange_of, record)):
            keys = ", ".join(list(record)[:8]) or "none"
            log.problems.append(f"{place}: {_UNKNOWN} (its keys: {keys})")
        if number % 1000 == 0:
            advance(number)
    for place, asked, answered in batches.joined(log.skipped):
        log.take(place, partial(formats.of_batch, asked, answered))
