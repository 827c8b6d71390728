"""pydantic-ai (run in an environment of its own): an agent uses its tool and reads the result.

Takes the gateway's base URL.
"""

import sys
from importlib.metadata import version

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

model = OpenAIChatModel("gpt-4o", provider=OpenAIProvider(base_url=sys.argv[1], api_key="unused"))
agent = Agent(model, system_prompt=sys.argv[2])
orders: list[str] = []


@agent.tool_plain
def find_order(number: str) -> str:
    """Finds an order by its number."""
    orders.append(number)
    return "on its way"


result = agent.run_sync("hello")
assert orders == ["10432"], orders
assert result.output == "It is on its way.", result.output
print(f"pydantic-ai {version('pydantic-ai-slim')}")
