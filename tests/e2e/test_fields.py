"""Whole answers for real: the openai client and its parser, two classifiers, and a model's server for contracts."""

import json
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel

from benchmarks.stream.paid import Paid
from tests.given import table_text

from .conftest import Running, offramp, start, user

GATEWAY = table_text("given/e2e-fields-gateway.yaml")
POLICY = table_text("given/e2e-fields-policy.yaml")
JACKET, PHONES, HELLO = "I want to return a jacket", "where are my headphones?", "hello"
INTENTS = ["greeting", "order_status", "return_item"]
CALLS = 12
"""Of each kind under the contract."""


class Intent(StrEnum):
    STATUS = "Order Status"
    RETURN = "Return Item"
    HELLO = "Greeting"


class Department(StrEnum):
    CLOTHES = "Clothing"
    TECH = "Tech"


class Ticket(BaseModel):
    intent: Intent
    department: Department
    score: float


@pytest.fixture(scope="module")
def paid() -> Iterator[Paid]:
    server = Paid(lambda _: "")
    yield server
    server.close()


@pytest.fixture(scope="module")
def gateway(workspace: Path, paid: Paid, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("fields")
    (folder / "models").mkdir()
    for name in ("encoders", "shop-intents"):
        (folder / "models" / name).symlink_to((workspace / "models" / name).resolve())
    (folder / "gateway.yaml").write_text(GATEWAY.format(paid=paid.url))
    (folder / "department.yaml").write_text(POLICY)
    done = offramp("train", "department.yaml", "--models", "models", cwd=folder)
    assert done.returncode == 0, done.stderr
    running = start(folder / "gateway.yaml")
    yield running
    running.stop()


def schema(**properties: Any) -> dict[str, Any]:
    whole = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "ticket", "strict": True, "schema": whole}}


def one_of(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


def ask(client: OpenAI, text: str, form: dict[str, Any], *, model: str = "both") -> tuple[str, str, str]:
    """The decision, why a rule did not answer, and the answer."""
    raw = client.chat.completions.with_raw_response.create(
        model=model, messages=user(text, "Sort the message."), response_format=form
    )
    headers, content = raw.headers, raw.parse().choices[0].message.content or ""
    return headers["x-offramp-decision"], headers.get("x-offramp-abstained", ""), content


@pytest.mark.parametrize(
    ("text", "intent", "department"),
    [(JACKET, Intent.RETURN, Department.CLOTHES), (PHONES, Intent.STATUS, Department.TECH)],
)
def test_two_classifiers_fill_one_answer(client: OpenAI, text: str, intent: Intent, department: Department) -> None:
    raw = client.chat.completions.with_raw_response.parse(model="both", messages=user(text), response_format=Ticket)
    assert raw.headers["x-offramp-decision"] == "answer"
    found = raw.parse().choices[0].message.parsed
    assert found is not None
    assert (found.intent, found.department) == (intent, department)
    # of the two classifiers, the less certain one's
    assert float(raw.headers["x-offramp-confidence"]) == pytest.approx(found.score, abs=1e-4)


def form() -> dict[str, Any]:
    return schema(intent=one_of(*Intent), department=one_of(*Department), score={"type": "number"})


def test_one_that_abstains_withholds_the_answer(client: OpenAI, gateway: Running) -> None:
    assert ask(client, HELLO, form())[:2] == ("forward", "both:field_abstained")
    # the field is not asked for, and what the rule's own classifier says is the whole answer
    assert ask(client, HELLO, schema(intent=one_of(*Intent))) == ("answer", "", '{"intent":"Greeting"}')
    unknown = schema(intent=one_of(*Intent), department=one_of("Clothing", "Tech", "Garden"))
    assert ask(client, JACKET, unknown)[:2] == ("forward", "both:unknown_value")
    request = {"model": "both", "messages": user(HELLO), "response_format": form()}
    done = offramp("explain", json.dumps(request), "--gateway", "gateway.yaml", "--json", cwd=gateway.folder)
    explained = json.loads(done.stdout)
    assert explained["unsupported"]["both"].startswith("field_abstained: department: department abstains: unsure (")
    says = explained["rules"][0]["fields"]["department"]
    assert (says["classifier"].partition("@")[0], says["labels"], says["abstained"]) == ("department", [], "unsure")


MAYBE = {"anyOf": [{"type": "string"}, {"type": "null"}]}
ALL = one_of(*INTENTS)


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"intent": ALL, "least_likely_intent": ALL}, "ambiguous"),
        ({"intent": ALL, "previous_intent": ALL}, "ambiguous"),
        ({"intent": ALL, "secondary_intent": {"anyOf": [ALL, {"type": "null"}]}}, "ambiguous"),
        ({"intent": ALL, "next_action": ALL}, "ambiguous"),
        ({"intent": ALL, "ruled_out": {"type": "array", "items": ALL}}, "ambiguous"),
        ({"intent": ALL, "confidence": {"type": "number", "description": "0 to 1"}}, "other_field"),
        ({"intent": ALL, "sentiment": {"type": "number", "description": "-1 to 1"}}, "other_field"),
        ({"intent": ALL, "score": {"type": "number", "description": "The sentiment.", "minimum": -1}}, "other_field"),
        ({"intent": ALL, "score": {"type": "number", "minimum": 0, "maximum": 100}}, "other_field"),
        ({"intent": ALL, "item": MAYBE}, "other_field"),
        ({"intent": ALL, "order_number": MAYBE}, "other_field"),
        ({"intent": one_of(*INTENTS, "complaint")}, "unknown_value"),
        # what is not certain to be there is not made up
        ({"intent": ALL, "escalate": {"anyOf": [{"const": "fraud"}, {"type": "null"}]}}, "other_field"),
        ({"intent": ALL, "urgent": {"anyOf": [{"const": True, "type": "boolean"}, {"type": "null"}]}}, "other_field"),
        ({"intents": {"type": "array", "items": ALL}}, "ambiguous"),
    ],
    ids=lambda value: next(reversed(value)) if isinstance(value, dict) else value,
)
def test_a_field_that_nobody_measured_is_forwarded(client: OpenAI, properties: dict[str, Any], reason: str) -> None:
    assert ask(client, JACKET, schema(**properties))[:2] == ("forward", f"both:{reason}")


class Escalated(BaseModel):
    intent: Intent
    escalate: Literal["fraud"] | None = None


class Listed(BaseModel):
    intents: list[Intent]


@pytest.mark.parametrize("parsed", [Escalated, Listed])
def test_constants_and_lists_are_not_made_up(client: OpenAI, parsed: type[BaseModel]) -> None:
    tool = pydantic_function_tool(parsed, name="sort")
    tool["function"].pop("strict")
    tool["function"]["parameters"]["required"] = [next(iter(parsed.model_fields))]  # type: ignore[index]
    asked: Any = client.chat.completions.with_raw_response
    for fields in ({"response_format": parsed}, {"tools": [tool], "tool_choice": "required"}):
        ask = asked.parse if "response_format" in fields else asked.create
        assert ask(model="both", messages=user(JACKET), **fields).headers["x-offramp-decision"] == "forward"


def pairs(gateway: Running, result: str) -> float:
    return sum(
        gateway.metric(f'offramp_contract_pairs_total{{audited="{audited}",result="{result}",rule="bound"}}')
        for audited in ("true", "false")
    )


def test_a_contract_compares_whole_answers(client: OpenAI, gateway: Running, paid: Paid) -> None:
    """What the model fills in, and the answer made here does not, is no agreement."""
    both = schema(intent=ALL, department=one_of("clothing", "electronics"))
    paid.say = lambda _: '{"intent": "return_item", "department": "clothing"}'
    for _ in range(CALLS):
        assert ask(client, JACKET, both, model="bound")[:2] == ("forward", "bound:contract")
    assert (pairs(gateway, "agrees"), pairs(gateway, "differs")) == (CALLS, 0)
    paid.say = lambda _: '{"intent": "return_item", "department": "electronics"}'
    for _ in range(CALLS):
        ask(client, JACKET, both, model="bound")
    assert (pairs(gateway, "agrees"), pairs(gateway, "differs")) == (CALLS, CALLS)

    paid.say = lambda _: '{"labels": ["return_item", "return_item", "greeting"]}'
    batch = schema(labels={"type": "array", "items": ALL})
    text = f"Classify these 3 messages. {JACKET}. The shirt doesn't fit, I want to send it back."
    for _ in range(CALLS):
        assert ask(client, text, batch, model="bound")[0] == "forward"
    numbered = schema(intent=ALL, order_number=MAYBE)
    paid.say = lambda _: '{"intent": "return_item", "order_number": "10432"}'
    for _ in range(CALLS):
        assert ask(client, JACKET, numbered, model="bound")[:2] == ("forward", "bound:other_field")
    assert pairs(gateway, "agrees") == CALLS
    assert gateway.metric('offramp_contracts{phase="live",rule="bound"}') == 0
