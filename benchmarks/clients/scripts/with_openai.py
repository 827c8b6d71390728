"""openai for Python: responses, then the same by chat completions; completions, embeddings and models."""

import json
from typing import Any

import scenario as s
from openai import OpenAI

client = OpenAI()
TOOL: Any = {"type": "function", "name": "find_order", "description": "Finds an order.", "parameters": s.NUMBER}


def respond(text: Any, **more: Any) -> Any:
    return client.responses.create(model=s.GPT, input=text, **more)


def chat_completion(text: str, **more: Any) -> Any:
    return client.chat.completions.create(model=s.GPT, messages=s.turns(text), **more)


def ask(text: str) -> Any:
    return respond(text).output_text


def chat() -> Any:
    assert len(client.embeddings.create(model=s.GPT, input=["a", "b"]).data) == 2
    assert s.GPT in [model.id for model in client.models.list()]
    legacy = client.completions.create(model=s.GPT, prompt=s.ASK).choices[0].text
    return s.same([ask(s.ASK), chat_completion(s.ASK).choices[0].message.content, legacy])


def stream() -> Any:
    with client.responses.stream(model=s.GPT, input=s.ASK) as events:
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert events.get_final_response().output_text == text
    assert [event.type for event in respond(s.ASK, stream=True)][-1] == "response.completed"
    parts = [part.choices[0].delta.content or "" for part in chat_completion(s.ASK, stream=True) if part.choices]
    return s.same([text, "".join(parts)])


def tools() -> Any:
    first = respond(s.FIND, tools=[TOOL])
    call = first.output[0]
    assert json.loads(call.arguments) == {"number": "10432"}, first
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "on its way"}
    seen = respond([output], tools=[TOOL], previous_response_id=first.id)
    whole = respond([*s.turns(s.FIND), *first.output, output], tools=[TOOL])
    return s.same([seen.output_text, whole.output_text])


def structured() -> Any:
    parsed = client.chat.completions.parse(model=s.GPT, messages=s.turns(s.ASK), response_format=s.Routed)
    responded = client.responses.parse(model=s.GPT, input=s.ASK, text_format=s.Routed)
    return s.same([parsed.choices[0].message.parsed.intent, responded.output_parsed.intent])


def second() -> Any:
    first = respond(s.HELLO)
    whole = respond([*s.turns(s.HELLO), *first.output, *s.turns(s.ASK)])
    seen = respond(s.ASK, previous_response_id=first.id)
    return first.output_text, s.same([whole.output_text, seen.output_text])


def block() -> Any:
    with client.responses.stream(model=s.GPT, input=s.ATTACK) as events:
        streamed = events.get_final_response().output_text
    if s.GATEWAY:
        parsed = client.responses.parse(model=s.GPT, input=s.ATTACK, text_format=s.Routed)
        assert parsed.output[0].content[0].refusal == s.REFUSAL, parsed
    return s.same([ask(s.ATTACK), streamed, chat_completion(s.ATTACK).choices[0].message.content])


def error() -> Any:
    return s.same([s.raised(lambda: respond(s.WRONG)), s.raised(lambda: chat_completion(s.WRONG))])


s.run(globals(), "openai")
