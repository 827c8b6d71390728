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
  - name: safety
    classifier: safe
    then: {violence: block}
  - name: details
    classifier: data
    then: {contact: redact}
  - name: cheap
    classifier: bank
    then: {rate: {forward: cheap}}
"""


def body(text: str, **fields: Any) -> bytes:
    return json.dumps({"model": "dear", "messages": [{"role": "user", "content": text}], **fields}).encode()


def kept(tmp_path: Path) -> list[KeptCall]:
    with closing(CallStore(tmp_path / "contracts.db")) as store:
        return store.calls()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_forwarded_call_is_kept_whole(
    wire: Callable[..., Any], ask: Any, tmp_path: Path, *, stream: bool
) -> None:
    gateway = wire(models=KEEPS)
    answer = await ask(gateway.app, body("hello", stream=stream, temperature=0))
    gateway.keeping.close()
    [call] = kept(tmp_path)
    assert call.model == "dear"
    assert json.loads(call.request) == json.loads(body("hello", stream=stream, temperature=0))
    assert (call.answer == answer.body) or stream
    assert call.answer.startswith(b"data:") is stream
    record = gateway.record()
    assert (call.request_id, call.input_tokens, call.output_tokens, call.spent_usd) == (
        record.request_id,
        record.input_tokens,
        record.output_tokens,
        record.spent_usd,
    )
    assert call.output_tokens


async def test_nothing_is_kept_unless_asked_for(wire: Callable[..., Any], ask: Any, tmp_path: Path) -> None:
    gateway = wire()
    await ask(gateway.app, body("hello"))
    gateway.keeping.close()
    assert kept(tmp_path) == []


async def test_what_a_rule_touched_is_not_kept(wire: Callable[..., Any], ask: Any, tmp_path: Path) -> None:
    gateway = wire(RULES, models=KEEPS)
    for text in ("violence", "mail a@b.org", "the rate", "plain", "x" * 70_000):
        await ask(gateway.app, body(text))
    gateway.keeping.close()
    texts = [json.loads(call.request)["messages"][0]["content"] for call in kept(tmp_path)]
    assert texts == ["plain"]


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
