"""create_app: the only composition root. Everything is built here and passed in."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

import gateway
from classifiers import Reading, Runtime, Verdict, Worker
from gateway.config.load import Loaded
from gateway.config.prices import PriceTable
from gateway.config.settings import OpenAISettings
from gateway.context import REQUEST_ID, RequestContext
from gateway.contracts.audit import Audits
from gateway.contracts.contract import Phase
from gateway.contracts.owner import Owner
from gateway.contracts.repeat_calls import RepeatCalls
from gateway.contracts.store import ContractStore
from gateway.drain import InFlight
from gateway.errors import CLIENT_CLOSED, ApiError, InternalError, MethodNotAllowed, NotFound, no_such_path
from gateway.http import classify, models, moderations
from gateway.http.asgi import ClientGone, error_at
from gateway.http.auth import Access
from gateway.http.calls import CallEndpoint
from gateway.http.direct import Engine
from gateway.http.entrance import Entrance
from gateway.http.models import UpstreamModels
from gateway.http.passthrough import Passthrough, StoredResponses
from gateway.judge.judge import Judge
from gateway.judge.resolve import SafetyAudits
from gateway.ledger.call_log import CallLog, RecentLog, TextLog
from gateway.ledger.call_store import CallStore, RecentStore, TextStore
from gateway.ledger.recorder import BATCH_S, Recorder
from gateway.ledger.writer import Appends, LedgerWriter, Writer
from gateway.log import RequestLog
from gateway.metrics.observe import Metrics
from gateway.pipeline import Pipeline
from gateway.plan import Classify, Planner, TimedClassifiers
from gateway.protocols.served import WIRES
from gateway.protocols.wire import Wire
from gateway.record import Record
from gateway.requests.memory import ResponseMemory
from gateway.routes import Routes
from gateway.serving import zero
from gateway.serving.reload import Reloader
from gateway.serving.retention import Retention
from gateway.serving.retrain import Retrainer
from gateway.serving.snapshot import CurrentSnapshot, build_snapshot
from gateway.upstreams.dispatch import Forwarder, build_upstreams, streaming
from gateway.upstreams.openai import MAX_ANSWER_BYTES, TRAVELS

_log = logging.getLogger(__name__)
_TICK_S = 1.0
_LEAVE_S = 5.0
"""For requests that the drain has cancelled, to write down how they ended."""
_PAGES = ("/docs", "/redoc", "/openapi.json")


def create_app(
    loaded: Loaded,
    *,
    runtime: Runtime | None,
    store: Appends[Record],
    contracts: ContractStore,
    prices: PriceTable,
    log: RequestLog | None = None,
) -> ASGIApp:
    """The gateway as an ASGI app. runtime: the classifiers that the rules bind, loaded and self-tested. log: of
    requests. Raises LedgerError where the contracts cannot be read."""
    services = _Services(loaded, runtime, store, contracts, prices, log=log)
    settings, limits = loaded.settings, loaded.settings.limits
    engine = Engine(
        current=services.current,
        routes=services.routes,
        classifiers=services.classifiers,
        metrics=services.metrics,
        recorder=services.recorder,
        max_body_bytes=limits.body,
    )
    remote = [one for one in settings.upstreams.values() if isinstance(one, OpenAISettings)]
    travels = TRAVELS.union(name.encode() for one in remote for name in one.headers)
    pipeline = services.pipeline()
    hot: dict[str, ASGIApp] = {
        wire.endpoint: CallEndpoint(wire, pipeline, services.metrics, max_body_bytes=limits.body, travels=travels)
        for wire in WIRES
    }
    rest = _api(engine, services.writer, services.lifespan, services.passthrough, services.listed)
    stored = StoredResponses(services.memory, services.upstreams, services.passthrough)
    paths = _Paths(hot, rest, services.passthrough, stored)
    keeps = any(one.credentials == "client" for one in remote)
    access = Access(settings.access_key, origins=settings.cors, keeps=keeps)
    app: ASGIApp = Entrance(paths.serving, access, services.in_flight, log)
    if settings.cors:
        # a page asks first whether it may (a preflight), without its key
        app = CORSMiddleware(
            app,
            settings.cors,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
            allow_private_network=True,
        )
    return app


class _Services:
    """What requests share, built once."""

    def __init__(
        self,
        loaded: Loaded,
        runtime: Runtime | None,
        store: Appends[Record],
        contracts: ContractStore,
        prices: PriceTable,
        *,
        log: RequestLog | None,
    ) -> None:
        settings, metrics = loaded.settings, Metrics()
        self.loaded, self.metrics = loaded, metrics
        metrics.build_info.labels(gateway.__version__).set(1)
        self.routes = Routes(settings.models)
        self.worker = None if runtime is None else Worker(runtime)
        classify: Classify = no_verdicts if self.worker is None else self.worker.classify
        limits = settings.limits
        self.classifiers = TimedClassifiers(
            classify, metrics, within_s=limits.classify_time, longest=limits.text, wait_s=self.wait_s
        )
        self.writer = LedgerWriter(store, on_failure=metrics.ledger_failures.inc, on_lost=metrics.ledger_lost.inc)
        metrics.watch(worker=self.worker, runtime=runtime, pending=lambda: self.recorder.pending)
        self.current = CurrentSnapshot(build_snapshot(loaded, runtime))
        self.memory, self.upstreams = ResponseMemory(), build_upstreams(settings)
        upstreams = self.upstreams
        self.recorder = self._recorder(prices, log)
        self.forwarder = Forwarder(upstreams, metrics)
        self.listed = UpstreamModels(streaming(upstreams.get(self.routes.other or "")))
        self.passthrough = Passthrough(settings, upstreams, recorder=self.recorder, metrics=metrics)
        self.repeats = RepeatCalls(forwarder=self.forwarder, recorder=self.recorder)
        self.in_flight = InFlight()
        self.call_log, self.review_log, self.recent_log = self._kept(contracts.path)
        self.owner = Owner(
            contracts,
            on_move=self._count_move,
            on_failure=metrics.contract_failures.inc,
            alone=any(rule.contract for rule in settings.rules),
            first=self.routes.first,
        )
        bound = [rule.name for rule in settings.rules if rule.contract]
        metrics.watch_contracts(self.owner, bound)

    def wait_s(self) -> float:
        """How long the classifiers' queue is."""
        return 0.0 if self.worker is None else self.worker.wait_s

    def _recorder(self, prices: PriceTable, log: RequestLog | None) -> Recorder:
        """What closes records; the series that they move are there from the start."""
        notional = {name: upstream.notional for name, upstream in self.upstreams.items()}
        zero.initialise_series(self.metrics, self.loaded.settings.models, self.current.snapshot.rules, notional)
        return Recorder(
            writer=self.writer,
            metrics=self.metrics,
            prices=prices,
            routes=self.routes,
            notional=notional,
            batch_s=BATCH_S,
            log=log,
        )

    def _count_move(self, rule: str, phase: Phase) -> None:
        self.metrics.contract_moves.labels(rule, phase.value).inc()

    def _kept(self, ledger: Path) -> tuple[CallLog, TextLog, RecentLog]:
        """What keeps calls, texts for review, and those of the latest calls."""
        content, metrics = self.loaded.settings.content, self.metrics
        writer = partial(Writer, on_failure=metrics.ledger_failures.inc, on_lost=metrics.kept_calls_lost.inc)
        calls = CallLog(CallStore(ledger), writer, keeps=content.calls)
        texts = TextLog(TextStore(ledger), writer, content, ask=self._ask_again)
        return calls, texts, RecentLog(RecentStore(ledger), writer, content)

    async def _ask_again(self, context: RequestContext, readings: Sequence[Reading]) -> Sequence[Verdict]:
        # not timed: the request's record is closed by now
        ask = self.classifiers
        return await ask.classify(readings, ask.within_s, context.runtime, context.client)

    def pipeline(self) -> Pipeline:
        """The way of a request."""
        forwarder, recorder, routes, metrics = self.forwarder, self.recorder, self.routes, self.metrics
        audits = Audits(owner=self.owner, routes=routes, metrics=metrics, in_flight=self.in_flight)
        return Pipeline(
            planner=Planner(
                current=self.current,
                routes=routes,
                classifiers=self.classifiers,
                audits=audits,
                memory=self.memory,
            ),
            classifiers=self.classifiers,
            routes=routes,
            forwarder=forwarder,
            recorder=recorder,
            metrics=metrics,
            audits=audits,
            judge=Judge(forwarder=forwarder, recorder=recorder, routes=routes, metrics=metrics),
            safety_audits=SafetyAudits(owner=self.owner, routes=routes, metrics=metrics, in_flight=self.in_flight),
            repeats=self.repeats,
            call_log=self.call_log,
            review_log=self.review_log,
            recent_log=self.recent_log,
            max_answer_bytes=MAX_ANSWER_BYTES,
        )

    def _retention(self) -> Retention:
        stores = (self.call_log.store, self.review_log.store, self.recent_log.store)
        return Retention(self.owner, *stores, self.loaded.settings.content)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Does what is due while the gateway serves; then drains, and closes what is open."""
        loaded, worker = self.loaded, self.worker
        due: list[PeriodicTask] = [self.owner]
        retrainer = None
        if worker is not None:
            due.append(Reloader(loaded, worker=worker, current=self.current, metrics=self.metrics))
        if any(rule.retrain for rule in loaded.settings.rules):
            retrainer = Retrainer(loaded=loaded, owner=self.owner, current=self.current, metrics=self.metrics)
            due.append(retrainer)
        ticking = asyncio.gather(
            _tick(due),
            # by itself: it may take minutes, and nothing else is to wait for it
            _tick((self._retention(),)),
            # else the end of one would be taken for that of both
            return_exceptions=True,
        )
        yield
        try:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            training = () if retrainer is None else (retrainer.close(),)
            await asyncio.gather(self.in_flight.drain(_LEAVE_S), *training)
            await self.repeats.close()
            await self.forwarder.close()
            if worker is not None:
                worker.close()
        finally:
            # last, what may still be deleting
            for closing in (self.owner, self.recorder, self.call_log, self.review_log, self.recent_log):
                closing.close()


class PeriodicTask(Protocol):
    """A task that is due now and then."""

    async def tick(self) -> None:
        """Does what is due."""


async def _tick(tasks: Sequence[PeriodicTask]) -> None:
    """Ticks for ever, one task after the other, so that what the command line did is noticed soon: contracts that are
    paused, classifiers that were trained."""
    while True:
        await asyncio.sleep(_TICK_S)
        for task in tasks:
            try:
                await task.tick()
            except Exception:  # noqa: BLE001 - a fault of one must end no other's: a pause would go unnoticed
                _log.exception("a look at what is due")


async def no_verdicts(readings: Sequence[Reading], deadline_s: float, _: Runtime | None, __: str) -> list[Verdict]:
    """Where no rule binds a classifier there is nothing to ask."""
    raise NotFound(f"no classifier is loaded here ({len(readings)} asked within {deadline_s} s)")


class _Paths:
    """Who serves which path: calls of models, and what is passed on, before Starlette's router."""

    def __init__(
        self, hot: Mapping[str, ASGIApp], rest: ASGIApp, passing: Passthrough, stored: StoredResponses
    ) -> None:
        """hot: by the wire format's endpoint."""
        self._hot, self._rest, self._passing, self._stored = hot, rest, passing, stored

    def serving(self, scope: Scope, wire: Wire | None) -> tuple[ASGIApp, bool]:
        """As of Entrance."""
        if scope["type"] == "http":
            path, method = scope["path"], scope["method"]
            if wire is None and self._stored.knows(path):
                return self._stored, True
            if (wire is None or method != "POST") and self._passing.takes(method, path):
                return self._passing, True
            if wire is not None:
                return self._hot[wire.endpoint], True
        return self._rest, False


def _api(
    engine: Engine,
    writer: LedgerWriter,
    lifespan: Lifespan[Starlette] | None,
    passthrough: Passthrough | None = None,
    listed: UpstreamModels | None = None,
) -> Starlette:
    routes = [
        *models.model_routes(engine, int(time.time()), listed or UpstreamModels(), passthrough),
        moderations.moderations_route(engine, passthrough),
        classify.classify_route(engine),
    ]
    status = models.status_routes(engine, writer)
    pages = _Pages({**{f"/v1{route.path}": route for route in routes}, **{route.path: route for route in status}})
    handlers: dict[Any, Any] = {
        ApiError: _api_error,
        HTTPException: partial(_http_error, passthrough),
        ClientGone: _client_gone,
        Exception: _internal_error,
    }
    api = Starlette(
        routes=[Mount("/v1", routes=routes), *routes, *status, *(Route(path, pages) for path in _PAGES)],
        exception_handlers=handlers,
        lifespan=lifespan,
    )
    api.router.redirect_slashes = False
    return api


class _Pages:
    """FastAPI's pages about the endpoints, built when they are first asked for: its import takes 0.2 s."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        """routes: by path."""
        self._routes = routes
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            self._app = await asyncio.to_thread(self._build)
        app: ASGIApp = self._app
        await app(scope, receive, send)

    def _build(self) -> ASGIApp:
        from fastapi import FastAPI

        app = FastAPI(
            title="Offramp",
            version=gateway.__version__,
            description="Calls of models take their providers' own requests and are served before this router.",
        )
        for path, route in self._routes.items():
            app.add_api_route(path, route.endpoint, methods=sorted((route.methods or set()) - {"HEAD"}))
        return app


async def _api_error(request: Request, error: ApiError) -> Response:
    body = error_at(request.scope, error)
    return Response(body, status_code=error.status, headers=error.headers(), media_type="application/json")


async def _client_gone(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED)


async def _http_error(passthrough: Passthrough | None, request: Request, error: HTTPException) -> Response:
    path = request.scope["path"]
    if error.status_code == MethodNotAllowed.status:
        answer = await _api_error(request, MethodNotAllowed(f"{request.method} is not allowed for {path}"))
        answer.headers.update(error.headers or {})
        return answer
    mend = no_such_path if passthrough is None else passthrough.no_such_path
    return await _api_error(request, mend(request.method, path))


async def _internal_error(request: Request, error: Exception) -> Response:
    request_id = request.scope[REQUEST_ID]
    _log.error("%s: a fault of the gateway's own", request_id, exc_info=error)
    return await _api_error(request, InternalError(f"internal error; the request's id is {request_id}"))
