"""openai-agents (run in an environment of its own): an agent uses its tool and reads the result.

Takes the gateway's base URL.
"""

import sys
from importlib.metadata import version

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

set_tracing_disabled(True)
orders: list[str] = []


@function_tool
def find_order(number: str) -> str:
    """Finds an order by its number."""
    orders.append(number)
    return "on its way"


client = AsyncOpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)
model = OpenAIChatCompletionsModel(model="gpt-4o", openai_client=client)
agent = Agent(name="shop", instructions=sys.argv[2] or None, model=model, tools=[find_order])
result = Runner.run_sync(agent, "hello")
assert orders == ["10432"], orders
assert result.final_output == "It is on its way.", result.final_output
print(f"openai-agents {version('openai-agents')}")
