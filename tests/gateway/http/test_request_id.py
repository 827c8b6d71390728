import re
from typing import Any

from gateway.context import REQUEST_ID, new_context, new_request_id
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


async def test_a_lifespan_passes_through() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    await RequestId(app)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == [{"type": "lifespan"}]


def test_ids_are_fresh_and_short() -> None:
    ids = {new_request_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {(len(one), one[:4]) for one in ids} == {(28, "req_")}


def test_a_context_starts_as_a_forward_that_cost_nothing() -> None:
    record = new_context("req_1", "chat.completions", "anonymous").record
    assert (record.decision, record.spent_usd, record.saved_usd, record.status) == ("forward", 0.0, 0.0, 200)
    assert record.at > 1_700_000_000
