"""What a wire format is: how one API writes requests, answers, streams of events, blocks and errors.

Nothing is translated: a body goes to an upstream that speaks its format, and what is read of it are turns whose paths
lead into its own JSON. Everything but the formats themselves sees what this file defines. No behaviour of a format.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Protocol

from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.context import RequestedModel, UpstreamModel
from gateway.errors import ApiError, BadRequest, error_body
from gateway.protocols.json import Path, decode_list, encode, rewrite, strict_json

Fields = dict[str, Raw]
"""A body's top-level fields, each with its value's bytes as they came."""
SYSTEM: Final = frozenset({"system", "developer"})
"""Roles whose messages set the assistant up."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: its texts in order, and whether a part of it (an image, say) cannot be read. paths: of each text,
    from the body's own top-level field in. calls: whether it calls a tool. unknown: where it has keys that are not
    known, or an unknown role, such as `messages[1].content[0].foo`."""

    role: str
    texts: tuple[str, ...]
    incomplete: bool
    paths: tuple[Path, ...] = field(default=(), compare=False)
    calls: bool = field(default=False, compare=False)
    unknown: tuple[str, ...] = field(default=(), compare=False)


def system_text(turns: Sequence[Turn]) -> str:
    """The text of system and developer turns without their names, for `when.system` and for classifiers."""
    system = [pair for turn in turns if turn.role in SYSTEM for pair in zip(turn.texts, turn.paths, strict=True)]
    return "\n".join(text for text, path in system if path[-1] != "name")


class UnsupportedReason(StrEnum):
    """Why an answer cannot be given in the requested format. Each is a value of a metric's label."""

    MALFORMED = "malformed"
    """Fields that define the format are not as the API's reference has them."""
    NO_PLACE = "no_place"
    """The schema, or the prompt, has no place that takes one of the classifier's labels."""
    AMBIGUOUS = "ambiguous"
    """Several places, or several spellings, could be meant."""
    LABEL_NOT_ASKED = "label_not_asked"
    """The caller's values hold other labels, but not this one."""
    UNKNOWN_VALUE = "unknown_value"
    """The caller's values hold one that the classifier does not know."""
    OTHER_FIELD = "other_field"
    """Nothing fills a field: neither a label nor a slot, and the rule does not ignore it."""
    FIELD_ABSTAINED = "field_abstained"
    """Another classifier fills a field, and abstains."""
    NO_VALUE = "no_value"
    """The text has no value for a required field."""
    UNFIT_VALUE = "unfit_value"
    """The text has a value that the field does not allow, or that could be read in two ways."""
    SCHEMA = "schema"
    """The schema uses a keyword that is not supported, or may not allow the answer."""
    FREE_TOOLS = "free_tools"
    """The model may choose whether, or which, function it calls."""
    MODALITY = "modality"
    """More than text is asked for: audio, a web search."""
    STOP = "stop"
    """A stop sequence would cut the answer."""
    LENGTH = "length"
    """`max_tokens` may be too few for the answer."""
    UNKNOWN_FIELD = "unknown_field"
    """A field of the request, or its value, is not on the list of what is understood."""
    CONVERSATION = "conversation"
    """The conversation does not end in a turn of text that the rule reads, or a tool is at work in it."""
    FREE_FORM = "free_form"
    """The prompt alone says in which form a word is given, the rule does not name it, and no contract compares."""
    LATER_TURN = "later_turn"
    """A fixed text answers a conversation's first turn."""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The requested format cannot be given. detail: which field, for `explain`."""

    reason: UnsupportedReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PlainWord:
    """Plain text: one of the words that the prompt lists."""


@dataclass(frozen=True, slots=True)
class AnyObject:
    """A JSON object whose key the prompt gives."""


@dataclass(frozen=True, slots=True)
class SchemaObject:
    """JSON by a schema."""

    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function's arguments. legacy: of `functions`; named: the request names it, so the answer ends with `stop`, as
    OpenAI's do."""

    name: str
    schema: dict[str, Any]
    legacy: bool
    named: bool


Shape = PlainWord | AnyObject | SchemaObject | FunctionCall


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedFormat:
    """stop: sequences that cut the answer. max_tokens: None for any number. alternatives: how many to show of each
    token with their logprobs, None without logprobs."""

    shape: Shape
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    alternatives: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """The top-level fields that an answer made here may meet. harmless: whatever their value; read: an answer follows
    them, or is not given; values: harmless with these values only, as compact JSON. shape: those of `read` that say
    which shape an answer is to have; a contract is about one such shape."""

    harmless: frozenset[str]
    read: frozenset[str]
    values: Mapping[str, frozenset[str]]
    shape: tuple[str, ...]


@dataclass(kw_only=True)
class Request:
    """A request in its wire format. What is derived from it is computed once, when it is first asked for. path: below
    an upstream's address, with its query. remember: takes the body of an answer made here, which a later request may
    name."""

    wire: "Wire"
    model: RequestedModel
    stream: bool
    fields: Fields
    path: str
    wants_usage: bool = False
    wants_schema: bool = False
    choices: int = 1
    remember: Callable[[bytes], None] | None = field(default=None, compare=False)

    @cached_property
    def turns(self) -> list[Turn]:
        """The conversation as rules read it. Raises BadRequest for what is none, and for keys that another server might
        read differently."""
        return self.wire.requests.turns(self.fields)

    @cached_property
    def system_text(self) -> str:
        """What system and developer turns say."""
        return system_text(self.turns)

    def without(self, places: Collection[int]) -> "Request":
        """The request without the turns at these places."""
        return replace(self, fields=self.wire.requests.without(self.fields, places))

    def with_texts(self, texts: Mapping[Path, str]) -> "Request":
        """The request with other texts at these paths of its turns; all else keeps its bytes."""
        within: dict[str, dict[Path, bytes]] = {}
        for (name, *rest), text in texts.items():
            within.setdefault(str(name), {})[tuple(rest)] = encode(text)
        changed = {name: Raw(rewrite(self.fields[name], changes)) for name, changes in within.items()}
        return replace(self, fields={**self.fields, **changed})

    def in_one_piece(self) -> "Request":
        """The request for an answer that is no stream."""
        fields = {name: value for name, value in self.fields.items() if name not in ("stream", "stream_options")}
        return replace(self, stream=False, wants_usage=False, fields=fields)

    def prompt_size(self) -> tuple[int, bool]:
        """Bytes of the text that a model would read; and whether images, audio or files go along."""
        return self.wire.requests.size(self.fields)

    def body_for(self, model: UpstreamModel, *, ask_usage: bool) -> bytes:
        """The request for an upstream: its own model name and, if asked, usage at the end of a stream."""
        fields = self.fields
        if str(model) != str(self.model):
            fields = {**fields, "model": Raw(encode(model))}
        if ask_usage and self.stream and not self.wants_usage:
            fields = self.wire.requests.asking_usage(fields)
        return encode(fields)


_LONGEST_MODEL: Final = 256
_MOST_TURNS: Final = 10_000


def checked_model(model: str | None, fields: Fields, known: frozenset[str]) -> RequestedModel:
    """The model of a body; empty where it names none, since a stored prompt may. Raises BadRequest where it can be
    none, and for a key that is one of `known` but for its case: some servers match keys whatever their case, in all of
    Unicode, where \u017f is an s."""
    for key in fields:
        if key not in known and key.casefold() in known:
            raise BadRequest(f"{key}: is written {key.casefold()}", param=key)
    if model is None:
        return RequestedModel("")
    if not model:
        raise BadRequest("model: must not be empty", param="model")
    if len(model) > _LONGEST_MODEL:
        raise BadRequest(f"model: must not be over {_LONGEST_MODEL} characters", param="model")
    return RequestedModel(model)


def check_number_of_turns(name: str, turns: Raw) -> None:
    """Raises BadRequest for a list of more turns than are read. name: of the field."""
    # one and its comma take three bytes
    if len(turns) > 3 * _MOST_TURNS and bytes(turns).lstrip().startswith(b"["):
        number = len(decode_list(turns))
        if number > _MOST_TURNS:
            raise BadRequest(f"{name}: {number} are too many; at most {_MOST_TURNS} are taken", param=name)


def value_of(fields: Fields, name: str, *, digits: bool = False) -> Any:
    """The value of a field, in one strict decode; None where there is none. digits: as of strict_json. Raises
    BadRequest."""
    try:
        return strict_json(bytes(fields.get(name, b"null")), digits=digits)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{name}: {error}", param=name) from error


def size_of(
    fields: Fields, read: Collection[str], name: str, attached: re.Pattern[bytes], encoded: re.Pattern[bytes]
) -> tuple[int, bool]:
    """As `Request.prompt_size`. read: fields that a model is shown. In the field `name`, `attached` finds what goes
    along, and `encoded` its bytes, which are not counted."""
    size = sum([len(fields[each]) for each in read if each in fields])
    value = fields.get(name, Raw(b"null"))
    if attached.search(value) is None:
        return size, False
    return size - sum(len(match[0]) for match in encoded.finditer(value)), True


class RequestReader(Protocol):
    """Reads bodies of requests. Each format has a subclass, as of the other readers and writers here."""

    understood: Understood

    def parse(self, served: "Wire", body: bytes) -> Request:
        """Reads a body. Raises BadRequest naming what is wrong and, where it can be told, the field."""

    def turns(self, fields: Fields) -> list[Turn]:
        """As of Request."""

    def without(self, fields: Fields, places: Collection[int]) -> Fields:
        """The fields without the turns at these places."""

    def requested(self, fields: Fields) -> RequestedFormat | Unsupported:
        """The format that an answer must have."""

    def size(self, fields: Fields) -> tuple[int, bool]:
        """As `Request.prompt_size`."""

    def asking_usage(self, fields: Fields) -> Fields:
        """The fields of a stream that asks for its usage; the same where it comes unasked."""
        return fields


class Usage(Struct, frozen=True):
    """Tokens as an upstream reports them; a count that is not there is unknown, not zero. given: all that it read.
    cached: those of them that it had in its cache; written: those that it put there."""

    given: int | None = None
    generated: int | None = None
    cached: int | None = None
    written: int | None = None

    def then(self, later: "Usage") -> "Usage":
        """What is known once a later report of the same call has come, which may leave counts out."""
        cached = self.cached if later.cached is None else later.cached
        written = self.written if later.written is None else later.written
        fresh = self.fresh if later.given is None else later.fresh
        given = None if fresh is None else fresh + (cached or 0) + (written or 0)
        return Usage(given, self.generated if later.generated is None else later.generated, cached, written)

    @property
    def fresh(self) -> int | None:
        """What neither the cache had nor was put there."""
        return None if self.given is None else self.given - (self.cached or 0) - (self.written or 0)


class Meta(Struct):
    """The little that money needs of an upstream's answer. ids: of it and its items, where later requests name them.
    tier: at which price it was served, as the upstream says."""

    model: str | None = None
    usage: Usage | None = None
    ids: tuple[str, ...] = ()
    tier: str | None = None

    def then(self, later: "Meta") -> "Meta":
        """What is known once a later event of the same stream has come."""
        usage = later.usage or self.usage
        if self.usage is not None and later.usage is not None:
            usage = self.usage.then(later.usage)
        return Meta(later.model or self.model, usage, later.ids or self.ids, later.tier or self.tier)


class ChoicePart(Struct):
    """What a whole answer, or an event, has of one choice. calls: (index, name, arguments) of functions."""

    index: int
    content: str = ""
    refused: bool = False
    finish: str = ""
    calls: Sequence[tuple[int, str, str]] = ()


Kind = tuple[str | int, ...]


class TextItem(Struct):
    """One text of an answer, or an event's piece of it. holder, kind: which text of the choice it is a piece of; the
    texts of other holders may repeat it. path: its place in the JSON. arguments: whether it is a function's, and so
    must stay JSON. signed: whether the upstream takes it back only as it was."""

    choice: int
    holder: str
    kind: Kind
    path: Path
    text: str
    arguments: bool = False
    signed: bool = False


class TextItems(Struct):
    """The texts of an answer, or of an event. repeats: by choice, the paths of values that spell its texts out again.
    incomplete: something could not be read. closes: an event only ends a text that came before it."""

    items: Sequence[TextItem] = ()
    repeats: Sequence[tuple[int, Path]] = ()
    incomplete: bool = False
    closes: bool = False


class EventFacts(Struct, frozen=True):
    """What an event says. content: whether it has any; error: whether it is one; only_usage: it says nothing else."""

    content: bool = False
    error: bool = False
    meta: Meta | None = None
    only_usage: bool = False


class StreamReader(Protocol):
    """Reads the events of one stream as they pass."""

    def read(self, event: bytes, *, awaiting: bool) -> EventFacts:
        """What it says. awaiting: whether the first content has not come yet, and is to be noticed."""

    def ended(self) -> bool:
        """Whether the answer has come to its own end."""

    def failed(self, error: ApiError) -> bytes:
        """The events that end the stream with an error; none where its last event has passed."""

    def cut(self) -> bytes:
        """The events that end the stream behind what has been read, where a rule blocks what comes next."""


class AnswerReader(Protocol):
    """Reads upstreams' answers. Its methods but `stream` raise msgspec.DecodeError and RecursionError.

    holders: of texts in a whole answer and in a stream, whose texts are what the others repeat. rewrites_repeats:
    whether a repeat of a text that changes is changed like it. blank: what other repeats become, as JSON."""

    holders: tuple[str, str] = ("message", "delta")
    rewrites_repeats: bool = False
    blank: bytes = b"null"

    def meta(self, data: bytes) -> Meta:
        """The model and the usage of a whole answer, or what an event says of them."""

    def choices(self, data: bytes, *, stream: bool) -> Iterable[ChoicePart]:
        """What a whole answer, or an event, has of each choice."""

    def texts(self, data: bytes, part: int) -> TextItems:
        """The texts. part: the event's number, for what belongs to no other event."""

    def stream(self) -> StreamReader:
        """A reader for one stream."""


class TokenLogprob(Struct):
    """A token of an answer made here, with alternatives, which have none. bytes: its UTF-8."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: "list[TokenLogprob] | UnsetType" = UNSET


class ReplyContent(Struct, kw_only=True):
    """What is answered here. text: an answer, a block's message, or a function's arguments. blocked: by a rule;
    refusal: in the shape of a refusal, for clients that parse a schema."""

    text: str
    call: FunctionCall | None = None
    blocked: bool = False
    refusal: bool = False
    logprobs: Sequence[TokenLogprob] | None = None


class TokenCounts(Struct):
    """Tokens that a call used, or would have used."""

    given: int = 0
    generated: int = 0


class ReplyWriter(Protocol):
    """Writes what is answered here. name: what ids are made of."""

    def whole(self, request: Request, content: ReplyContent, name: str, counts: TokenCounts) -> bytes:
        """The body of an answer."""

    def events(self, request: Request, content: ReplyContent, name: str, counts: TokenCounts) -> Iterator[bytes]:
        """The events of a stream."""

    def error(self, error: ApiError, request_id: str) -> bytes:  # noqa: ARG002 - the id is in a header
        """The body of an error: OpenAI's, if not otherwise said."""
        return error_body(error)

    def error_event(self, error: ApiError, request_id: str) -> bytes:
        """An error as the only event of a stream, whose status has been sent already."""


class Named(Struct, frozen=True):
    """What a request names by ids: an earlier response, items of earlier ones. elsewhere: it names more that lies at
    its provider. stored: whether its answer may be named later."""

    response: str = ""
    items: Sequence[str] = ()
    elsewhere: bool = False
    stored: bool = True


class Earlier(Struct, frozen=True):
    """A response made here. items: the conversation up to it; before: the id of the response that these follow."""

    items: Sequence[Raw]
    before: str = ""


class Made(Struct, frozen=True):
    """An answer made here. given: what its request says; before: the response that this follows; output: by ids."""

    id: str
    given: Sequence[Raw]
    before: str
    output: Mapping[str, Raw]


class History(Protocol):
    """How the requests of a format name earlier answers. Its methods but `made` raise BadRequest."""

    def named(self, fields: Fields) -> Named:
        """What a request names."""

    def joined(self, fields: Fields, earlier: Earlier | None, items: Mapping[str, Raw]) -> Fields:
        """The request with an earlier response and with items in place of their ids."""

    def made(self, fields: Fields, body: bytes) -> Made:
        """What can be named of an answer made here. body: whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """One wire format. endpoint: its name in rows and metrics; path: below an address's `/v1`. history: where requests
    may name earlier answers. answered: whether its bodies ask for a model's words; of others only rules that
    redact, or name the endpoint, read the texts. local: whether rules can answer in it; where not, each block is an
    error. heartbeat: keeps a held stream's connection open. passes: how names of headers begin that go on, and the
    query with them. id_header: where clients look for the request's id besides x-request-id."""

    endpoint: str
    path: str
    requests: RequestReader
    answers: AnswerReader
    replies: ReplyWriter
    history: History | None = None
    answered: bool = True
    local: bool = True
    heartbeat: bytes = b": keep-alive\n\n"
    passes: bytes = b""
    id_header: bytes = b""

    def parse(self, body: bytes) -> Request:
        """Reads a body. Raises BadRequest naming what is wrong and, where it can be told, the field."""
        return self.requests.parse(self, body)
