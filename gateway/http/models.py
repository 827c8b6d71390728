"""GET /v1/models and /v1/models/{id}, the models open to clients; GET /health, /ready and /metrics."""

from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import ModelNotFound
from gateway.http.direct import Engine, json_response
from gateway.ledger.writer import LedgerWriter


def model_routes(engine: Engine, started: int) -> list[Route]:
    """The models' endpoints; `started` (Unix seconds) is given as the models' creation time."""

    def model(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": started, "owned_by": "offramp"}

    async def list_models(_: Request) -> Response:
        return json_response({"object": "list", "data": [model(name) for name in engine.routes.public]})

    async def get_model(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in engine.routes.public:
            raise ModelNotFound(f"The model {name!r} does not exist here.", param="model")
        return json_response(model(name))

    return [Route("/models", list_models), Route("/models/{name:path}", get_model)]


def status_routes(engine: Engine, writer: LedgerWriter) -> list[Route]:
    """What an operator asks: whether the process lives, whether it can serve, and its metrics."""

    async def health(_: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(_: Request) -> Response:
        status = "ready" if writer.healthy else "the ledger cannot be written"
        versions = dict(engine.current.snapshot.versions)
        answer = json_response({"status": status, "classifiers": versions, "ledger_pending_rows": writer.pending})
        answer.status_code = 200 if writer.healthy else 503
        return answer

    def metrics(_: Request) -> Response:
        return Response(engine.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", metrics)]
