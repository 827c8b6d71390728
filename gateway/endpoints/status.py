"""GET /health, /ready and /metrics."""

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from gateway.engine import Engine
from gateway.ledger.writer import LedgerWriter


def router(engine: Engine, writer: LedgerWriter) -> APIRouter:
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
