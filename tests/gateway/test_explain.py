"""What is explained is what the gateway does: the reply's bytes, and the body that an upstream gets."""

import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from classifiers.encoder.session import Encoder
from classifiers.model import artifact
from classifiers.model.model import Model
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.training import data
from classifiers.training.rows import Row
from classifiers.training.windows import wholes
from gateway.app import create_app
from gateway.config.load import Loaded
from gateway.config.prices import PriceTable
from gateway.contracts.store import ContractStore
from gateway.errors import BadRequest
from gateway.explain import Explainer
from gateway.ledger.store import SQLiteLedger
from gateway.serving.snapshot import load_runtime
from tests.given import table_text

GATEWAY = table_text("given/gateway-explain-gateway.yaml")
PATHS = {"chat.completions": "/v1/chat/completions", "completions": "/v1/completions"}
PATHS |= {"responses": "/v1/responses", "messages": "/v1/messages"}
RANDOM = (
    (r'"(created|created_at|completed_at)":\d+', r'"\1":0'),
    (r"(req|chatcmpl|cmpl|msg|resp|item|fc|call)_?-?[0-9a-f]{24}", r"\1"),
)


@dataclass
class Upstream:
    """Keeps the bodies that it gets."""

    bodies: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.bodies.append((await receive())["body"].decode())
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


@dataclass
class Both:
    """The same gateway file, explained and served."""

    explainer: Explainer
    http: aiohttp.ClientSession
    upstream: Upstream

    async def post(self, path: str, body: bytes) -> tuple[int, str]:
        async with self.http.post(path, data=body) as answer:
            return answer.status, await answer.text()


def publish_patterns(models_dir: Path) -> None:
    labels = {"contact": {"means": "gives an address", "patterns": "email"}}
    policy = Policy.model_validate({"version": 1, "name": "data", "kind": "safety", "about": "tests", "labels": labels})
    registry = Registry(models_dir)
    with registry.staging("data") as folder:
        artifact.save(Model(policy=policy, stages=()), folder, report={})
        registry.publish("data", folder)


@pytest.fixture
def both(
    load: Callable[..., Loaded],
    publish: Callable[..., str],
    models_dir: Path,
    tmp_path: Path,
    serving: Any,
    prices: PriceTable,
) -> Any:
    """both(rules that follow, ask_usage=…)."""
    publish(datetime(2026, 11, 30, tzinfo=UTC))
    publish_patterns(models_dir)

    @asynccontextmanager
    async def make(rules: str = "", *, ask_usage: str = "true") -> AsyncIterator[Both]:
        upstream = Upstream()
        async with serving(upstream) as url:
            loaded = load(GATEWAY.format(models=models_dir, url=url, ask_usage=ask_usage) + rules)
            app = create_app(
                loaded,
                runtime=load_runtime(loaded),
                store=SQLiteLedger(tmp_path / "served.db"),
                contracts=ContractStore(tmp_path / "served.db"),
                prices=prices,
            )
            async with serving(app) as own, aiohttp.ClientSession(own) as http:
                yield Both(Explainer.load(loaded), http, upstream)

    return make


def body_of(endpoint: str, text: str, model: str, **more: Any) -> bytes:
    messages = [{"role": "user", "content": text}]
    asked: dict[str, Any] = {
        "chat.completions": {"messages": messages},
        "completions": {"prompt": text},
        "responses": {"input": text, "store": False},
        "messages": {"messages": messages, "max_tokens": 100},
    }[endpoint]
    return json.dumps({"model": model, **asked, **more}).encode()


def plain(text: str) -> str:
    for pattern, instead in RANDOM:
        text = re.sub(pattern, instead, text)
    return text


@pytest.mark.parametrize(
    ("endpoint", "text", "decision"),
    # nothing is answered in the older format of completions, where each block is an error
    [
        *((endpoint, "card", "block") for endpoint in PATHS),
        *((endpoint, "rate", "answer") for endpoint in PATHS if endpoint != "completions"),
    ],
)
async def test_a_reply_is_explained_to_the_byte(both: Any, endpoint: str, text: str, decision: str) -> None:
    async with both() as one:
        model, path = "claude" if endpoint == "messages" else "dear", PATHS[endpoint]
        explained = await one.explainer.explain(body_of(endpoint, text, model), path)
        assert (explained.endpoint, explained.decision, explained.by_rule) == (endpoint, decision, "bank")
        assert explained.sent is None
        status, whole = await one.post(path, body_of(endpoint, text, model))
        _, stream = await one.post(path, body_of(endpoint, text, model, stream=True))
        assert explained.reply is not None
        assert (explained.reply.status, plain(explained.reply.body)) == (status, plain(whole))
        assert plain(explained.reply.stream) == plain(stream)
        assert (whole == stream) is (endpoint == "completions")
        assert not one.upstream.bodies


async def test_a_block_as_an_error_is_one_whole_and_streamed(both: Any) -> None:
    async with both() as one:
        body = body_of("chat.completions", "card", "cheap")
        explained = await one.explainer.explain(body)
        status, whole = await one.post("/v1/chat/completions", body)
        assert (explained.reply.status, plain(explained.reply.body)) == (status, plain(whole))
        assert status == 400
        assert explained.reply.stream == explained.reply.body


@pytest.mark.parametrize("endpoint", PATHS)
@pytest.mark.parametrize("ask_usage", ["true", "false"])
async def test_what_is_sent_on_is_explained_to_the_byte(both: Any, endpoint: str, ask_usage: str) -> None:
    async with both(ask_usage=ask_usage) as one:
        model, path = "claude" if endpoint == "messages" else "cheap", PATHS[endpoint]
        texts = ["what is the weather like at joe@example.com", "zebras"]
        for text, stream in zip(texts, [False, True], strict=True):
            body = body_of(endpoint, text, model, stream=stream)
            explained = await one.explainer.explain(body, path)
            assert explained.decision == ("redact" if "@" in text else "forward")
            await one.post(path, body)
            assert explained.reply is None
            assert explained.sent.body == one.upstream.bodies[-1]
        assert "joe@example.com" not in one.upstream.bodies[0]
        assert "[EMAIL_1]" in one.upstream.bodies[0]
        assert (explained.sent.upstream, explained.sent.path) == ("other" if model == "claude" else "paid", path[3:])


async def test_a_rule_that_reroutes_sends_another_models_name(both: Any) -> None:
    async with both() as one:
        body = one.explainer.written("greeting", system="Be brief.", model="dear")
        explained = await one.explainer.explain(body)
        await one.post("/v1/chat/completions", body)
        assert (explained.decision, explained.to, explained.sent.model) == ("forward", "cheap", "small")
        assert explained.sent.body == one.upstream.bodies[-1]
        assert json.loads(explained.sent.body)["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_rules_are_explained_in_order_with_what_each_does(both: Any) -> None:
    async with both('  - {name: never, classifier: bank, when: {system: none}, then: {"*": flag}}\n') as one:
        explained = await one.explainer.explain(one.explainer.written("rate"))
        hides, bank, errors, never = explained.rules
        assert [rule.rule for rule in explained.rules] == ["hides", "bank", "errors", "never"]
        assert errors.why_not == "when.model: the call asks for dear"
        assert [(rule.asked, rule.does, rule.label) for rule in (hides, bank, never)] == [
            (True, "", ""),
            (True, "answer", "rate"),
            (False, "", ""),
        ]
        label, score, _ = bank.ranked[0]
        assert (label, score) == ("rate", bank.verdict.confidence)
        assert [score for _, score, _ in bank.ranked] == sorted(bank.verdict.scores.values(), reverse=True)


async def test_what_an_upstream_does_not_take_is_refused_as_it_is_served(both: Any) -> None:
    async with both() as one:
        body = body_of("messages", "zebras", "cheap")
        explained = await one.explainer.explain(body, "/v1/messages")
        status, whole = await one.post("/v1/messages", body)
        assert (explained.reply.status, plain(explained.reply.body)) == (status, plain(whole))
        assert status == 400
        with pytest.raises(BadRequest, match="/v1/files"):
            await one.explainer.explain(body, "/v1/files")


async def test_the_nearest_training_rows_are_named(both: Any, models_dir: Path, encoder: Encoder) -> None:
    texts = ("rates", "a new card", "what is the rate", "hello", "good morning", "interest rate", "cards")
    rows = [Row(text=text, labels=(text[-4:],), group=text, source="data") for text in texts]
    async with both() as one:
        plain = await one.explainer.explain(one.explainer.written("rate"))
        assert [rule.nearest for rule in plain.rules] == [()] * 3
        with data.archived_rows(models_dir, "bank", rows, vectors=wholes(encoder, texts)) as publish:
            publish(one.explainer.snapshot.versions["bank"])
        explained = await Explainer.load(one.explainer.loaded).explain(one.explainer.written("what is the rate"))
        near = explained.rules[1].nearest
        assert (near[0].text, near[0].labels, near[0].source) == ("what is the rate", ("rate",), "data")
        assert near[0].similarity == pytest.approx(1, abs=0.01)
        assert len(near) == 5
        assert [row.similarity for row in near] == sorted((row.similarity for row in near), reverse=True)


async def test_the_labels_of_a_text_come_likeliest_first(both: Any) -> None:
    async with both() as one:
        scores = await one.explainer.scores("bank", "card")
        assert (scores[0][0], len(scores)) == ("card", 3)
        assert await one.explainer.scores("nobody", "card") == []


def ledgers(folder: Path) -> list[Path]:
    return [*folder.glob("l.db*")]


async def test_nothing_is_recorded_and_it_is_soon_done(both: Any, tmp_path: Path) -> None:
    async with both() as one:
        text = " ".join(f"word{number} is about a rate" for number in range(6))
        await one.explainer.explain(one.explainer.written("first"))
        started = time.perf_counter()
        for number in range(5):
            await one.explainer.explain(one.explainer.written(f"{text} {number}"))
        assert (time.perf_counter() - started) / 5 < 0.3
        assert ledgers(tmp_path) == []


async def test_another_version_is_noticed(both: Any, publish: Callable[..., str]) -> None:
    async with both() as one:
        assert not one.explainer.outdated
        version = publish(datetime(2026, 12, 1, tzinfo=UTC))
        assert one.explainer.outdated
        again = Explainer.load(one.explainer.loaded, before=one.explainer)
        assert (again.snapshot.versions["bank"], again.outdated) == (version, False)
        assert again.snapshot.runtime.encoders == one.explainer.snapshot.runtime.encoders
