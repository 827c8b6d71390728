"""litellm's SDK: completion, for openai and for anthropic; responses and embeddings."""

import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import scenario as s

litellm.suppress_debug_info = True
MODELS = (f"openai/{s.GPT}", f"anthropic/{s.CLAUDE}")
TOOL = {"type": "function", "function": {"name": "find_order", "parameters": s.NUMBER}}


def each(*texts: Any, **more: Any) -> Any:
    answers = [litellm.completion(model=model, messages=s.turns(*texts), **more) for model in MODELS]
    return s.same([answer.choices[0].message.content for answer in answers])


def ask(text: str) -> Any:
    return each(text)


def chat() -> Any:
    assert litellm.embedding(model=MODELS[0], input=["a lamp"], encoding_format="float").data
    return s.same([each(s.ASK), litellm.responses(model=MODELS[0], input=s.ASK).output[0].content[0].text])


def stream() -> Any:
    found = [litellm.completion(model=model, messages=s.turns(s.ASK), stream=True) for model in MODELS]
    return s.same(["".join(part.choices[0].delta.content or "" for part in parts) for parts in found])


def tools() -> Any:
    found = []
    for model in MODELS:
        asked: Any = {"model": model, "tools": [TOOL]}
        message = litellm.completion(messages=s.turns(s.FIND), **asked).choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "on its way"}
        last = litellm.completion(messages=[*s.turns(s.FIND), message, result], **asked)
        found.append(last.choices[0].message.content)
    return s.same(found)


def structured() -> Any:
    answer = litellm.completion(model=MODELS[0], messages=s.turns(s.ASK), response_format=s.Routed)
    return s.Routed.model_validate_json(answer.choices[0].message.content).intent


def second() -> Any:
    first = each(s.HELLO)
    return first, each(s.HELLO, first, s.ASK)


def block() -> Any:
    return each(s.ATTACK)


def retry() -> Any:
    return each(s.AGAIN, num_retries=1)


s.run(globals(), "litellm")
