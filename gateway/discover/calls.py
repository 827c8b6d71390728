"""Logged chat calls: a request with its answer as one LoggedCall, and the calls that a gateway's own ledger keeps."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from classifiers.training.rows import encodable
from gateway.answers.parse import Completion, CompletionChoice
from gateway.errors import BadRequest
from gateway.ledger.call_store import CallStore, KeptCall
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.chat_requests import turns_of
from gateway.protocols.json import encode
from gateway.protocols.wire import Turn, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What a log says of a call beside its bodies. at: seconds since 1970, None where the log has no time. model: the
    name that was asked for. input_tokens, output_tokens: None where the log has none. reported_usd: the cost by the log
    itself; spent_usd: the cost by a gateway's ledger."""

    at: float | None = None
    model: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    reported_usd: float | None = None
    spent_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCall(Reported):
    """One chat call from a log. place: `file:line`. fields: the other fields of the request, as JSON. completion: the
    answer's first choice. cached_input_tokens: a part of the input. message_bytes: of all messages, without images,
    audio and files."""

    place: str
    turns: tuple[Turn, ...]
    fields: Mapping[str, msgspec.Raw]
    completion: CompletionChoice
    cached_input_tokens: int = 0
    message_bytes: int = 0


NOT_CHAT: Final = "no chat call"
FAILED: Final = "failed, or was refused by the provider"
CACHED: Final = "answered from a cache"
NO_TEXT: Final = "prompt or answer was not kept in the log"
CUT: Final = "the log keeps only a part of the text"
NO_ANSWER: Final = "no answer in the record"
_MOST_TOKENS: Final = 10**9
_TIME_UNITS: Final = (1, 10**3, 10**6, 10**9)
_LATEST_S: Final = 10**11
_STREAM: Final = re.compile(r"^\ufeff?data:", re.MULTILINE)
"""A line of events, before which comments and other fields may stand; none of a text that is JSON begins so."""


class SkippedRecord(Exception):
    """A sound record that is no call to learn from; the message is the reason, by which such records are counted."""


class UnreadableRecord(Exception):
    """A record that is not what its log should hold; the message says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange(Reported):
    """The body of a chat request with that of its answer: an object, or the text of a stream."""

    request: Mapping[str, Any]
    response: Any


def call_of(exchange: Exchange, place: str) -> LoggedCall:
    """An exchange as a call. Raises SkippedRecord and UnreadableRecord."""
    request = exchange.request
    if not isinstance(request.get("messages"), list):
        raise SkippedRecord(NOT_CHAT if request else NO_TEXT)
    messages = msgspec.Raw(_encoded(request["messages"]))
    try:
        turns = tuple(turns_of(messages))
    except BadRequest as error:
        raise UnreadableRecord(error.message) from error
    completion, usage = _completion(exchange.response)
    input_tokens = _count(usage.given) or exchange.input_tokens
    answered = exchange.response.get("model") if isinstance(exchange.response, dict) else None
    # the bytes of an image say nothing of its tokens
    texts_only = any(turn.incomplete for turn in turns)
    return LoggedCall(
        place=place,
        at=exchange.at,
        model=encodable(exchange.model or str(request.get("model") or answered or "")),
        turns=turns,
        fields={name: msgspec.Raw(_encoded(value)) for name, value in request.items() if name != "messages"},
        completion=completion,
        input_tokens=input_tokens,
        cached_input_tokens=min(_count(usage.cached) or 0, input_tokens or 0),
        output_tokens=_count(usage.generated) or exchange.output_tokens,
        reported_usd=exchange.reported_usd,
        spent_usd=exchange.spent_usd,
        message_bytes=sum(len(text.encode()) for turn in turns for text in turn.texts) if texts_only else len(messages),
    )


def _completion(response: Any) -> tuple[CompletionChoice, Usage]:
    stream = isinstance(response, str) and _STREAM.search(response) is not None
    if stream:
        body = encodable(response.removeprefix("\ufeff")).encode()
    elif isinstance(response, dict) and response:
        if response.get("error"):
            raise SkippedRecord(FAILED)
        body = _encoded(response)
    else:
        raise SkippedRecord(NO_ANSWER)
    try:
        completion = Completion(body, CHAT, stream=stream)
        choices, usage = completion.choices, completion.meta.usage
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableRecord(f"the answer is no chat completion: {error}") from error
    if not choices:
        raise SkippedRecord(NO_ANSWER)
    return choices[0], usage or Usage()


def _encoded(value: Any) -> bytes:
    """A value as JSON, with U+FFFD for what UTF-8 cannot hold, as training reads it."""
    try:
        return encode(value)
    except UnicodeEncodeError:
        return encode(json.loads(encodable(json.dumps(value, ensure_ascii=False))))


def json_value(value: Any, name: str) -> Any:
    """A value that may be written as a text of JSON; the text of a stream stays one. Raises UnreadableRecord."""
    if not isinstance(value, str) or not value.strip() or _STREAM.search(value):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise UnreadableRecord(f"{name}: is text, but not JSON: {error}") from error


def json_object(value: Any, name: str) -> Mapping[str, Any]:
    """An object, which may be written as a text of JSON; empty where there is none. Raises UnreadableRecord."""
    parsed = json_value(value, name)
    if parsed and not isinstance(parsed, dict):
        raise UnreadableRecord(f"{name}: must be an object, is {type(parsed).__name__}")
    return parsed or {}


def seconds(value: Any, name: str) -> float | None:
    """A time in ISO 8601 (UTC where it names no zone), or in seconds, milliseconds, microseconds or nanoseconds since
    1970. None where there is none, or a clock that was not set gives 1970's first second or earlier.

    Raises UnreadableRecord.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, int | float):
            unit = next((unit for unit in _TIME_UNITS if abs(value) <= _LATEST_S * unit), 1)
            time = datetime.fromtimestamp(value / unit, UTC)
        else:
            time = datetime.fromisoformat(str(value).strip())
    except (ValueError, OverflowError, OSError) as error:
        raise UnreadableRecord(f"{name}: {str(value)[:40]!r} is no time such as 2026-11-25T10:00:00Z") from error
    at = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    return at if at > 0 else None


def tokens(value: Any) -> int | None:
    """A count of tokens, where it is one."""
    return _count(int(value) if isinstance(value, str) and value.isdecimal() else value)


def dollars(value: Any, *, scale: float = 1.0) -> float | None:
    """An amount in units of `scale` dollars, where it is one."""
    try:
        usd = float(value) * scale
    except (TypeError, ValueError, OverflowError):
        return None
    return usd if math.isfinite(usd) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_TOKENS else None


@dataclass(slots=True, kw_only=True)
class Log:
    """A log's calls in its order. skipped: how many records are no calls to learn from, by the reason. problems: what
    cannot be read, each with its file and line."""

    calls: list[LoggedCall] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def take(self, place: str, make: Callable[[], Exchange | None]) -> bool:
        """Takes a record; False where `make` gives nothing."""
        try:
            exchange = make()
            if exchange is None:
                return False
            self.calls.append(call_of(exchange, place))
        except SkippedRecord as reason:
            self.skipped[str(reason)] += 1
        except (UnreadableRecord, ValueError) as error:
            self.problems.append(f"{place}: {error}")
        return True


_DATABASE = b"SQLite format 3\0"


def is_ledger(path: Path) -> bool:
    """Whether a file is a database. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(_DATABASE)) == _DATABASE


def read_ledger(path: Path, log: Log, advance: Callable[[int], None], *, most: int | None = None) -> None:
    """Adds the whole calls that a gateway's ledger keeps, or the latest of them. advance: called with how many are
    read. Raises LedgerError."""
    with closing(CallStore(path, read_only=True)) as store:
        kept = store.calls(most=most)
    for number, call in enumerate(kept, 1):
        log.take(f"{path}:{call.request_id}", partial(_exchange, call))
        if number % 1000 == 0:
            advance(number)


def _exchange(kept: KeptCall) -> Exchange:
    return Exchange(
        request=json_object(kept.request.decode(errors="replace"), "request"),
        response=json_value(kept.answer.decode("utf-8-sig", errors="replace"), "answer"),
        at=kept.at,
        model=kept.model,
        input_tokens=kept.input_tokens,
        output_tokens=kept.output_tokens,
        spent_usd=kept.spent_usd,
    )
