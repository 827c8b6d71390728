"""anthropic for Python: messages, whole and streamed, and their tokens counted."""

from typing import Any

import scenario as s
from anthropic import Anthropic

client = Anthropic()
TOOL: Any = {"name": "find_order", "description": "Finds an order.", "input_schema": s.NUMBER}


def message(*texts: Any, **more: Any) -> Any:
    return client.messages.create(model=s.CLAUDE, max_tokens=100, messages=s.turns(*texts), **more)


def streamed(*texts: Any) -> str:
    with client.messages.stream(model=s.CLAUDE, max_tokens=100, messages=s.turns(*texts)) as events:
        text = "".join(events.text_stream)
        assert events.get_final_message().content[0].text == text
    return text


def ask(text: str) -> Any:
    return message(text).content[0].text


def chat() -> Any:
    assert client.messages.count_tokens(model=s.CLAUDE, messages=s.turns(s.ASK)).input_tokens > 0
    return ask(s.ASK)


def stream() -> Any:
    assert [event.type for event in message(s.ASK, stream=True)][-1] == "message_stop"
    return streamed(s.ASK)


def tools() -> Any:
    first = message(s.FIND, tools=[TOOL])
    call = first.content[0]
    assert (first.stop_reason, call.input) == ("tool_use", {"number": "10432"}), first
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "on its way"}
    return message(s.FIND, first.content, [result], tools=[TOOL]).content[0].text


def structured() -> Any:
    form: Any = {"model": s.CLAUDE, "max_tokens": 100, "output_format": s.Routed}
    return client.messages.parse(messages=s.turns(s.ASK), **form).parsed_output.intent


def second() -> Any:
    first = message(s.HELLO)
    assert first.usage.output_tokens > 0, first
    return streamed(s.HELLO), message(s.HELLO, first.content, s.ASK).content[0].text


def block() -> Any:
    blocked = message(s.ATTACK)
    assert blocked.stop_reason == "end_turn", blocked
    assert message(s.ATTACK, blocked.content, s.ASK).content[0].text == s.ANSWER
    return s.same([blocked.content[0].text, streamed(s.ATTACK)])


def error() -> Any:
    return s.raised(lambda: ask(s.WRONG)) + s.raised(lambda: streamed(s.WRONG))


s.run(globals(), "anthropic")
