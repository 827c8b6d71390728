"""What was answered before, by its id: `/v1/responses/ID`, for its owner alone.

What was made here is read and deleted here; what an upstream made, there. An answer that rules read, whose passages
they replaced, say, is not fetched again: the upstream has it as it was.
"""

from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from gateway.context import UPSTREAM, Reply
from gateway.errors import ApiError, MethodNotAllowed, NotFound
from gateway.http.asgi import send_error, send_reply
from gateway.http.auth import owner_of
from gateway.http.passthrough import Passthrough
from gateway.protocols.json import encode
from gateway.requests.memory import Remembered, ResponseMemory
from gateway.upstreams.base import Upstream
from gateway.upstreams.dispatch import streaming


class StoredResponses:
    """Responses that are remembered."""

    def __init__(self, memory: ResponseMemory, upstreams: Mapping[str, Upstream], passing: Passthrough) -> None:
        self._memory = memory
        self._upstreams = upstreams
        self._passing = passing

    def knows(self, path: str) -> bool:
        """Whether a path is one of a response that is remembered."""
        return _id_in(path) in self._memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = self._body(scope)
        except ApiError as error:
            await send_error(scope, send, error)
            return
        if body is None:
            await self._passing(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json")]
        await send_reply(send, Reply(headers=headers, body=body))

    def _body(self, scope: Scope) -> bytes | None:
        """The reply; None where the upstream gives it. Raises NotFound and MethodNotAllowed."""
        response, method = _id_in(scope["path"]), scope["method"]
        one = self._memory.find(response, owner_of(scope))
        if one is None:
            raise NotFound(f"no response {response!r} is known")
        part = scope["path"].rstrip("/").partition(response)[2]
        if one.upstream:
            upstream = streaming(self._upstreams[one.upstream])
            if upstream is None:
                raise NotFound(f"upstream {one.upstream} keeps no responses")
            if one.checked and method != "DELETE":
                raise NotFound(f"{response} was read by rules, and is not fetched again past them")
            scope[UPSTREAM] = upstream
        if method == "DELETE":
            self._memory.forget(response)
        return None if one.upstream else _local(response, one, method, part)


def _id_in(path: str) -> str:
    """The id of a response that a path is about; empty for any other path."""
    parts = [part for part in path.removeprefix("/v1").split("/") if part]
    return parts[1] if len(parts) > 1 and parts[0] == "responses" else ""


def _local(response: str, one: Remembered, method: str, part: str) -> bytes:
    if method == "DELETE" and not part:
        return encode({"id": response, "object": "response", "deleted": True})
    if method != "GET":
        raise MethodNotAllowed(f"{method} is not allowed for a response that was made here")
    if not part:
        return one.body
    if part != "/input_items":
        raise NotFound(f"a response that was made here has no {part}")
    items: list[Any] = [*one.items[: len(one.items) - len(one.ids)]][::-1]
    return encode({"object": "list", "data": items, "has_more": False, "first_id": None, "last_id": None})
