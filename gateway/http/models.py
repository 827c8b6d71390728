"""GET /v1/models and /v1/models/{id}, the models open to clients; GET /health, /ready and /metrics."""

from typing import Any

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.errors import ModelNotFound
from gateway.http.direct import Engine
from gateway.ledger.writer import LedgerWriter


def models_router(engine: Engine, started: int) -> APIRouter:
    """The endpoints; `started` (Unix seconds) stands as the models' creation time."""
    api = APIRouter()

    def model(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": started, "owned_by": "offramp"}

    @api.get("/models", summary="List models")
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": [model(name) for name in engine.routes.public]}

    @api.get("/models/{name:path}", summary="One model")
    async def get_model(name: str) -> dict[str, Any]:
        if name not in engine.routes.public:
            raise ModelNotFound(f"The model {name!r} does not exist here.", param="model")
        return model(name)

    return api


def status_router(engine: Engine, writer: LedgerWriter) -> APIRouter:
    """The endpoints."""
    api = APIRouter()

    @api.get("/health", summary="The process lives")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @api.get("/ready", summary="Requests can be served: classifiers loaded, ledger writable")
    async def ready(response: Response) -> dict[str, object]:
        response.status_code = 200 if writer.healthy else 503
        return {
            "status": "ready" if writer.healthy else "the ledger cannot be written",
            "classifiers": dict(engine.in_use.edition.versions),
            "ledger_pending_rows": writer.pending,
        }

    @api.get("/metrics", summary="Prometheus metrics")
    def metrics() -> Response:
        return Response(engine.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return api
