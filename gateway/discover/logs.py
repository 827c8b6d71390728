"""Log files to calls. A file holds JSON objects, one a line or in a list, which may be a field of an object."""

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
_FILLED: Final = re.compile(r"[^\s,\]]")
_DECODER: Final = json.JSONDecoder()
_UNKNOWN: Final = (
    "is of no known form: a request with its response, messages that end with the answer, a batch's line, or a record "
    "of LiteLLM, Portkey or Helicone"
)


def records(path: Path) -> Iterator[tuple[int, Any]]:
    """Each record with the line where its JSON value begins; in place of a line that is no JSON, a ValueError that says
    why. Of a list that is cut off, the items before that are read. Raises OSError."""
    text = path.read_text("utf-8-sig", errors="replace")
    line, counted, listed = 1, 0, False
    found = _FILLED.search(text)
    while found:
        line, counted = line + text.count("\n", counted, found.start()), found.start()
        try:
            value, end = _DECODER.raw_decode(text, counted)
            yield from ((line, item) for item in _items(value))
        except (ValueError, RecursionError) as error:
            if text[counted] == "[" and isinstance(error, ValueError) and not text[:counted].strip():
                listed, end = True, counted + 1
            else:
                yield line, ValueError(str(error))
                end = len(text) if listed else text.find("\n", counted) % (len(text) + 1)
        found = _FILLED.search(text, end)


def _items(value: Any) -> list[Any]:
    """The records of a value: of a list, of the field of an API's answer that holds a list, or the value itself."""
    if isinstance(value, list):
        return value
    if not isinstance(value, dict) or not _RECORDS.isdisjoint(value):
        return [value]
    return next((value[name] for name in _LISTS if isinstance(value.get(name), list)), [value])


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
