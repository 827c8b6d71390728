"""instructor (run in an environment of its own): its modes, whole and streamed, through its own parsers.

Takes the gateway's base URL. Nothing answers behind that gateway.
"""

import sys
from importlib.metadata import version
from typing import Literal

import instructor
from openai import OpenAI
from pydantic import BaseModel

MESSAGES = [{"role": "user", "content": "Hello there!"}]


class Routed(BaseModel):
    """Where a message goes."""

    intent: Literal["Greeting", "Opening-Hours", "other"]
    note: str | None = None


plain = OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)
for mode in (instructor.Mode.TOOLS, instructor.Mode.TOOLS_STRICT, instructor.Mode.JSON_SCHEMA):
    client = instructor.from_openai(plain, mode=mode)
    found = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, response_model=Routed, max_retries=0)
    assert (found.intent, found.note) == ("Greeting", None), (mode, found)
client = instructor.from_openai(plain, mode=instructor.Mode.TOOLS)
*_, last = client.chat.completions.create_partial(model="gpt-4o", messages=MESSAGES, response_model=Routed)
assert last.intent == "Greeting", last
print(f"instructor {version('instructor')}, openai {version('openai')}")
