from typing import Any

import pytest

from gateway.context import HEADERS, ID_HEADERS, Reply, client_of
from gateway.errors import BadRequest, BodyTooLarge
from gateway.http.asgi import ClientGone, read_body, send_reply


class Client:
    """The two ends of an ASGI connection; sends these messages, keeps what it gets."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.got: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        self.got.append(message)


def test_a_client_is_its_address_whatever_it_sends() -> None:
    headers = [(b"authorization", b"Bearer x"), (b"x-forwarded-for", b"10.0.0.9")]
    assert client_of({"client": ("10.0.0.1", 5), "headers": headers}) == client_of({"client": ("10.0.0.1", 6)})
    assert client_of({"client": ("10.0.0.2", 5)}) != client_of({"client": ("10.0.0.1", 5)})
    assert client_of({"client": None}) == ""


def part(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def read(*messages: dict[str, Any], **headers: bytes) -> bytes:
    scope = {HEADERS: {name.replace("_", "-").encode(): value for name, value in headers.items()}}
    return await read_body(scope, Client(*messages).receive, max_bytes=10)


async def test_a_body_in_parts_is_one() -> None:
    assert await read(part(b"hel", True), part(b"", True), part(b"lo")) == b"hello"
    assert await read(part(b"")) == b""
    assert await read({"type": "http.request"}) == b""
    assert await read(part(b"x" * 10)) == b"x" * 10


@pytest.mark.parametrize("length", [b"11", b"99999999999999999999999"])
async def test_a_body_that_says_it_is_too_large_is_not_read(length: bytes) -> None:
    with pytest.raises(BodyTooLarge, match="over 10 bytes"):
        await read(content_length=length)


async def test_a_body_that_turns_out_too_large_is_not_read_to_its_end() -> None:
    with pytest.raises(BodyTooLarge):
        await read(part(b"x" * 6, True), part(b"x" * 6, True), content_length=b"5")


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"deflate, gzip"])
async def test_a_compressed_body_is_not_taken(encoding: bytes) -> None:
    with pytest.raises(BadRequest, match="compressed"):
        await read(part(b"x"), content_encoding=encoding)


async def test_a_client_that_goes_away_in_mid_body() -> None:
    with pytest.raises(ClientGone):
        await read(part(b"x", True), {"type": "http.disconnect"})


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_stream_is_closed_however_it_ends(breaks: bool) -> None:
    closed = []

    async def chunks() -> Any:
        try:
            yield b"a"
            if breaks:
                raise RuntimeError("a bug")
            yield b"b"
        finally:
            closed.append(True)

    client = Client()
    if breaks:
        with pytest.raises(RuntimeError):
            await send_reply({ID_HEADERS: []}, client.send, Reply(headers=[], chunks=chunks()))
        assert client.got[-1]["more_body"]
    else:
        await send_reply({ID_HEADERS: []}, client.send, Reply(headers=[], chunks=chunks()))
        assert [message.get("body") for message in client.got] == [None, b"a", b"b", b""]
    assert closed == [True]
