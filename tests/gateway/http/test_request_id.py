import re
from typing import Any

from gateway.context import REQUEST_ID
from gateway.http.request_id import RequestId


async def test_every_response_has_the_id_of_its_request(ask: Any) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope[REQUEST_ID])
        await send({"type": "http.response.start", "status": 204, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b""})

    answers = [await ask(RequestId(app), headers=[(b"x-request-id", b"the client's own")]) for _ in range(2)]
    assert [answer.headers["x-request-id"] for answer in answers] == seen
    assert answers[0].headers["a"] == "b"
    assert all(re.fullmatch("req_[0-9a-f]{24}", one) for one in seen)
    assert seen[0] != seen[1]
