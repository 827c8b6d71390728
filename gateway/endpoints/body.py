"""Bodies of the endpoints that FastAPI serves: bounded, and answered as bytes."""

from typing import Any

import msgspec
from fastapi import Request, Response

from gateway.endpoints.asgi import read_body


async def bounded_body(request: Request) -> bytes:
    """The body, within limits.body and limits.body_time."""
    limits = request.app.state.limits
    return await read_body(request.scope, request.receive, max_bytes=limits.body, max_s=limits.body_time)


def json_response(value: Any) -> Response:
    """A struct or mapping as a JSON answer."""
    return Response(msgspec.json.encode(value), media_type="application/json")
