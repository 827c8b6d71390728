"""LlamaIndex: OpenAILike, which asks for completions, and its OpenAI class for tools and objects."""

from typing import Any

import scenario as s
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from llama_index.llms.openai_like import OpenAILike

like = OpenAILike(model=s.GPT, api_base=s.V1, api_key="unused")
model = OpenAI(model=s.GPT)


def ask(text: str) -> Any:
    return like.complete(text).text


def chat() -> Any:
    return s.same([ask(s.ASK), model.complete(s.ASK).text, like.chat([ChatMessage(s.ASK)]).message.content])


def stream() -> Any:
    return s.same(["".join(part.delta for part in each.stream_complete(s.ASK)) for each in (like, model)])


def tools() -> Any:
    called = model.predict_and_call([FunctionTool.from_defaults(s.find_order)], s.FIND)
    return s.EXPECTED["tools"] if called.response == s.find_order("10432") else called


def structured() -> Any:
    return model.as_structured_llm(s.Routed).complete(s.ASK).raw.intent


def second() -> Any:
    first = model.chat([ChatMessage(s.HELLO)]).message
    return first.content, model.chat([ChatMessage(s.HELLO), first, ChatMessage(s.ASK)]).message.content


def block() -> Any:
    assert not s.GATEWAY or s.REFUSAL in s.raised(lambda: ask(s.ATTACK))
    return model.complete(s.ATTACK).text


s.run(globals(), "llama-index-llms-openai-like", "llama-index-llms-openai")
