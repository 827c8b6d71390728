"""What a model answered, one entry for each choice, joined where it was streamed. Pure."""

import msgspec

from gateway.wire import chat, sse
from gateway.wire.decode import of_upstream


class Said(msgspec.Struct):
    """One choice of an answer. calls: by their index, a function's name and arguments."""

    content: str = ""
    refused: bool = False
    finish: str = ""
    calls: dict[int, tuple[str, str]] = {}


def whole(body: bytes) -> list[Said]:
    """The choices of an answer in one piece. Raises msgspec.DecodeError."""
    said: dict[int, Said] = {}
    _take(said, body, stream=False)
    return list(said.values())


def streamed(body: bytes) -> list[Said]:
    """The choices of an answer's events. Raises msgspec.DecodeError."""
    said: dict[int, Said] = {}
    for data in sse.payloads(body):
        _take(said, data, stream=True)
    return list(said.values())


def bare(text: str) -> str:
    """JSON without the fence that some models put around it."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text.strip("`").removeprefix("json")
    return text


def _take(said: dict[int, Said], data: bytes, *, stream: bool) -> None:
    for place, choice in enumerate(of_upstream(chat.decode_answer, data).choices or ()):
        number = choice.index if choice.index is not None else place
        one = said.setdefault(number, Said())
        one.finish = choice.finish_reason or one.finish
        message = (choice.delta or choice.message) if stream else (choice.message or choice.delta)
        if message is None:
            continue
        one.content += message.content or ""
        one.refused = one.refused or bool(message.refusal)
        for index, call in enumerate(message.tool_calls or ()):
            if call.function is not None:
                _call(one, call.index if call.index is not None else index, call.function)
        if message.function_call is not None:
            _call(one, 0, message.function_call)


def _call(one: Said, index: int, function: chat.Function) -> None:
    name, arguments = one.calls.get(index, ("", ""))
    one.calls[index] = (name or function.name or "", arguments + (function.arguments or ""))
