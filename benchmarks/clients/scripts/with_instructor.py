"""instructor: objects, whole and in parts, by each of its own two defaults."""

from typing import Any

import instructor
import scenario as s
from openai import OpenAI

client = instructor.from_openai(OpenAI())
responses = instructor.from_openai(OpenAI(), mode=instructor.Mode.RESPONSES_TOOLS)


def form(text: str, **more: Any) -> Any:
    return {"model": s.GPT, "messages": s.turns(text), "response_model": s.Routed, **more}


def structured() -> Any:
    *_, last = client.create_partial(**form(s.ASK))
    return s.same([client.create(**form(s.ASK)).intent, last.intent, responses.create(**form(s.ASK)).intent])


def block() -> Any:
    text = s.raised(lambda: client.create(**form(s.ATTACK, max_retries=0))) if s.GATEWAY else s.REFUSAL
    return s.REFUSAL if s.REFUSAL in text else text


def error() -> Any:
    return s.raised(lambda: client.create(**form(s.WRONG, max_retries=1)))


def retry() -> Any:
    return s.ANSWER if client.create(**form(s.AGAIN)).intent == "other" else "not retried"


s.run(globals(), "instructor")
