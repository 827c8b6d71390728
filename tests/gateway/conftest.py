"""Factories for the gateway's tests: settings from YAML text, rules, verdicts, and fakes with the real Protocols."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import uvicorn
from starlette.types import ASGIApp

from classifiers import Runtime
from classifiers.encoder.session import Encoder, embed
from classifiers.model import artifact
from classifiers.model.model import Calibration, Head, Model, Novelty, Stage
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.runtime.classifier import broken, late
from classifiers.runtime.run import Passages
from classifiers.verdict import Abstention, Reading, Verdict
from gateway.config.load import Loaded, load_gateway
from gateway.config.prices import Price, PriceTable
from gateway.connection import Connection
from gateway.context import Headers
from gateway.contracts.audit import Audits
from gateway.contracts.owner import Owner
from gateway.contracts.repeat_calls import RepeatCalls
from gateway.contracts.store import ContractStore
from gateway.drain import InFlight
from gateway.http.auth import Access
from gateway.http.calls import CallEndpoint
from gateway.http.entrance import Entrance
from gateway.judge.judge import Judge
from gateway.judge.resolve import SafetyAudits
from gateway.ledger.call_log import CallLog, RecentLog, TextLog
from gateway.ledger.call_store import CallStore, RecentStore, TextStore
from gateway.ledger.recorder import Recorder
from gateway.ledger.writer import LedgerWriter, Writer
from gateway.metrics.observe import Metrics
from gateway.pipeline import Pipeline
from gateway.plan import Planner, TimedClassifiers
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.served import WIRES
from gateway.protocols.wire import Wire
from gateway.record import Record
from gateway.requests.system import PromptPatterns
from gateway.routes import Routes
from gateway.rules.compile import compile_rules
from gateway.rules.rule import Act, Action, Rule
from gateway.server import Server, bind
from gateway.serving.snapshot import CurrentSnapshot, Snapshot
from gateway.spelling import LabelNames
from gateway.upstreams.base import Answer, Upstream, UpstreamCall
from gateway.upstreams.dispatch import Forwarder
from gateway.upstreams.echo import EchoUpstream
from tests.given import table_text

PRICES = PriceTable(
    as_of="2026-11-25",
    models={
        "dear": Price(
            input_usd=10,
            output_usd=40,
            cached_input_usd=5,
            cache_write_usd=12,
            tiers={"flex": Price(input_usd=5, output_usd=20), "priority": Price(input_usd=20, output_usd=80)},
        ),
        "dear-2026-01-01": Price(input_usd=20, output_usd=80),
        "cheap": Price(input_usd=1, output_usd=4, above={5000: Price(input_usd=2, output_usd=6)}),
    },
)
BASE = table_text("given/gateway-conftest-base.yaml")


@dataclass(slots=True)
class FakeUpstream:
    """An upstream that gives what it was told to, one after the other, and keeps the calls it got."""

    answers: list[Answer | Exception]
    name: str = "fake"
    notional: bool = False
    ask_usage: bool = True
    speaks = frozenset({wire.endpoint for wire in WIRES})
    calls: list[UpstreamCall] = field(default_factory=list)
    closed: bool = False

    async def send(self, call: UpstreamCall) -> Answer:
        """The next answer, or the next failure; the last one again and again."""
        self.calls.append(call)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        """Notes it."""
        self.closed = True


@dataclass(slots=True)
class FakeClassify:
    """Classifiers that find a label where the text holds its name, `unsure`, `unread` and `broken` included.

    `too late` is late, and `too long` broken with a window unread. Labels told by patterns are really sought. `scores`
    are of labels that hold, 0.9 without. `version` is what answers.
    `meanwhile` is done before they answer. `hangs`, where it is given, is set, and they never answer.
    """

    policies: Mapping[str, Policy]
    version: str = "v1"
    scores: Mapping[str, float] = field(default_factory=dict)
    asked: list[Reading] = field(default_factory=list)
    meanwhile: Callable[[], None] | None = None
    hangs: asyncio.Event | None = None

    async def __call__(
        self, readings: Sequence[Reading], deadline_s: float, runtime: Runtime | None = None, client: str = ""
    ) -> list[Verdict]:
        """One verdict for each reading."""
        self.asked += readings
        if self.hangs is not None:
            self.hangs.set()
            await asyncio.Event().wait()
        if self.meanwhile is not None:
            self.meanwhile()
        return [self._verdict(reading) for reading in readings]

    def _verdict(self, reading: Reading) -> Verdict:
        text = " ".join(reading.texts)
        policy = self.policies[reading.classifier]
        labels = tuple(label for label in policy.learned if label in text)
        spans = Passages().find(reading.texts, policy.patterns)
        labels = (*dict.fromkeys(span.label for span in spans), *labels)
        words_of = {kind: kind.value for kind in Abstention} | {Abstention.LATE: "too late"}
        abstention = next((kind for kind, word in words_of.items() if word in text), None)
        doubts: tuple[Abstention, ...] = ()
        if abstention is Abstention.UNSURE and Abstention.LANGUAGE.value in text and policy.multi_label:
            abstention, doubts = Abstention.LANGUAGE, (Abstention.UNSURE,)
        too_long = "too long" in text
        if cut := too_long or reading.cut:
            abstention = Abstention.BROKEN
        if reading.incomplete and abstention not in (Abstention.BROKEN, Abstention.UNREAD):
            doubts = (*doubts, abstention) if abstention and policy.multi_label else ()
            abstention = Abstention.UNREAD
        scores = {label: self.scores.get(label, 0.9) if label in labels else 0.01 for label in policy.labels}
        if not policy.multi_label:
            labels = () if abstention else labels[:1] or ("other",)
        if abstention in (Abstention.LATE, Abstention.BROKEN) and not cut:
            gives = late if abstention is Abstention.LATE else broken
            return gives(reading.classifier, "said so", self.version)
        return Verdict(
            classifier=policy.name,
            version=self.version,
            labels=labels,
            confidence=0.9,
            scores=scores,
            abstention=abstention,
            doubts=doubts,
            windows_read=1,
            windows_unread=int(too_long),
            spans=spans,
        )


@dataclass(slots=True)
class MemoryStore:
    """A store that keeps records as they are. `fail` is raised instead while it is set."""

    records: list[Record] = field(default_factory=list)
    fail: Exception | None = None
    closed: bool = False

    def append(self, records: Sequence[Record]) -> None:
        """Takes the rows."""
        if self.fail is not None:
            raise self.fail
        self.records += records

    def close(self) -> None:
        """Notes it."""
        self.closed = True


@dataclass(slots=True)
class Answered:
    """What an ASGI app sent."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    ended: bool = False

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self.parts)


@dataclass(slots=True)
class Wired:
    """A gateway put together as app.py does it, on fakes at its two ends."""

    app: ASGIApp
    metrics: Metrics
    classify: FakeClassify
    writer: LedgerWriter
    store: MemoryStore
    upstreams: Mapping[str, Upstream]
    contracts: Owner
    call_log: CallLog
    review_log: TextLog
    recent_log: RecentLog

    def records(self) -> list[Record]:
        """All that was recorded; ends the writer."""
        self.writer.close()
        return self.store.records

    def record(self) -> Record:
        """The one record; ends the writer."""
        (record,) = self.records()
        return record


TOLD = {"payment": ["card", "iban"], "contact": ["email", "phone"], "key": ["secret"]}
"""Labels that are told by patterns."""

Load = Callable[..., Loaded]
Publish = Callable[..., str]
Ask = Callable[..., Awaitable[Answered]]
Serving = Callable[..., AbstractAsyncContextManager[str]]


@pytest.fixture
def policies() -> dict[str, Policy]:
    """A safety policy `safe` (violence, jailbreak), an intent policy `bank` (greeting, rate, card), and a safety policy
    `data` whose labels payment, contact and key are told by patterns and whose label gossip is not."""

    def policy(name: str, kind: str, labels: Sequence[str], **more: Any) -> Policy:
        described = {
            label: {"means": label, **({"patterns": TOLD[label]} if label in TOLD else {})} for label in labels
        }
        return Policy.model_validate(
            {"version": 1, "name": name, "kind": kind, "about": "tests", "labels": described, **more}
        )

    return {
        "safe": policy("safe", "safety", ["violence", "jailbreak"]),
        "bank": policy("bank", "intent", ["greeting", "rate", "card"], other="anything else"),
        "data": policy("data", "safety", ["payment", "contact", "key", "gossip"]),
    }


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """load(yaml, env=…): the gateway file of that text, written where replies/ may lie beside it."""

    def make(text: str = BASE, env: Mapping[str, str] | None = None) -> Loaded:
        file = tmp_path / "gateway.yaml"
        file.write_text(dedent(text), "utf-8")
        return load_gateway(file, env or {})

    return make


def published(models_dir: Path, encoder: Encoder, policy: Policy, when: datetime | None = None) -> str:
    """A version of a policy by class centroids."""
    vectors = embed(encoder, list(policy.learned))
    stage = Stage(
        encoder=encoder.id,
        head=Head(classes=tuple(policy.learned), weights=vectors, bias=np.zeros(len(vectors), np.float32)),
        calibration=Calibration(scale=np.full(1, 12, np.float32), offset=np.zeros(len(vectors), np.float32)),
        thresholds={},
        novelty=Novelty(prototypes=vectors, limit=0.6),
    )
    registry = Registry(models_dir)
    with registry.staging(policy.name) as folder:
        artifact.save(Model(policy=policy, stages=(stage,)), folder, report={})
        return registry.publish(policy.name, folder, when)


@pytest.fixture
def publish(models_dir: Path, encoder: Encoder, policies: dict[str, Policy]) -> Publish:
    """publish(when, policy=…): a version by class centroids, of `bank` unless it is told otherwise."""
    return lambda when, policy=None: published(models_dir, encoder, policy or policies["bank"], when)


@pytest.fixture
def make_verdict() -> Callable[..., Verdict]:
    """make_verdict(*labels, abstention=…)."""

    def make(*labels: str, abstention: Abstention | None = None, classifier: str = "safe") -> Verdict:
        return Verdict(
            classifier=classifier,
            version="v1",
            labels=labels,
            confidence=0.9,
            scores=dict.fromkeys(labels, 0.9),
            abstention=abstention,
        )

    return make


@pytest.fixture
def make_answer() -> Callable[..., Answer]:
    """make_answer(text=…, status=…, events=[…], then=error): an upstream's answer, whole or streamed."""

    def make(
        body: bytes = b'{"model":"m","choices":[]}',
        *,
        status: int = 200,
        headers: Headers | None = None,
        events: Sequence[bytes] | None = None,
        then: Exception | None = None,
    ) -> Answer:
        async def chunks() -> AsyncIterator[bytes]:
            for event in events or ():
                yield event
            if then is not None:
                raise then

        if events is not None:
            return Answer(status=200, headers=headers or [], chunks=chunks())
        return Answer(status=status, headers=headers or [(b"content-type", b"application/json")], body=body)

    return make


@pytest.fixture
def fake_upstream() -> type[FakeUpstream]:
    """fake_upstream([answers…]): a fake with the real Protocol."""
    return FakeUpstream


@pytest.fixture
def memory_store() -> MemoryStore:
    """A store in memory."""
    return MemoryStore()


@pytest.fixture
def prices() -> PriceTable:
    """`dear` at $10 and $40, `cheap` at $1 and $4 a million; `unpriced` has no price."""
    return PRICES


@pytest.fixture
def wire(
    load: Load, policies: dict[str, Policy], memory_store: MemoryStore, tmp_path: Path
) -> Iterator[Callable[..., Wired]]:
    """wire(rules=yaml, upstreams={…}, …): a gateway on fake classifiers and the given upstreams (echo by default).

    served: the wire format.
    """
    opened = ExitStack()

    def make(
        rules: str = "",
        *,
        upstreams: Mapping[str, Upstream] | None = None,
        models: str = "",
        base: str = BASE,
        access_key: str = "",
        max_body_bytes: int = 1_000_000,
        max_answer_bytes: int = 1_000_000,
        draw: Callable[[], float] = random.random,
        served: Wire = CHAT,
    ) -> Wired:
        text = dedent(base) + dedent(models) + dedent(rules)
        loaded = load(text)
        metrics = Metrics()
        targets = upstreams or {"one": EchoUpstream("one"), "two": EchoUpstream("two")}
        routes = Routes(loaded.settings.models)
        writer = LedgerWriter(memory_store, on_failure=metrics.ledger_failures.inc, on_lost=metrics.ledger_lost.inc)
        compiled = compile_rules(loaded.settings.rules, policies, loaded.replies)
        classify = FakeClassify(policies)
        owner = Owner(ContractStore(tmp_path / "contracts.db"), draw=draw, first=routes.first)
        notional = {name: upstream.notional for name, upstream in targets.items()}
        forwarder = Forwarder(targets, metrics)
        recorder = Recorder(writer=writer, metrics=metrics, prices=PRICES, routes=routes, notional=notional)
        file, content = tmp_path / "contracts.db", loaded.settings.content
        logs = partial(Writer, on_failure=metrics.ledger_failures.inc, on_lost=metrics.kept_calls_lost.inc)
        call_log = CallLog(CallStore(file), logs, keeps=content.calls)
        ask = lambda context, readings: classify(readings, 1.0, context.runtime)  # noqa: E731
        texts, recent = TextLog(TextStore(file), logs, content, ask=ask), RecentLog(RecentStore(file), logs, content)
        in_flight = InFlight()
        snapshots = CurrentSnapshot(Snapshot(rules=compiled))
        audits = Audits(owner=owner, routes=routes, metrics=metrics, in_flight=in_flight)
        classifiers = TimedClassifiers(classify, metrics, within_s=1.0)
        pipeline = Pipeline(
            planner=Planner(current=snapshots, routes=routes, classifiers=classifiers, audits=audits),
            classifiers=classifiers,
            routes=routes,
            forwarder=forwarder,
            recorder=recorder,
            repeats=RepeatCalls(forwarder=forwarder, recorder=recorder),
            call_log=call_log,
            review_log=texts,
            recent_log=recent,
            metrics=metrics,
            audits=audits,
            judge=Judge(forwarder=forwarder, recorder=recorder, routes=routes, metrics=metrics),
            safety_audits=SafetyAudits(owner=owner, routes=routes, metrics=metrics, in_flight=in_flight),
            max_answer_bytes=max_answer_bytes,
        )
        for one in (owner, call_log, texts, recent, writer):
            opened.enter_context(closing(one))
        endpoint = CallEndpoint(served, pipeline, metrics, max_body_bytes=max_body_bytes)
        app = Entrance(lambda *_: (endpoint, True), Access(access_key), in_flight)
        return Wired(app, metrics, classify, writer, memory_store, targets, owner, call_log, texts, recent)

    with opened:
        yield make


@pytest.fixture
def ask() -> Ask:
    """ask(app, body, …): one request straight into an ASGI app.

    gone: an event after which the client is away; parts: the body in parts; path, method, headers as they are.
    """

    async def call(
        app: ASGIApp,
        body: bytes = b"",
        *,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        headers: Sequence[tuple[bytes, bytes]] = (),
        parts: Sequence[bytes] | None = None,
        gone: asyncio.Event | None = None,
        on_part: Callable[[bytes], None] | None = None,
    ) -> Answered:
        answered = Answered()
        left = list(parts if parts is not None else [body])
        away = gone or asyncio.Event()
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1"), *headers],
            "http_version": "1.1",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
            "root_path": "",
        }

        async def receive() -> dict[str, Any]:
            if left:
                return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or parts == []}
            await away.wait()
            return {"type": "http.disconnect"}

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answered.status = message["status"]
                answered.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
                return
            answered.parts.append(message.get("body", b""))
            answered.ended = not message.get("more_body", False)
            if on_part is not None:
                on_part(answered.parts[-1])

        await app(scope, receive, send)
        return answered

    return call


@pytest.fixture(autouse=True)
def _asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call is repeated by chance."""
    monkeypatch.setattr("gateway.contracts.audit.ASK_AGAIN", 0.0)


@pytest.fixture
def asked_twice(_asked_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call that certifies is repeated."""
    monkeypatch.setattr("gateway.contracts.audit.ASK_AGAIN", 1.0)


@pytest.fixture
def serving() -> Serving:
    """serving(app, …): the app on a real port, behind the gateway's own protocol; gives the base URL.

    drain_s: for requests in flight at the end; all the time they need unless it is told otherwise.
    """

    @asynccontextmanager
    async def serve(
        app: ASGIApp,
        *,
        header_time_s: float = 10.0,
        body_time_s: float = 30.0,
        drain_s: int | None = None,
        idle_s: int = 75,
    ) -> AsyncIterator[str]:
        listener = bind("127.0.0.1", 0)
        times = {"header_time_s": header_time_s, "body_time_s": body_time_s}
        config = uvicorn.Config(
            app,
            http=type("Timed", (Connection,), times),
            ws="none",
            access_log=False,
            log_config=None,
            timeout_graceful_shutdown=drain_s,
            timeout_keep_alive=idle_s,
        )
        server = Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task

    return serve


@pytest.fixture
def make_rule() -> Callable[..., Rule]:
    """make_rule(then={label: Act…}, unsure=…, unread=…, late=…, broken=…, …): a rule of the safety classifier."""

    def make(
        then: Mapping[str, Act] | None = None,
        *,
        name: str = "r",
        unsure: Act = Act.FORWARD,
        language: Act = Act.FORWARD,
        unread: Act = Act.BLOCK,
        late: Act = Act.ERROR,
        broken: Act = Act.BLOCK,
        models: tuple[str, ...] = (),
        system: str | None = None,
    ) -> Rule:
        return Rule(
            name=name,
            classifier="safe",
            models=frozenset(models),
            system=None if system is None else PromptPatterns.of([system]),
            roles=frozenset({"user"}),
            last_turn=False,
            output=False,
            then={label: Action(act=act, text=label) for label, act in (then or {}).items()},
            otherwise={
                "unsure": Action(act=unsure, text="unsure"),
                "language": Action(act=language, text="language"),
                "unread": Action(act=unread, text="unread"),
                "late": Action(act=late),
                "broken": Action(act=broken, text="broken"),
            },
            names=LabelNames(()),
            template=None,
            taxonomy={},
        )

    return make
