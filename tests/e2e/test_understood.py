"""The starter, asked by the unmodified openai client, answers only what it was asked.

Each test is something that was seen: a wrong answer in the caller's shape, made here.
"""

from pathlib import Path
from typing import Any

import pytest
from openai import NotFoundError, OpenAI

HELLO: dict[str, Any] = {"role": "user", "content": "hello"}
HOURS: dict[str, Any] = {"role": "user", "content": "when are you open?"}
OWN = "You are the support assistant of an online shop."
SHOP = {"role": "system", "content": OWN}
WELCOME = {"role": "assistant", "content": "Welcome! How can I help?"}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "find_order", "parameters": {"type": "object", "properties": {}}},
}
CALLED: list[dict[str, Any]] = [
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
]


HARM = "I will kill you"
IMAGE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def decided(client: OpenAI, *messages: dict[str, Any], **fields: Any) -> tuple[str, str]:
    """The decision, and why a rule did not answer."""
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=list(messages), **fields)
    return raw.headers["x-offramp-decision"], raw.headers.get("x-offramp-abstained", "")


@pytest.mark.parametrize("messages", [[HELLO], [HOURS], [SHOP, HELLO], [SHOP, WELCOME, HELLO]])
def test_what_was_asked_is_answered(client: OpenAI, messages: list[dict[str, Any]]) -> None:
    fields = {"user": "u1", "metadata": {"team": "a"}, "store": False, "seed": 7, "temperature": 0}
    more = {"top_k": 40, "min_p": 0.05, "keep_alive": "5m", "cache_prompt": True}
    assert decided(client, *messages, **fields, extra_body=more) == ("answer", "")


@pytest.mark.parametrize(
    "more", [' Always answer as JSON {"reply": text}.', " Always answer in French.", " We open at 6."]
)
def test_a_prompt_that_goes_on_is_another_task(client: OpenAI, more: str) -> None:
    for messages in ([{**SHOP, "content": OWN + more}], [SHOP, {"role": "system", "content": more.strip()}]):
        assert decided(client, *messages, HOURS)[0] == "forward"


def test_what_is_not_served_says_what_to_do(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match=r"upstreams\.openai\.passthrough: \[files\] in gateway.yaml"):
        client.files.list()


@pytest.mark.parametrize(
    "system",
    [
        "You are a translator. Translate the text into German.",
        "You guide visitors through a museum.",
        "Is the message spam? Answer yes or no.",
        "You are a pirate.",
    ],
)
def test_a_foreign_system_prompt_is_another_task(client: OpenAI, system: str) -> None:
    for message in (HELLO, HOURS):
        assert decided(client, {"role": "system", "content": system}, message)[0] == "forward"


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([HELLO, *CALLED], "conversation"),
        ([HELLO, *CALLED, HELLO], "conversation"),
        ([HELLO, {"role": "assistant", "content": "Sure, "}], "conversation"),
        ([HELLO, {"role": "assistant", "content": "Hi."}, HOURS], "later_turn"),
    ],
    ids=["tool result", "after a tool", "prefill", "later turn"],
)
def test_agent_loops_and_later_turns_go_on(client: OpenAI, messages: list[dict[str, Any]], reason: str) -> None:
    assert decided(client, *messages) == ("forward", f"intents:{reason}")


def test_offered_tools_are_the_models_to_use(client: OpenAI) -> None:
    assert decided(client, HELLO, tools=[TOOL]) == ("forward", "intents:free_tools")


@pytest.mark.parametrize(
    "field",
    [
        {"guided_choice": ["yes", "no"]},
        {"structured_outputs": {"choice": ["yes"]}},
        {"grammar": 'root ::= "a"'},
        {"format": "json"},
        {"documents": [{"text": "a"}]},
        {"data_sources": [{"type": "azure_search"}]},
        {"models": ["a", "b"]},
        {"store": True},
    ],
    ids=lambda field: next(iter(field)),
)
def test_a_field_that_is_not_known_is_forwarded(client: OpenAI, field: dict[str, Any]) -> None:
    assert decided(client, HELLO, extra_body=field) == ("forward", "intents:unknown_field")


def test_a_key_that_is_not_known_is_forwarded_whichever_message_has_it(client: OpenAI) -> None:
    assert decided(client, {**SHOP, "priority": "high"}, HELLO) == ("forward", "intents:unknown_field")
    part = {"type": "text", "text": "hello", "language": "de"}
    assert decided(client, {"role": "user", "content": [part]}) == ("forward", "intents:unknown_field")


def test_an_answer_that_a_client_sends_again_is_known(client: OpenAI) -> None:
    kept: Any = client.chat.completions.create(model="gpt-4o", messages=[HELLO]).choices[0].message.model_dump()
    assert decided(client, HELLO, kept, HOURS) == ("forward", "intents:later_turn")


@pytest.mark.parametrize(
    ("fields", "reason"), [({"max_tokens": 2}, "length"), ({"stop": "Hi"}, "stop"), ({"logprobs": True}, "modality")]
)
def test_a_fixed_text_is_not_cut(client: OpenAI, fields: dict[str, Any], reason: str) -> None:
    assert decided(client, HELLO, **fields) == ("forward", f"intents:{reason}")


def beside_an_image(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text}, IMAGE]}


def test_an_image_passes_the_guard_and_the_text_beside_it_is_judged(client: OpenAI) -> None:
    assert decided(client, beside_an_image("What is on this photo?")) == ("forward", "safety:unread,intents:unread")
    assert decided(client, beside_an_image(HARM))[0] == "block"


def test_a_guard_that_is_to_block_images_does(start_gateway, workspace: Path) -> None:
    text = (workspace / "config" / "gateway.yaml").read_text().replace("when_unread: forward", "when_unread: block")
    (workspace / "config" / "strict.yaml").write_text(text)
    gateway = start_gateway(workspace / "config" / "strict.yaml")
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        assert decided(client, beside_an_image("What is on this photo?"))[0] == "block"
        assert decided(client, {"role": "user", "content": "What is on this photo?"})[0] == "forward"


def test_after_a_block_the_next_turn_passes_and_what_was_blocked_does_not(client: OpenAI) -> None:
    harmful = {"role": "user", "content": HARM}
    blocked = client.chat.completions.create(model="gpt-4o", messages=[harmful]).choices[0]
    assert blocked.finish_reason == "content_filter"
    kept: Any = blocked.message.model_dump(exclude_none=True)
    later = {"role": "user", "content": "Which laptop do you advise for a student?"}
    assert decided(client, harmful, kept, later)[0] == "forward"
    go_on = {"role": "user", "content": "go on"}
    for between in ([], [{"role": "assistant", "content": "Sure."}]):
        assert decided(client, harmful, *between, go_on)[0] == "block"
