"""Questions put to classifiers directly leave a row, too."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from gateway.metrics import zero


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


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/classify"])
async def test_a_body_that_is_too_large_leaves_a_row(api: Any, ask: Any, memory_store: Any, path: str) -> None:
    app, _, writer = api("safe")
    assert (await ask(app, b'{"input": "' + b"x" * 5000 + b'"}', path=path)).status == 413
    writer.close()
    (row,) = memory_store.records
    assert (row.decision, row.status, row.error) == ("error", 413, "request_too_large")


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/classify"])
async def test_it_ends_on_the_version_that_it_began_with(
    api: Any, ask: Any, policies: Any, memory_store: Any, path: str
) -> None:
    app, engine, writer = api("safe")
    fields = policies["safe"].model_dump(by_alias=True)
    fields["labels"]["jailbreak"]["taxonomy"] = {"openai": ["illicit"]}
    new = replace(
        engine.in_use.edition, policies={"safe": type(policies["safe"]).model_validate(fields)}, versions={"safe": "v2"}
    )

    def take_up() -> None:
        engine.in_use.edition = new

    engine.classify.meanwhile = take_up
    told = []
    for _ in range(2):
        answer = json.loads((await ask(app, b'{"input": "jailbreak"}', path=path)).body)
        told.append(answer.get("version") or answer["model"].removeprefix("safe@"))
        if "model" in answer:
            flagged = [name for name, on in answer["results"][0]["categories"].items() if on]
            assert flagged == [{"v1": "jailbreak", "v2": "illicit"}[told[-1]]]
    writer.close()
    assert told == [row.classifier_version for row in memory_store.records] == ["v1", "v2"]


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/classify"])
async def test_a_question_brings_no_new_series(api: Any, ask: Any, path: str) -> None:
    rules = "rules:\n  - {name: safety, classifier: safe, then: {violence: block, jailbreak: flag}}\n"
    app, engine, writer = api("safe", rules=rules)
    zero.stand_at_zero(engine.metrics, {}, engine.in_use.edition.rules, {})
    before = {line.partition(b"} ")[0] for line in engine.metrics.text().splitlines()}
    bodies = [*(f'{{"input": "{text}"}}'.encode() for text in ("hello", "violence", "unsure", "broken")), b"{"]
    for body in bodies:
        await ask(app, body, path=path)
    writer.close()
    after = {line.partition(b"} ")[0] for line in engine.metrics.text().splitlines() if b"{" in line}
    assert {line for line in after - before if line.startswith(b"offramp_")} == set()


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

    monkeypatch.setattr(type(engine.classify), "__call__", waits)
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
