"""llm (run in an environment of its own): its chain of tool calls, as `llm --functions` runs it.

Takes the gateway's base URL.
"""

import sys
from importlib.metadata import version

from llm.default_plugins.openai_models import Chat

orders: list[str] = []


def find_order(number: str) -> str:
    """Finds an order by its number."""
    orders.append(number)
    return "on its way"


model = Chat("gpt-4o", model_name="gpt-4o", api_base=sys.argv[1], supports_tools=True)
model.key = "unused"
answer = model.chain("hello", system=sys.argv[2] or None, tools=[find_order]).text()
assert orders == ["10432"], orders
assert answer.endswith("It is on its way."), answer
print(f"llm {version('llm')}")
