"""Whole calls are kept where the operator asks, for the time that is stated, and nothing of what a rule touched."""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.context import new_context
from gateway.ledger.call_log import CallLog
from gateway.ledger.call_store import CallStore, KeptCall, KeptText, RecentStore, TextStore
from gateway.ledger.writer import Writer

KEEPS = "content: {keep: 30d, calls: true}\n"
RULES = """
rules:
  - {name: safety, classifier: safe, then: {violence: block}}
  - {name: details, classifier: data, then: {contact: redact}}
  - {name: cheap, classifier: bank, then: {rate: {forward: cheap}}}
"""


def body(text: str, **fields: Any) -> bytes:
    return json.dumps({"model": "dear", "messages": [{"role": "user", "content": text}], **fields}).encode()


@pytest.fixture
def kept(wire: Callable[..., Any], ask: Any, tmp_path: Path) -> Callable[..., Any]:
    """kept(bodies, …): the gateway, its latest answer and the calls that it kept."""

    async def send(*bodies: bytes, rules: str = "", models: str = KEEPS) -> tuple[Any, Any, list[KeptCall]]:
        gateway = wire(rules, models=models)
        for each in bodies:
            answer = await ask(gateway.app, each)
        gateway.call_log.close()
        with closing(CallStore(tmp_path / "contracts.db")) as store:
            return gateway, answer, store.calls()

    return send


@pytest.mark.parametrize("stream", [False, True])
async def test_a_forwarded_call_is_kept_whole(kept: Callable[..., Any], *, stream: bool) -> None:
    gateway, answer, [call] = await kept(body("hello", stream=stream, temperature=0))
    assert json.loads(call.request) == json.loads(body("hello", stream=stream, temperature=0))
    assert (call.answer == answer.body) or stream
    assert call.answer.startswith(b"data:") is stream
    record = gateway.record()
    fields = ("request_id", "input_tokens", "output_tokens", "spent_usd")
    assert [getattr(call, name) for name in fields] == [getattr(record, name) for name in fields]
    assert (call.model, bool(call.output_tokens)) == ("dear", True)


async def test_nothing_is_kept_unless_asked_for_and_nothing_that_a_rule_touched(kept: Callable[..., Any]) -> None:
    assert (await kept(body("hello"), models=""))[2] == []
    texts = ("violence", "mail a@b.org", "the rate", "plain", "x" * 70_000)
    _, _, calls = await kept(*map(body, texts), rules=RULES)
    assert [json.loads(call.request)["messages"][0]["content"] for call in calls] == ["plain"]


def test_a_thousand_calls_wait_at_most(tmp_path: Path) -> None:
    lost: list[int] = []
    store = CallStore(tmp_path / "offramp.db")
    call_log = CallLog(store, partial(Writer, on_failure=lambda _: None, on_lost=lost.append), keeps=True)
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db:
        db.execute("DROP TABLE calls")
    context = new_context("req_1", "chat.completions", "anonymous")
    context.kept = KeptCall(request_id="req_1", at=1.0, model="m", request=b"{}", answer=b"{}")
    for _ in range(1100):
        call_log.finish(context)
    for _ in range(1000):
        if sum(lost) == 100:
            break
        time.sleep(0.01)
    assert sum(lost) == 100
    call_log.close()
    assert sum(lost) == 1100


REVIEW = "content: {blocked: 30d, unsure: 30d}\n"
GUARDS = """
rules:
  - {name: details, classifier: data, then: {contact: redact}}
  - {name: safety, classifier: safe, then: {violence: block, jailbreak: flag}}
  - {name: answers, classifier: safe, reads: {roles: [], output: true}, then: {jailbreak: block}}
  - {name: bank, classifier: bank, when: {any_system: true}, then: {rate: {forward: cheap}}}
"""
ANSWERS = """
rules:
  - {name: bank, classifier: bank, when: {any_system: true}, then: {rate: {answer: It is 3 %.}}}
"""


@pytest.fixture
def kept_texts(wire: Callable[..., Any], ask: Any, tmp_path: Path) -> Callable[..., Any]:
    """kept_texts(bodies, …): what was kept for review of these requests."""

    async def send(*bodies: bytes, models: str = REVIEW, rules: str = GUARDS) -> list[KeptText]:
        gateway = wire(rules, models=models)
        for each in bodies:
            await ask(gateway.app, each)
            await asyncio.sleep(0.01)
        gateway.review_log.close()
        with closing(TextStore(tmp_path / "contracts.db", read_only=True)) as store:
            return store.texts()

    return send


async def test_texts_that_were_blocked_or_in_doubt_are_kept_where_asked(kept_texts: Callable[..., Any]) -> None:
    """Equal ones once. In doubt is what a rule that can block was unsure of, of answers too; not what was not
    judged."""
    texts = ("violence", "violence", "unsure", "broken", "plain", "violence " + "x" * 70_000)
    assert await kept_texts(*map(body, texts), models="") == []
    blocked, unsure, answer = await kept_texts(*map(body, texts))
    assert (answer.text, answer.kept_as, answer.rule) == ("echo: unsure", "unsure", "answers")
    assert (blocked.text, blocked.kept_as, blocked.rule, blocked.label) == ("violence", "blocked", "safety", "violence")
    assert (blocked.times, blocked.confidence, blocked.version) == (2, 0.9, "v1")
    assert (unsure.text, unsure.kept_as, unsure.rule, unsure.label) == ("unsure", "unsure", "safety", "violence")
    again = await kept_texts(body("unsure"), models="content: {blocked: 1d}\n")
    assert [text.times for text in again] == [2, 1, 1]


async def test_doubts_of_a_rule_that_answers_are_kept(kept_texts: Callable[..., Any]) -> None:
    [doubt] = await kept_texts(*map(body, ("rate", "unsure of the rate", "plain")), rules=ANSWERS)
    assert (doubt.text, doubt.kept_as, doubt.rule, doubt.label) == ("unsure of the rate", "unsure", "bank", "rate")


async def test_of_a_conversation_the_turn_that_was_blocked_is_kept_without_what_rules_redact(
    kept_texts: Callable[..., Any],
) -> None:
    turns = ("my mail is a@b.org", "violence to c@d.org", "and then?")
    messages = [{"role": "user", "content": text} for text in turns]
    [blocked] = await kept_texts(body("", messages=messages))
    assert blocked.text == "violence to [EMAIL_2]"


async def test_a_blocked_answer_is_kept_and_personal_data_is_replaced_where_asked(
    kept_texts: Callable[..., Any],
) -> None:
    """The echo upstream answers with the text, which rules on requests flag only."""
    asked = "content: {blocked: 30d, redact: true}\n"
    [blocked] = await kept_texts(body("jailbreak, from 4111 1111 1111 1111"), models=asked)
    assert (blocked.rule, blocked.text) == ("answers", "echo: jailbreak, from [CARD_1]")


async def test_what_rules_read_of_the_latest_calls_is_kept_without_what_they_redact(
    wire: Callable[..., Any], ask: Any, tmp_path: Path
) -> None:
    """Each text once, with the rules that read it."""
    texts = ("violence", "mail a@b.org", "the rate", "unsure", " ", "x" * 70_000)

    async def kept(content: str, rules: str = RULES) -> list[tuple[str, str]]:
        gateway = wire(rules, models=content)
        for text in texts:
            await ask(gateway.app, body(text))
        records = gateway.records()[-len(texts) :]
        gateway.recent_log.close()
        with closing(RecentStore(tmp_path / "contracts.db", read_only=True)) as store:
            return [(one.rules, one.text) for record in records for one in store.of_call(record.request_id)]

    assert await kept("") == []
    found = await kept("content: {recent: 1h}\n")
    assert [rules for rules, _ in found] == ["safety,details,cheap"] * 4
    read = [text for _, text in found]
    assert (read[0], read[2], read[3]) == ("violence", "the rate", "unsure")
    assert "a@b.org" not in read[1]
    assert read[1].startswith("mail ")
    safety = "rules: [{name: safety, classifier: safe, then: {violence: block}}]"
    for redact, mail in (("false", "mail a@b.org"), ("true", "mail [EMAIL_1]")):
        found = await kept(f"content: {{recent: 1h, redact: {redact}}}\n", safety)
        assert found[1] == ("safety", mail)
