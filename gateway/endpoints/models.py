"""GET /v1/models and /v1/models/{id}: the models that clients may ask for."""

from typing import Any

from fastapi import APIRouter

from gateway.engine import Engine
from gateway.errors import ModelNotFound


def router(engine: Engine, started: int) -> APIRouter:
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
