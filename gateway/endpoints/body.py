"""Bodies of the endpoints that FastAPI serves: bounded, and answered as bytes."""

from typing import Any

import msgspec
from fastapi import Request, Response

from gateway.asgi import read_body


async def bounded_body(request: Request) -> bytes:
    """The body, within limits.body."""
    return await read_body(request.scope, request.receive, max_bytes=request.app.state.limits.body)


def json_response(value: Any) -> Response:
    """A struct or mapping as a JSON answer."""
    return Response(msgspec.json.encode(value), media_type="application/json")
