"""create_app: the only composition root. Everything is built here and passed in."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

import gateway
from classifiers import Reading, Runtime, Verdict, Worker
from gateway.config.load import Loaded
from gateway.context import CLIENT_CLOSED, REQUEST_ID
from gateway.contracts.audit import Audits
from gateway.contracts.owner import Owner
from gateway.contracts.repeat_calls import RepeatCalls
from gateway.contracts.safety_owner import SafetyOwner
from gateway.contracts.safety_store import SafetyStore
from gateway.contracts.store import ContractStore
from gateway.drain import InFlight
from gateway.errors import ApiError, BadRequest, InternalError, MethodNotAllowed, NotFound, error_body
from gateway.http import classify, models, moderations
from gateway.http.asgi import ClientGone
from gateway.http.auth import Auth
from gateway.http.chat import ChatEndpoint
from gateway.http.direct import Engine
from gateway.http.request_id import RequestId
from gateway.judge.judge import Judge
from gateway.judge.resolve import SafetyAudits
from gateway.ledger.call_log import CallLog
from gateway.ledger.call_store import CallStore
from gateway.ledger.prices import PriceTable
from gateway.ledger.record import Record
from gateway.ledger.recorder import Recorder
from gateway.ledger.writer import Appends, LedgerWriter
from gateway.metrics import zero
from gateway.metrics.observe import Metrics
from gateway.pipeline import Pipeline
from gateway.plan import Classify, Planner, TimedClassifiers
from gateway.serving.reload import Reloader
from gateway.serving.retention import Retention
from gateway.serving.retrain import Retrainer
from gateway.serving.snapshot import Snapshots, edition
from gateway.upstreams.base import Routes
from gateway.upstreams.build import build_upstreams
from gateway.upstreams.dispatch import Forwarder
from gateway.upstreams.openai import MAX_ANSWER_BYTES

_log = logging.getLogger(__name__)
_LOOK_S = 1.0
_LEAVE_S = 5.0
"""For requests that the drain has cancelled, to write down how they ended."""
_HOT_PATHS = frozenset({"/v1/chat/completions", "/chat/completions"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Services:
    """What requests share, built once."""

    loaded: Loaded
    metrics: Metrics
    routes: Routes
    snapshots: Snapshots
    worker: Worker | None
    classify: Classify
    writer: LedgerWriter
    forwarder: Forwarder
    recorder: Recorder
    repeats: RepeatCalls
    owner: Owner
    safety: SafetyOwner
    keeping: CallLog
    in_flight: InFlight


def create_app(
    loaded: Loaded, *, runtime: Runtime | None, store: Appends[Record], contracts: ContractStore, prices: PriceTable
) -> ASGIApp:
    """The gateway as an ASGI app. runtime: the classifiers that the rules bind, loaded and self-tested.

    Raises LedgerError where the contracts cannot be read.
    """
    services = _services(loaded, runtime, store, contracts, prices)
    engine = Engine(
        in_use=services.snapshots,
        routes=services.routes,
        classify=services.classify,
        metrics=services.metrics,
        recorder=services.recorder,
        classify_time_s=loaded.settings.limits.classify_time,
    )
    api = _api(engine, services.writer, partial(_lifespan, services))
    api.state.limits = loaded.settings.limits
    hot = ChatEndpoint(_pipeline(services), services.metrics, max_body_bytes=loaded.settings.limits.body)
    return RequestId(Auth(_Dispatcher(hot, api, services.in_flight), loaded.settings.access_key))


def _services(
    loaded: Loaded, runtime: Runtime | None, store: Appends[Record], contracts: ContractStore, prices: PriceTable
) -> _Services:
    settings = loaded.settings
    metrics = Metrics()
    metrics.build_info.labels(gateway.__version__).set(1)
    routes = Routes(settings.models)
    worker = None if runtime is None else Worker(runtime)
    writer = LedgerWriter(store, on_failure=metrics.ledger_failures.inc, on_lost=metrics.ledger_lost.inc)
    metrics.watch(worker=worker, runtime=runtime, writer=writer)
    snapshots = Snapshots(edition(loaded, runtime))
    upstreams = build_upstreams(settings)
    notional = {name: upstream.notional for name, upstream in upstreams.items()}
    zero.stand_at_zero(metrics, settings.models, snapshots.edition.rules, notional)
    forwarder = Forwarder(upstreams, metrics)
    recorder = Recorder(writer=writer, metrics=metrics, prices=prices, routes=routes, notional=notional)
    owner, safety = _owners(loaded, contracts, snapshots, routes, metrics)
    keeping = CallLog(
        CallStore(contracts.path),
        keeps=settings.content.calls,
        on_failure=metrics.ledger_failures.inc,
        on_lost=metrics.kept_calls_lost.inc,
    )
    return _Services(
        loaded=loaded,
        metrics=metrics,
        routes=routes,
        snapshots=snapshots,
        worker=worker,
        classify=no_verdicts if worker is None else worker.classify,
        writer=writer,
        forwarder=forwarder,
        recorder=recorder,
        repeats=RepeatCalls(forwarder=forwarder, recorder=recorder),
        owner=owner,
        safety=safety,
        keeping=keeping,
        in_flight=InFlight(),
    )


def _owners(
    loaded: Loaded, contracts: ContractStore, snapshots: Snapshots, routes: Routes, metrics: Metrics
) -> tuple[Owner, SafetyOwner]:
    owner = Owner(
        contracts,
        on_move=lambda scope, contract: metrics.contract_moves.labels(scope.rule, contract.phase.value).inc(),
        on_failure=metrics.contract_failures.inc,
        in_use=lambda scope: snapshots.edition.versions.get(scope.classifier) == scope.version,
        alone=any(rule.contract for rule in loaded.settings.rules),
        first=routes.first,
    )
    safety = SafetyOwner(
        SafetyStore(contracts.path),
        on_move=lambda scope, side: metrics.contract_moves.labels(scope.rule, side.phase.value).inc(),
        on_failure=metrics.contract_failures.inc,
        first=routes.first,
    )
    rules = snapshots.edition.rules
    bound = [rule.name for rule in rules if rule.terms is not None]
    metrics.watch_contracts(owner, bound)
    metrics.watch_refusals(owner, bound)
    metrics.watch_contracts(safety, [rule.name for rule in rules if rule.safety is not None])
    return owner, safety


def _pipeline(services: _Services) -> Pipeline:
    limits = services.loaded.settings.limits
    metrics, routes, in_flight = services.metrics, services.routes, services.in_flight
    forwarder, recorder = services.forwarder, services.recorder
    audits = Audits(owner=services.owner, routes=routes, metrics=metrics, in_flight=in_flight)
    classifiers = TimedClassifiers(services.classify, metrics, within_s=limits.classify_time)
    return Pipeline(
        planner=Planner(in_use=services.snapshots, routes=routes, classifiers=classifiers, audits=audits),
        classifiers=classifiers,
        routes=routes,
        forwarder=forwarder,
        recorder=recorder,
        metrics=metrics,
        audits=audits,
        judge=Judge(forwarder=forwarder, recorder=recorder, routes=routes, metrics=metrics),
        bounds=SafetyAudits(owner=services.safety, routes=routes, metrics=metrics, in_flight=in_flight),
        repeats=services.repeats,
        keeping=services.keeping,
        max_answer_bytes=MAX_ANSWER_BYTES,
    )


@asynccontextmanager
async def _lifespan(services: _Services, _: FastAPI) -> AsyncIterator[None]:
    loaded, snapshots, metrics, worker = services.loaded, services.snapshots, services.metrics, services.worker
    due: list[Looks] = [services.owner, services.safety]
    retrainer = None
    if worker is not None:
        due.append(Reloader(loaded, worker=worker, in_use=snapshots, metrics=metrics))
    if any(rule.retrain for rule in loaded.settings.rules):
        retrainer = Retrainer(loaded, owner=services.owner, in_use=snapshots, metrics=metrics)
        due.append(retrainer)
    looking = asyncio.gather(
        _look(due),
        # by itself: it may take minutes, and nothing else is to wait for it
        _look((Retention(services.owner, services.keeping.store, loaded.settings.content.keep),)),
        # else the end of one would be taken for that of both
        return_exceptions=True,
    )
    yield
    try:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        training = () if retrainer is None else (retrainer.close(),)
        await asyncio.gather(services.in_flight.drain(_LEAVE_S), *training)
        await services.repeats.close()
        await services.forwarder.close()
        if worker is not None:
            worker.close()
    finally:
        # last, what may still be deleting
        for closing in (services.owner, services.safety, services.writer, services.keeping):
            closing.close()


class Looks(Protocol):
    """Something that looks at times whether anything is due."""

    async def look(self) -> None:
        """Does what is due."""


async def _look(looking: Sequence[Looks]) -> None:
    """Looks again and again, one after the other, so that what the command line did is noticed soon: contracts that
    are paused, classifiers that were trained."""
    while True:
        await asyncio.sleep(_LOOK_S)
        for looks in looking:
            try:
                await looks.look()
            except Exception:  # noqa: BLE001 - a fault of one must end no other's looks: a pause would go unnoticed
                _log.exception("a look at what is due")


async def no_verdicts(readings: Sequence[Reading], deadline_s: float, _: Runtime | None) -> list[Verdict]:
    """Where no rule binds a classifier there is nothing to ask."""
    raise NotFound(f"no classifier is loaded here ({len(readings)} asked within {deadline_s} s)")


class _Dispatcher:
    """The hot path before FastAPI's router."""

    def __init__(self, hot: ASGIApp, rest: ASGIApp, in_flight: InFlight) -> None:
        self._hot = hot
        self._rest = rest
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        hot = scope["path"].rstrip("/") in _HOT_PATHS
        await self._in_flight.request((self._hot if hot else self._rest)(scope, receive, send))


def _api(engine: Engine, writer: LedgerWriter, lifespan: Callable[[FastAPI], object]) -> FastAPI:
    api = FastAPI(
        title="Offramp",
        version=gateway.__version__,
        description="POST /v1/chat/completions takes OpenAI's own request and is served before this router.",
        lifespan=lifespan,  # type: ignore[arg-type]
        redirect_slashes=False,
    )
    v1 = APIRouter()
    for router in (models.models_router(engine, int(time.time())), moderations.router(engine), classify.router(engine)):
        v1.include_router(router)
    api.include_router(v1, prefix="/v1")
    api.include_router(v1, include_in_schema=False)
    api.include_router(models.status_router(engine, writer))
    api.add_exception_handler(ApiError, _api_error)  # type: ignore[arg-type]
    api.add_exception_handler(HTTPException, _http_error)  # type: ignore[arg-type]
    api.add_exception_handler(RequestValidationError, _validation_error)  # type: ignore[arg-type]
    api.add_exception_handler(ClientGone, _client_gone)
    api.add_exception_handler(Exception, _internal_error)
    return api


async def _api_error(_: Request, error: ApiError) -> Response:
    return Response(error_body(error), status_code=error.status, headers=error.headers(), media_type="application/json")


async def _client_gone(_: Request, __: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED)


async def _http_error(request: Request, error: HTTPException) -> Response:
    path = request.scope["path"]
    if error.status_code == MethodNotAllowed.status:
        answer = await _api_error(request, MethodNotAllowed(f"{request.method} is not allowed for {path}"))
        answer.headers.update(error.headers or {})
        return answer
    return await _api_error(request, NotFound(f"there is no {request.method} {path} here"))


async def _validation_error(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    return await _api_error(request, BadRequest(f"{field}: {first['msg']}", param=field or None))


async def _internal_error(request: Request, error: Exception) -> Response:
    request_id = request.scope[REQUEST_ID]
    _log.error("%s: a fault of the gateway's own", request_id, exc_info=error)
    return await _api_error(request, InternalError(f"internal error; the request's id is {request_id}"))
