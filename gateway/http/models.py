"""GET /v1/models and /v1/models/{id}, the models open to clients, in OpenAI's shape or Anthropic's; GET /health, /ready
and /metrics."""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from msgspec import DecodeError, Struct
from msgspec.json import decode
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.context import UpstreamModel
from gateway.errors import ApiError, ModelNotFound
from gateway.http.direct import Engine, json_response
from gateway.http.passthrough import Passthrough
from gateway.ledger.writer import LedgerWriter
from gateway.upstreams.base import UpstreamCall
from gateway.upstreams.openai import OpenAIUpstream

_log = logging.getLogger(__name__)
_REMEMBERED_S: Final = 300.0
_ASKED_AGAIN_S: Final = 30.0
"""After an upstream did not say which models it has."""
_WAIT_S: Final = 2.0
_MOST_S: Final = 2**32
"""No model was made later, in Unix seconds."""
_ANTHROPIC: Final = "anthropic-version"


class _List(Struct):
    data: list[dict[str, Any]]


class UpstreamModels:
    """The models of the upstream that gets names without a line of their own, remembered for minutes."""

    def __init__(self, upstream: OpenAIUpstream | None = None) -> None:
        self._upstream = upstream
        self._models: Mapping[str, dict[str, Any]] = {}
        self._due_s = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def get(self) -> Mapping[str, dict[str, Any]]:
        """Its models by id; none where it fails, or is slow. Requests wait for one question together."""
        if self._upstream is not None and time.monotonic() >= self._due_s:
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask(self._upstream))
            await asyncio.wait({self._asking})
        return self._models

    async def _ask(self, upstream: OpenAIUpstream) -> None:
        question = UpstreamCall(model=UpstreamModel(""), body=b"", stream=False, method="GET", path="/models")
        self._models = {}
        try:
            async with asyncio.timeout(_WAIT_S):
                answer = await upstream.send(question)
            listed = decode(answer.body, type=_List).data if answer.status == 200 else []
            self._models = {model["id"]: model for model in listed if isinstance(model.get("id"), str)}
        except (ApiError, TimeoutError, DecodeError, RecursionError) as error:
            _log.warning("upstream %s does not tell its models (%s)", upstream.name, type(error).__name__)
        finally:
            self._due_s = time.monotonic() + (_REMEMBERED_S if self._models else _ASKED_AGAIN_S)
            self._asking = None


def model_routes(
    engine: Engine, started: int, upstream: UpstreamModels, passthrough: Passthrough | None
) -> list[Route]:
    """The models' endpoints; `started` (Unix seconds) is given as the creation time of the file's models. passthrough:
    where a model that is in no list is asked for."""

    def own(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": started, "owned_by": "offramp"}

    async def listed() -> Mapping[str, dict[str, Any]]:
        # a name of the file that is not open to clients stays hidden
        theirs = {name: model for name, model in (await upstream.get()).items() if not engine.routes.known(name)}
        return {name: own(name) for name in engine.routes.public} | theirs

    async def list_models(request: Request) -> Response:
        found = list((await listed()).values())
        if _ANTHROPIC not in request.headers:
            return json_response({"object": "list", "data": found})
        first, last = (found[0]["id"], found[-1]["id"]) if found else (None, None)
        data = [_anthropic(model) for model in found]
        return json_response({"data": data, "has_more": False, "first_id": first, "last_id": last})

    async def get_model(request: Request) -> Response:
        name = request.path_params["name"]
        model = own(name) if name in engine.routes.public else (await listed()).get(name)
        if model is not None:
            return json_response(_anthropic(model) if _ANTHROPIC in request.headers else model)
        if (
            not engine.routes.known(name)
            and passthrough is not None
            and passthrough.names("models")
            and "/" not in name
        ):
            return cast("Response", passthrough)
        raise ModelNotFound(f"The model {name!r} does not exist here.", param="model")

    return [Route("/models", list_models), Route("/models/{name:path}", get_model)]


def _anthropic(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model in Anthropic's shape."""
    created = model.get("created")
    seconds = created if isinstance(created, int) and 0 <= created < _MOST_S else 0
    at = model.get("created_at") or datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    name = model.get("display_name") or model["id"]
    return {"type": "model", "id": model["id"], "display_name": name, "created_at": at}


def status_routes(engine: Engine, writer: LedgerWriter) -> list[Route]:
    """What an operator asks: whether the process lives, whether it can serve, and its metrics."""

    async def health(_: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(_: Request) -> Response:
        status = "ready" if writer.healthy else "the ledger cannot be written"
        versions = dict(engine.current.snapshot.versions)
        pending = engine.recorder.pending
        answer = json_response({"status": status, "classifiers": versions, "ledger_pending_rows": pending})
        answer.status_code = 200 if writer.healthy else 503
        return answer

    async def metrics(_: Request) -> Response:
        engine.recorder.flush()
        return Response(await asyncio.to_thread(engine.metrics.text), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)]
