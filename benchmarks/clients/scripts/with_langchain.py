"""LangChain by chat completions and by responses, and LangGraph's agent for the tool."""

from typing import Any

import scenario as s
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langgraph.prebuilt import create_react_agent

model = ChatOpenAI(model=s.GPT)
both = (model, ChatOpenAI(model=s.GPT, use_responses_api=True))


def ask(text: str) -> Any:
    return s.same([each.invoke(text).text for each in both])


def chat() -> Any:
    assert len(OpenAIEmbeddings(model=s.GPT, check_embedding_ctx_length=False).embed_documents(["a lamp"])) == 1
    return ask(s.ASK)


def stream() -> Any:
    return s.same(["".join(part.text for part in each.stream(s.ASK)) for each in both])


def tools() -> Any:
    agents = [create_react_agent(each, [tool(s.find_order)]) for each in both]
    return s.same([agent.invoke({"messages": [("user", s.FIND)]})["messages"][-1].text for agent in agents])


def structured() -> Any:
    return s.same([each.with_structured_output(s.Routed).invoke(s.ASK).intent for each in both])


def second() -> Any:
    def talk(each: Any) -> tuple[str, str]:
        first = each.invoke(s.HELLO)
        return first.text, each.invoke([("user", s.HELLO), first, ("user", s.ASK)]).text

    return s.same([talk(each) for each in both])


def block() -> Any:
    return s.same([ask(s.ATTACK), *("".join(part.text for part in each.stream(s.ATTACK)) for each in both)])


def error() -> Any:
    return "".join(s.raised(lambda each=each: each.invoke(s.WRONG)) for each in both)


s.run(globals(), "langchain-openai", "langgraph")
