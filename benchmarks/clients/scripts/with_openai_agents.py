"""openai-agents: its default (responses), whole and streamed, with a session and a previous response."""

import asyncio
from typing import Any

import scenario as s
from agents import Agent, Runner, SQLiteSession, function_tool, set_tracing_disabled

set_tracing_disabled(True)
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)


def turn(text: str, *, session: Any = None, earlier: str | None = None, **more: Any) -> Any:
    agent = Agent(name="shop", model=s.GPT, **more)
    return Runner.run_sync(agent, text, session=session, previous_response_id=earlier)


def ask(text: str) -> Any:
    return turn(text).final_output


def stream() -> Any:
    async def parts() -> str:
        result = Runner.run_streamed(Agent(name="shop", model=s.GPT), s.ASK)
        events = [event.data async for event in result.stream_events() if event.type == "raw_response_event"]
        return "".join(event.delta for event in events if event.type == "response.output_text.delta")

    return loop.run_until_complete(parts())


def tools() -> Any:
    return turn(s.FIND, tools=[function_tool(s.find_order)]).final_output


def structured() -> Any:
    return turn(s.ASK, output_type=s.Routed).final_output.intent


def second() -> Any:
    session = SQLiteSession("one")
    first = turn(s.HELLO, session=session)
    seen = turn(s.ASK, earlier=first.last_response_id).final_output
    return first.final_output, s.same([seen, turn(s.ASK, session=session).final_output])


def block() -> Any:
    session = SQLiteSession("two")
    blocked = turn(s.ATTACK, session=session).final_output
    assert turn(s.ASK, session=session).final_output == s.ANSWER
    return blocked


s.run(globals(), "openai-agents")
