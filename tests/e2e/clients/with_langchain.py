"""langchain-openai (run in an environment of its own): structured output by its methods, tools, words, streams.

Takes the gateway's base URL. Nothing answers behind that gateway.
"""

import math
import sys
from enum import StrEnum
from importlib.metadata import version

from langchain_openai import ChatOpenAI
from pydantic import BaseModel

TEXT = "Hello there!"
PROMPT = [("system", "Name the intent: GREETING, OPENING HOURS or OTHER. Answer with it only."), ("user", TEXT)]


class Intent(StrEnum):
    GREETING = "Greeting"
    HOURS = "Opening-Hours"
    OTHER = "other"


class Routed(BaseModel):
    """Where a message goes."""

    intent: Intent
    confidence: float


model = ChatOpenAI(model="gpt-4o", base_url=sys.argv[1], api_key="unused", max_retries=0)
for method in ("json_schema", "function_calling"):
    structured = model.with_structured_output(Routed, method=method)
    found = structured.invoke(TEXT)
    assert isinstance(found, Routed), (method, found)
    assert found.intent == Intent.GREETING, (method, found)
    *_, last = structured.stream(TEXT)
    assert last.intent == Intent.GREETING, (method, last)

keyed = [("system", f'{PROMPT[0][1]} Reply in JSON: {{"intent": …}}'), ("user", TEXT)]
assert model.with_structured_output(None, method="json_mode").invoke(keyed) == {"intent": "GREETING"}

answer = model.bind(logprobs=True, top_logprobs=2).invoke(PROMPT)
assert answer.content == "GREETING", answer
assert 0.5 < math.exp(answer.response_metadata["logprobs"]["content"][0]["logprob"]) <= 1, answer
assert answer.usage_metadata["total_tokens"] > 0, answer
assert "".join(chunk.content for chunk in model.stream(PROMPT)) == "GREETING"

called = model.bind_tools([Routed], tool_choice="any").invoke(TEXT).tool_calls
assert [(one["name"], one["args"]["intent"]) for one in called] == [("Routed", "Greeting")], called
print(f"langchain-openai {version('langchain-openai')}, openai {version('openai')}")
