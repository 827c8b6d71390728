"""POST /v1/chat/completions as structs: requests, answers made here, answers of upstreams. No behaviour."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.protocols.wire import TokenLogprob


class JsonSchema(Struct):
    """`response_format.json_schema`."""

    schema: dict[str, Any] | None = None


class Format(Struct):
    """`response_format`."""

    type: str = "text"
    json_schema: JsonSchema | None = None


class FunctionDefinition(Struct):
    """A function that may be called, in `functions` or inside a tool."""

    name: str
    parameters: dict[str, Any] | None = None


class Tool(Struct):
    """One of `tools`, or `tool_choice` where it is an object."""

    type: str = "function"
    function: FunctionDefinition | None = None


class FormatFields(Struct):
    """The fields of a request that say which format its answer must have."""

    response_format: Format | None = None
    tools: list[Tool] | None = None
    tool_choice: Tool | str | None = None
    functions: list[FunctionDefinition] | None = None
    function_call: FunctionDefinition | str | None = None
    modalities: list[str] | None = None
    audio: dict[str, Any] | None = None
    web_search_options: dict[str, Any] | None = None
    stop: list[str] | str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | Literal[0, 1] | None = None
    top_logprobs: int | None = None


_FIELD_DECODERS: Final = {
    field.name: msgspec.json.Decoder(field.type).decode for field in msgspec.structs.fields(FormatFields)
}


def decode_asked(fields: Mapping[str, Raw]) -> FormatFields:
    """Decodes those of a request's fields that say the format. Raises msgspec.DecodeError and RecursionError."""
    return FormatFields(**{name: decode(fields[name]) for name, decode in _FIELD_DECODERS.items() if name in fields})


class StreamOptions(Struct):
    """`stream_options` of a request."""

    include_usage: bool | None = None


class Function(Struct):
    """A function that an assistant's message calls."""

    name: str | None = None
    arguments: str | None = None


class CustomCall(Struct):
    """A call of a custom tool: free text."""

    input: str | None = None


class ToolCall(Struct):
    """A tool call in an assistant's message."""

    function: Function | None = None
    custom: CustomCall | None = None
    index: int | None = None


class ContentPart(Struct):
    """One part of a message's content. Parts without text (images, audio, files) cannot be read."""

    type: str = "text"
    text: str | None = None
    refusal: str | None = None


class Message(Struct):
    """One message as rules read it. content: text, null, or a list of parts (ContentPart). reasoning: text with most
    servers; other values go upstream unread."""

    role: str
    content: str | list[object] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    refusal: str | None = None
    reasoning_content: object = None
    reasoning: object = None


class ResponseFormat(Struct):
    """The type of `response_format`."""

    type: str = "text"


class ChatRequest(Struct):
    """The fields that the gateway reads; all others stay in the bytes that are forwarded."""

    model: str
    messages: Raw
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    n: int | None = None


class TokenDetails(Struct, omit_defaults=True):
    """Part counts within a usage."""

    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class ChatUsage(Struct):
    """Tokens that a call used."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: TokenDetails | UnsetType | None = UNSET


class AnswerFunction(Struct):
    """The function that an answer made here calls. arguments: JSON; name: not in a stream's later chunks."""

    arguments: str
    name: str | UnsetType = UNSET


class AnswerCall(Struct):
    """A tool call of an answer made here. index: only in streams, whose later chunks have neither id nor type."""

    function: AnswerFunction
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    index: int | UnsetType = UNSET


class AnswerMessage(Struct):
    """The assistant's message in an answer made here."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[AnswerCall] | UnsetType = UNSET
    function_call: AnswerFunction | UnsetType = UNSET


class Logprobs(Struct):
    """`logprobs` of a choice."""

    content: list[TokenLogprob] | None
    refusal: None = None


class AnswerChoice(Struct):
    """One choice of an answer made here."""

    message: AnswerMessage
    finish_reason: str
    index: int = 0
    logprobs: Logprobs | None = None


class ChatCompletion(Struct):
    """A whole answer made here."""

    id: str
    created: int
    model: str
    choices: list[AnswerChoice]
    usage: ChatUsage
    object: str = "chat.completion"


class Delta(Struct, omit_defaults=True):
    """What a chunk adds."""

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[AnswerCall] | None = None
    function_call: AnswerFunction | None = None


class ChunkChoice(Struct):
    """One choice of a chunk."""

    delta: Delta
    finish_reason: str | None = None
    index: int = 0
    logprobs: Logprobs | None = None


class Chunk(Struct):
    """One chunk of a streamed answer made here. `usage` is left out unless the client asked for it."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ChatUsage | UnsetType | None = UNSET
    object: str = "chat.completion.chunk"


class UpstreamMessage(Struct):
    """What output rules read of an upstream's message or delta."""

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None


class UpstreamKeys(Struct):
    """The fields that a message or delta of an upstream holds, read or not; and a choice's logprobs."""

    message: dict[str, Raw] | None = None
    delta: dict[str, Raw] | None = None
    logprobs: Raw = Raw(b"null")


class UpstreamChoices(Struct):
    """An upstream's answer or chunk, to see whether its choices hold what cannot be read."""

    choices: list[UpstreamKeys] | None = None


class ReportedUsage(Struct):
    """Tokens as an upstream reports them; a count that is not there is unknown, not zero."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: TokenDetails | None = None


class UpstreamChoice(Struct):
    """One choice of an upstream's answer or chunk."""

    message: UpstreamMessage | None = None
    delta: UpstreamMessage | None = None
    index: int | None = None
    finish_reason: str | None = None


class UpstreamMeta(Struct):
    """The little that money needs of an upstream's answer."""

    model: str | None = None
    usage: ReportedUsage | None = None
    service_tier: str | None = None


class UpstreamAnswer(UpstreamMeta):
    """An upstream's answer or chunk, as far as the gateway looks at it."""

    choices: list[UpstreamChoice] | None = None


decode_options = msgspec.json.Decoder(dict[str, Raw] | None).decode
decode_request = msgspec.json.Decoder(ChatRequest).decode
decode_choices = msgspec.json.Decoder(UpstreamChoices).decode
decode_answer = msgspec.json.Decoder(UpstreamAnswer).decode
decode_meta = msgspec.json.Decoder(UpstreamMeta).decode
