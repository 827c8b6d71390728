"""What a client's script does in turn, and what it must get: `python SCRIPT URL [scenario …]` prints a line each."""

import json
import os
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel

URL = sys.argv[1]
V1 = f"{URL}/v1"
GATEWAY = bool(os.environ.get("GATEWAY"))
GPT, CLAUDE = "gpt-4o", "claude-4"
HELLO = "Hello there!"
ASK = "When does the blue lamp leave?"
FIND = "Where is my order 10432?"
ATTACK = "I will kill you"
WRONG = "Paint it in the wrong colour."
AGAIN = "Say it once more."
ANSWER = "It leaves tomorrow at noon."
REFUSAL = "I cannot help with that."
NUMBER = {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}
EXPECTED = {
    "chat": ANSWER,
    "stream": ANSWER,
    "tools": "The order is on its way.",
    "structured": "other",
    "second": ("Hi! How can I help?", ANSWER),
    "block": REFUSAL,
    "error": "No model of this colour exists.",
    "retry": ANSWER,
}
os.environ |= {"OPENAI_API_KEY": "unused", "OPENAI_BASE_URL": V1, "OPENAI_API_BASE": V1}
os.environ |= {"ANTHROPIC_API_KEY": "unused", "ANTHROPIC_BASE_URL": URL, "ANTHROPIC_API_BASE": URL}


class Routed(BaseModel):
    """Where a message goes."""

    intent: Literal["order", "other"]


def find_order(number: str) -> str:
    """Finds an order."""
    return f"{number} is on its way"


def turns(*texts: Any) -> Any:
    """A conversation: the user's and the assistant's turns."""
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


def same(found: list[Any]) -> Any:
    """What all of a client's ways give; all of it, where they differ."""
    return found[0] if all(each == found[0] for each in found) else found


def run(script: dict[str, Any], *packages: str) -> None:
    """Runs the scenarios. A script need not write those for which its `ask`, of a text, is enough."""
    print(*(f"{package} {version(package)}" for package in packages))
    ask = script.get("ask")
    if ask:
        simple = {"chat": lambda: ask(ASK), "retry": lambda: ask(AGAIN), "error": lambda: raised(lambda: ask(WRONG))}
        script = {**simple, **script}
    names = [name for name in sys.argv[2:] or EXPECTED if callable(script.get(name))]
    sys.exit(1 if [name for name in names if not holds(name, script[name])] else 0)


def holds(name: str, scenario: Callable[[], Any]) -> bool:
    """An error must say what the model said of it; all else is equal."""
    try:
        found = scenario()
    except Exception:  # noqa: BLE001 - whatever a client raises is what is found
        found = traceback.format_exc()
    right = EXPECTED[name] in found if name == "error" and isinstance(found, str) else found == EXPECTED[name]
    print(json.dumps({"scenario": name, "right": right} | ({} if right else {"found": found})), flush=True)
    return right


def raised(call: Callable[[], Any]) -> str:
    """The text of the error that a call ends in."""
    try:
        return f"no error: {call()}"
    except Exception as error:  # noqa: BLE001 - whatever a client raises
        return str(error)
