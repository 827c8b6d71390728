"""Questions put to classifiers directly leave a row, too."""

import asyncio
import json
from contextlib import suppress
from functools import partial
from typing import Any

import pytest


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/classify"])
async def test_each_leaves_a_row(api: Any, ask: Any, memory_store: Any, path: str) -> None:
    app, _, writer = api("safe")
    good = await ask(app, b'{"input": "hello"}', path=path)
    bad = await ask(app, b'{"input": 5}', path=path)
    assert (good.status, bad.status) == (200, 400)
    writer.close()
    first, second = memory_store.records
    endpoint = path.rpartition("/")[2]
    assert (first.endpoint, first.decision, first.status, first.saved_reason) == (endpoint, "answer", 200, None)
    assert (first.classifier, first.classifier_version) == ("safe", "v1")
    assert first.classifier_s is not None
    assert (second.decision, second.status, second.error) == ("error", 400, "invalid_request_error")


@pytest.mark.parametrize(
    ("path", "makes"), [("/v1/moderations", "moderations._result"), ("/v1/classify", "classify.result_of")]
)
async def test_a_fault_while_the_reply_is_made_is_in_the_row(
    api: Any, ask: Any, memory_store: Any, monkeypatch: pytest.MonkeyPatch, path: str, makes: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("cannot be made")

    monkeypatch.setattr(f"gateway.http.{makes}", fail)
    app, _, writer = api("safe")
    with suppress(RuntimeError):
        # what serves raises it again, once the client has its answer
        await ask(app, b'{"input": "hello"}', path=path)
    writer.close()
    (row,) = memory_store.records
    assert (row.decision, row.status, row.error) == ("error", 500, "internal_error")


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/classify"])
async def test_what_the_drain_does_not_wait_for_is_told_so(
    api: Any, ask: Any, memory_store: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    app, engine, writer = api("safe")
    begun = asyncio.Event()

    async def waits(*_: object) -> None:
        begun.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(type(engine.classifiers.classify), "__call__", waits)
    in_flight = partial(engine.metrics.registry.get_sample_value, "offramp_in_flight_requests")
    assert in_flight() == 0
    question = asyncio.ensure_future(ask(app, b'{"input": "hello"}', path=path))
    await begun.wait()
    assert in_flight() == 1
    question.cancel()
    answer = await question
    assert in_flight() == 0
    assert answer.status == 503
    assert "the gateway is stopping and had no answer yet" in json.loads(answer.body)["error"]["message"]
    writer.close()
    (row,) = memory_store.records
    assert (row.decision, row.status, row.error) == ("error", 503, "cancelled")
