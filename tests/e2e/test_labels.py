"""`answer: label` for real: the openai client and its own parsers, a gateway process, a trained classifier."""

import json
import math
import random
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from openai.lib._parsing import type_to_response_format_param
from pydantic import BaseModel

from benchmarks.answers.typos import mistyped
from gateway.config.load import load_policy
from tests.given import table, table_text

from .conftest import start

GATEWAY = table_text("given/e2e-labels-gateway.yaml")
TEXT = "Hello there!"
SYSTEM = "Name the intent: GREETING, OPENING HOURS or OTHER. Answer with the intent only."
PROMPT = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TEXT}]


class Intent(StrEnum):
    GREETING = "Greeting"
    HOURS = "Opening-Hours"
    OTHER = "other"


class Routed(BaseModel):
    intent: Intent
    confidence: float
    note: str | None


class Explained(BaseModel):
    intent: Intent
    why: str


TOOL: dict[str, Any] = table("given/e2e-labels-tool.yaml")


@pytest.fixture(scope="module")
def client(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    file = tmp_path_factory.mktemp("labels") / "gateway.yaml"
    file.write_text(GATEWAY.format(models=workspace / "models", prompt=SYSTEM))
    running = start(file)
    with OpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as made:
        yield made
    running.stop()


def ask(client: OpenAI, **fields: Any) -> tuple[Any, dict[str, str]]:
    raw = client.chat.completions.with_raw_response.create(
        **{"model": "gpt-4o", "messages": [{"role": "user", "content": TEXT}], **fields}
    )
    return raw.parse(), dict(raw.headers)


def test_a_parsed_schema(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="gpt-4o", messages=[{"role": "user", "content": TEXT}], response_format=Routed
    )
    found = answer.choices[0].message.parsed
    assert found is not None
    assert (found.intent, found.note) == (Intent.GREETING, None)
    assert 0.5 < found.confidence <= 1


def test_a_word_as_the_prompt_spells_it_with_its_probability(client: OpenAI) -> None:
    answer, headers = ask(client, messages=PROMPT, logprobs=True, top_logprobs=2, max_tokens=3, n=2)
    assert (headers["x-offramp-decision"], headers["x-offramp-usage"]) == ("answer", "estimated")
    assert [choice.message.content for choice in answer.choices] == ["GREETING", "GREETING"]
    [token] = answer.choices[0].logprobs.content
    assert (token.token, len(token.top_logprobs)) == ("GREETING", 2)
    assert 0.5 < math.exp(token.logprob) <= 1


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "no_place"),
        ({"tools": [TOOL]}, "free_tools"),
        ({"response_format": type_to_response_format_param(Explained)}, "other_field"),
    ],
)
def test_what_cannot_be_given_here_is_left_to_the_model(client: OpenAI, fields: dict[str, Any], why: str) -> None:
    _, headers = ask(client, **fields)
    assert headers["x-offramp-decision"] == "forward"
    assert headers["x-offramp-abstained"] == f"intents:{why}"


@pytest.mark.parametrize(("typos", "most"), [(1, 1), (2, 2), (3, 3)])
def test_the_policys_own_examples_with_typos(client: OpenAI, workspace: Path, typos: int, most: int) -> None:
    """Of the 87 examples 3, 10 and 13 were called `other` when that had no threshold."""
    policy = load_policy(workspace / "config" / "policies" / "shop-intents.yaml", {})
    chance = random.Random(f"{typos} typos")
    examples = [(mistyped(text, typos, chance), name) for name, one in policy.labels.items() for text in one.examples]
    schema = {"type": "object", "properties": {"intent": {"enum": [*policy.labels, "other"]}}, "required": ["intent"]}
    form = {"type": "json_schema", "json_schema": {"name": "intent", "schema": schema}}
    given = []
    for text, name in examples:
        answer, headers = ask(client, messages=[{"role": "user", "content": text}], response_format=form)
        if headers["x-offramp-decision"] == "answer":
            given.append(json.loads(answer.choices[0].message.content)["intent"] == name)
    assert len(given) > len(examples) // 4
    assert given.count(False) <= most


def test_a_word_for_another_prompt_may_be_asked_for_in_another_form(client: OpenAI) -> None:
    for more in (" Answer in UPPER CASE only.", " Answer in angle brackets."):
        _, headers = ask(client, messages=[{"role": "system", "content": SYSTEM + more}, PROMPT[1]])
        assert (headers["x-offramp-decision"], headers["x-offramp-abstained"]) == ("forward", "intents:free_form")


def test_a_streamed_word(client: OpenAI) -> None:
    stream = client.chat.completions.create(model="gpt-4o", messages=PROMPT, stream=True)  # type: ignore[call-overload]
    chunks = [chunk.choices[0] for chunk in stream]
    assert "".join(chunk.delta.content or "" for chunk in chunks) == "GREETING"
    assert chunks[-1].finish_reason == "stop"


@pytest.mark.parametrize(
    ("choice", "finish"), [({"type": "function", "function": {"name": "route"}}, "stop"), ("required", "tool_calls")]
)
def test_a_forced_function(client: OpenAI, choice: Any, finish: str) -> None:
    answer, _ = ask(client, tools=[TOOL], tool_choice=choice)
    [called] = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == finish
    assert answer.choices[0].message.content is None
    assert called.id.startswith("call_")
    assert (called.function.name, json.loads(called.function.arguments)) == ("route", {"intent": "greeting"})


def test_calls_of_several_choices_whole_and_streamed(client: OpenAI) -> None:
    fields: dict[str, Any] = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False, "n": 2}
    whole, _ = ask(client, **fields)
    messages = [{"role": "user", "content": TEXT}]
    with client.chat.completions.stream(model="gpt-4o", messages=messages, **fields) as stream:  # type: ignore[arg-type]
        streamed = stream.get_final_completion()
    for answer in (whole, streamed):
        calls = [call for choice in answer.choices for call in choice.message.tool_calls or []]
        assert len({call.id for call in calls}) == 2
        assert [json.loads(call.function.arguments) for call in calls] == [{"intent": "greeting"}] * 2


def test_a_legacy_function(client: OpenAI) -> None:
    answer, _ = ask(client, functions=[TOOL["function"]], function_call={"name": "route"})
    assert json.loads(answer.choices[0].message.function_call.arguments) == {"intent": "greeting"}
