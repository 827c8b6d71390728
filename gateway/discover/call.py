"""One logged chat call, whichever log it stood in."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from gateway.answers.said import Said
from gateway.reading.roles import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """place: `file:line`; at: seconds since 1970, None where the log does not tell; model: as it was asked for;
    fields: the request's top-level fields with their bytes; tokens: None where none are reported, cached ones a part of
    the input; reported_usd: what the log itself says that it cost; spent_usd: what a gateway's ledger says that it
    cost; message_bytes: of all messages, without images, audio and files."""

    place: str
    at: float | None
    model: str
    turns: tuple[Turn, ...]
    fields: Mapping[str, msgspec.Raw]
    said: Said
    input_tokens: int | None = None
    cached_input_tokens: int = 0
    output_tokens: int | None = None
    reported_usd: float | None = None
    spent_usd: float | None = None
    message_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """calls: in the order of the log; skipped: why other records are no calls to learn from, with how many there are;
    problems: what cannot be read, each with its file and line."""

    calls: Sequence[Call]
    skipped: Counter[str] = field(default_factory=Counter)
    problems: Sequence[str] = ()
