"""langgraph (run in an environment of its own): a prebuilt agent uses its tool and reads the result.

Takes the gateway's base URL.
"""

import sys
from importlib.metadata import version

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.prebuilt import create_react_agent

orders: list[str] = []


@tool
def find_order(number: str) -> str:
    """Finds an order by its number."""
    orders.append(number)
    return "on its way"


model = ChatOpenAI(model="gpt-4o", base_url=sys.argv[1], api_key="unused", max_retries=0)
agent = create_react_agent(model, [find_order], prompt=sys.argv[2] or None)
messages = agent.invoke({"messages": [("user", "hello")]})["messages"]
assert orders == ["10432"], orders
assert messages[-1].content == "It is on its way.", messages
print(f"langgraph {version('langgraph')}")
