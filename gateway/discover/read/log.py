"""Files → a log. Each record is taken for what it looks like, so that one file may hold several forms."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from gateway.discover.call import Call, Log
from gateway.discover.read import helicone, litellm, openai, portkey
from gateway.discover.read.batch import Batches
from gateway.discover.read.exchange import Exchange, SkippedRecord, UnreadableRecord, call_of
from gateway.discover.read.records import records

Form = tuple[Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], Exchange]]
_FORMS: Final[tuple[Form, ...]] = (
    (helicone.is_helicone, helicone.of_helicone),
    (litellm.is_litellm, litellm.of_litellm),
    (portkey.is_portkey, portkey.of_portkey),
    (openai.is_pair, openai.of_pair),
    (openai.is_stored, openai.of_stored),
    (openai.is_chat, openai.of_chat),
)
_UNKNOWN: Final = (
    "is of no known form: a request with its response, messages that end with the answer, a batch's line, or a record "
    "of LiteLLM, Portkey or Helicone"
)


class Source(Protocol):
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
        self._calls: list[Call] = []
        self._skipped: Counter[str] = Counter()
        self._problems: list[str] = []
        self._batches = Batches()

    def take(self, place: str, record: Any) -> None:
        if isinstance(record, ValueError):
            self._problems.append(f"{place}: is not JSON: {record}")
        elif not isinstance(record, dict):
            self._problems.append(f"{place}: must be an object, is {type(record).__name__}")
        elif openai.is_batch(record):
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
            self._add(place, partial(openai.of_batch, asked, answered))
        return Log(calls=self._calls, skipped=self._skipped, problems=self._problems)

    def _add(self, place: str, make: Callable[[], Exchange]) -> None:
        try:
            self._calls.append(call_of(make(), place))
        except SkippedRecord as reason:
            self._skipped[str(reason)] += 1
        except (UnreadableRecord, ValueError) as error:
            self._problems.append(f"{place}: {error}")
