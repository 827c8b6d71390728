"""Whole calls are kept where the operator asks, for the time that is stated, and nothing of what a rule touched."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.context import new_context
from gateway.ledger.call_log import CallLog
from gateway.ledger.call_store import CallStore, KeptCall

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
        gateway.keeping.close()
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
    keeping = CallLog(store, keeps=True, on_failure=lambda _: None, on_lost=lost.append)
    with closing(sqlite3.connect(tmp_path / "offramp.db")) as db:
        db.execute("DROP TABLE calls")
    context = new_context("req_1", "chat.completions", "anonymous")
    context.kept = KeptCall(request_id="req_1", at=1.0, model="m", request=b"{}", answer=b"{}")
    for _ in range(1100):
        keeping.finish(context)
    for _ in range(1000):
        if sum(lost) == 100:
            break
        time.sleep(0.01)
    assert sum(lost) == 100
    keeping.close()
    assert sum(lost) == 1100
