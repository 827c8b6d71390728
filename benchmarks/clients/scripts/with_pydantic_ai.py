"""pydantic-ai: its default for openai (responses), and for anthropic."""

from typing import Any

import scenario as s
from pydantic_ai import Agent


def each(scenario: Any, **more: Any) -> Any:
    return s.same([scenario(Agent(name, **more)) for name in (f"openai:{s.GPT}", f"anthropic:{s.CLAUDE}")])


def ask(text: str) -> Any:
    return each(lambda agent: agent.run_sync(text).output)


def stream() -> Any:
    return each(lambda agent: list(agent.run_stream_sync(s.ASK).stream_text())[-1])


def tools() -> Any:
    return each(lambda agent: agent.run_sync(s.FIND).output, tools=[s.find_order])


def structured() -> Any:
    return each(lambda agent: agent.run_sync(s.ASK).output.intent, output_type=s.Routed)


def second() -> Any:
    def talk(agent: Any) -> tuple[str, str]:
        first = agent.run_sync(s.HELLO)
        return first.output, agent.run_sync(s.ASK, message_history=first.all_messages()).output

    return each(talk)


def block() -> Any:
    return ask(s.ATTACK)


def error() -> Any:
    return each(lambda agent: s.EXPECTED["error"] in s.raised(lambda: agent.run_sync(s.WRONG))) and s.EXPECTED["error"]


s.run(globals(), "pydantic-ai-slim")
