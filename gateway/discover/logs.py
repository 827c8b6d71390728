"""Files → a log. Each record is taken for what it looks like, so that one file may hold several forms.

A log's file as records with their lines: JSON objects a line each, a list of them, an object that holds such
a list, or one alone. Where its lines break makes no difference.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from gateway.discover import formats
from gateway.discover.calls import Exchange, Log, LoggedCall, SkippedRecord, UnreadableRecord, call_of
from gateway.discover.formats import Batches

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


Form = tuple[Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], Exchange]]
_FORMS: Final[tuple[Form, ...]] = (
    (formats.is_helicone, formats.of_helicone),
    (formats.is_litellm, formats.of_litellm),
    (formats.is_portkey, formats.of_portkey),
    (formats.is_pair, formats.of_pair),
    (formats.is_stored, formats.of_stored),
    (formats.is_chat, formats.of_chat),
)
_UNKNOWN: Final = (
    "is of no known form: a request with its response, messages that end with the answer, a batch's line, or a record "
    "of LiteLLM, Portkey or Helicone"
)


class LogSource(Protocol):
    """Where calls come from: exported files, or a gateway's own kept texts."""

    def read(self, advance: Callable[[int], None]) -> Log:
        """All calls. advance: told how many records are read. Raises OSError."""


class Files:
    """Exported logs."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def read(self, advance: Callable[[int], None]) -> Log:
        """All calls. Raises OSError."""
        reading = _Reading()
        for number, (place, record) in enumerate(self._records(), 1):
            reading.take(place, record)
            if number % 1000 == 0:
                advance(number)
        return reading.log()

    def _records(self) -> Iterator[tuple[str, Any]]:
        for path in self._paths:
            for line, record in records(path):
                yield f"{path}:{line}", record


class _Reading:
    """What has been read so far. Batches' lines wait for their other half."""

    def __init__(self) -> None:
        self._calls: list[LoggedCall] = []
        self._skipped: Counter[str] = Counter()
        self._problems: list[str] = []
        self._batches = Batches()

    def take(self, place: str, record: Any) -> None:
        if isinstance(record, ValueError):
            self._problems.append(f"{place}: is not JSON: {record}")
        elif not isinstance(record, dict):
            self._problems.append(f"{place}: must be an object, is {type(record).__name__}")
        elif formats.is_batch(record):
            self._batches.take(place, record)
        else:
            form = next((make for fits, make in _FORMS if fits(record)), None)
            if form is None:
                keys = ", ".join(list(record)[:8]) or "none"
                self._problems.append(f"{place}: {_UNKNOWN} (its keys: {keys})")
            else:
                self._add(place, partial(form, record))

    def log(self) -> Log:
        for place, asked, answered in self._batches.joined(self._skipped):
            self._add(place, partial(formats.of_batch, asked, answered))
        return Log(calls=self._calls, skipped=self._skipped, problems=self._problems)

    def _add(self, place: str, make: Callable[[], Exchange]) -> None:
        try:
            self._calls.append(call_of(make(), place))
        except SkippedRecord as reason:
            self._skipped[str(reason)] += 1
        except (UnreadableRecord, ValueError) as error:
            self._problems.append(f"{place}: {error}")
