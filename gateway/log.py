"""The log on stderr: a line for each request, and the program's own lines, as text or as JSON.

All lines are written by one thread, so that a reader that stalls holds up nobody. No line holds content or a key.
"""

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from json import dumps
from queue import SimpleQueue
from typing import Any, Final, TextIO

from msgspec.json import encode

from gateway.config.settings import LogSettings
from gateway.record import ASIDE, Record

_FORMAT: Final = "%(asctime)s.%(msecs)03d %(levelname)s %(message)s"
_SECONDS: Final = "%Y-%m-%d %H:%M:%S"
_MOST: Final = 20_000
_LEAVE_S: Final = 1.0
"""How long a stop waits for a reader of stderr."""
_LONGEST: Final = 200
"""Characters of a path."""
_QUIET: Final = frozenset({"/health", "/ready", "/metrics"})
"""Asked by probes, again and again."""
_COLOURS: Final[Mapping[str, int]] = {"answer": 32, "forward": 36, "redact": 34, "block": 35, "error": 31}
_SAVES: Final = frozenset({"local_answer", "cheaper_route"})
_GREEN, _YELLOW, _RED, _DIM = 32, 33, 31, 2
Closed = tuple[Record, float, str, str]
"""A record, the seconds that its request took, its method and its path. The gateway's own calls have neither."""


class LineWriter(logging.Handler):
    """Writes lines to a file descriptor, in a thread. Where nobody reads, lines beyond `most` are dropped, and a later
    line says how many."""

    def __init__(self, descriptor: int, most: int = _MOST) -> None:
        super().__init__()
        self._descriptor, self._most = descriptor, most
        self._queue: SimpleQueue[tuple[int, Callable[[], str]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, count: int, text: Callable[[], str]) -> None:
        """Takes a number of lines; never blocks. text: makes them, in the thread."""
        with self._lock:
            if self._waiting + count > self._most:
                self._dropped += count
                return
            self._waiting += count
        self._queue.put((count, text))

    def emit(self, record: logging.LogRecord) -> None:
        """As of a Handler."""
        try:
            text = self.format(record) + "\n"
        except Exception:  # noqa: BLE001 - as logging's own handlers do: what cannot be logged ends no request
            self.handleError(record)
        else:
            self.put(1, lambda: text)

    def close(self) -> None:
        """Writes what waits, unless nobody reads it."""
        super().close()
        self._queue.put(None)
        self._thread.join(_LEAVE_S)

    def _run(self) -> None:
        while (lines := self._queue.get()) is not None:
            count, text = lines
            written = self._write(text().encode(errors="backslashreplace"))
            with self._lock:
                self._waiting -= count
                dropped = self._dropped if written else 0
                self._dropped += -dropped if written else count
            if dropped:
                logging.getLogger(__name__).warning("%d lines of this log were dropped: nobody read stderr", dropped)

    def _write(self, data: bytes) -> bool:
        """Whether all went out."""
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                # whoever shares the terminal or the pipe has made it so
                select.select((), (self._descriptor,), (), 1.0)
            except OSError:
                return False
        return True


class RequestLog:
    """Lines for requests. level: of logging's; lines under it are left out. json: as JSON. colour: for a terminal."""

    def __init__(self, lines: LineWriter, *, level: int, json: bool = False, colour: bool = False) -> None:
        self._lines, self._level = lines, level
        self._show = _json if json else partial(_text, colour=colour)
        self._clock, self._form = (time.gmtime, "%Y-%m-%dT%H:%M:%S") if json else (time.localtime, _SECONDS)
        self._second, self._shown = 0, ""

    def add(self, closed: Sequence[Closed]) -> None:
        """Writes a line for each request that is over."""
        wanted = [one for one in closed if _level(one) >= self._level]
        if wanted:
            self._lines.put(len(wanted), lambda: "".join([self._show(one, self._ended(one)) for one in wanted]))

    def _ended(self, closed: Closed) -> str:
        """When a request was over, to the millisecond. For one thread."""
        at = closed[0].at + closed[1]
        if int(at) != self._second:
            self._second, self._shown = int(at), time.strftime(self._form, self._clock(at))
        return f"{self._shown}.{int(at % 1 * 1e3):03d}"


def _level(closed: Closed) -> int:
    """Debug: probes, and calls of the gateway's own, to judges and a second time."""
    record, _, _, path = closed
    if record.decision in ASIDE or (path in _QUIET and record.status < 400):
        return logging.DEBUG
    if record.status >= 500:
        return logging.ERROR
    return logging.WARNING if record.status >= 400 or record.error else logging.INFO


def _facts(closed: Closed) -> dict[str, Any]:
    """What a line says after its head, without what is empty. Dollars are None where unknown; a block is no saving."""
    record = closed[0]
    facts = {
        "decision": record.decision if record.endpoint else "",
        "rule": record.rule,
        "label": record.label,
        "error": record.error,
        "score": round(record.confidence or 0.0, 4),
        "input_tokens": record.input_tokens or record.saved_input_tokens,
        "output_tokens": record.output_tokens or record.saved_output_tokens,
        "spent_usd": record.spent_usd and round(record.spent_usd, 9),
        "saved_usd": record.saved_usd and round(record.saved_usd, 9) if record.saved_reason in _SAVES else 0,
        "notional": record.notional,
    }
    return {name: value for name, value in facts.items() if value or value is None}


def _json(closed: Closed, at: str) -> str:
    record, seconds, method, path = closed
    line = {
        "time": f"{at}Z",
        "level": logging.getLevelName(_level(closed)).lower(),
        "request_id": record.request_id,
        "method": method,
        "path": path[:_LONGEST],
        "status": record.status,
        "ms": round(seconds * 1e3, 2),
    }
    return encode(line | _facts(closed)).decode() + "\n"


def _text(closed: Closed, at: str, *, colour: bool) -> str:
    record, seconds, method, path = closed
    path = path[:_LONGEST]
    if not path.isprintable() or " " in path:
        path = path.encode("unicode_escape").decode().replace(" ", "%20")
    facts, status, end = _facts(closed), str(record.status), record.request_id
    decision = facts.pop("decision", "")
    if colour:
        status = _painted(status, _RED if record.status >= 500 else _YELLOW if record.status >= 400 else _GREEN)
        decision, end = _painted(decision, _COLOURS.get(decision, _DIM)), _painted(end, _DIM)
    parts = [at, logging.getLevelName(_level(closed)), method, path, status, decision, f"{seconds * 1e3:.1f}ms"]
    for name, value in facts.items():
        number = f"{value:.8f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
        parts.append(name if value is True else f"{name}={'?' if value is None else number}")
    return " ".join(filter(None, (*parts, end))) + "\n"


def _painted(text: str, colour: int) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if text else ""


class _JsonFormatter(logging.Formatter):
    """The program's own lines as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": at, "level": record.levelname.lower(), "message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # which takes halves of surrogate pairs, as of names of files
        return dumps(line)


@contextmanager
def logging_to(stream: TextIO | None, settings: LogSettings) -> Iterator[RequestLog | None]:
    """The log of requests; None where there is to be none. All loggers write to the stream meanwhile, those of other
    packages nothing under info. A stream that is closed, or is no file, gets nothing new."""
    level, json = logging.getLevelNamesMapping()[settings.level.upper()], settings.format == "json"
    for name in ("gateway", "classifiers"):
        logging.getLogger(name).setLevel(level)
    # uvicorn reports its own start and stop; the gateway has its own line for those
    logging.getLogger("uvicorn.error").setLevel(max(level, logging.WARNING))
    root = logging.getLogger()
    root.setLevel(max(level, logging.INFO))
    try:
        descriptor = None if stream is None else stream.fileno()
    except (OSError, ValueError):
        descriptor = None
    if descriptor is None:
        yield None
        return
    lines = LineWriter(descriptor)
    lines.setFormatter(_JsonFormatter() if json else logging.Formatter(_FORMAT, _SECONDS))
    before, root.handlers = root.handlers, [lines]
    colour = os.isatty(descriptor) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    try:
        yield None if settings.format == "none" else RequestLog(lines, level=level, json=json, colour=colour)
    finally:
        root.handlers = before
        lines.close()


def announce(line: str) -> None:
    """Logs a line whatever the level, as the one that says the port."""
    logging.getLogger(__name__).handle(logging.LogRecord(__name__, logging.INFO, "", 0, line, None, None))
