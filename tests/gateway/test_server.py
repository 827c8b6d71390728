"""The server on a real port, spoken to byte by byte."""

import asyncio
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from gateway.server import bind

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
BODY = b'{"model":"dear","messages":[{"role":"user","content":"hi"}]}'
RESET = b"reset"
WHOLE = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture
def talk(serving: Any, wire: Any) -> Any:
    """talk(**times): the gateway on a port, and a function that opens a connection to it."""

    @asynccontextmanager
    async def make(**times: Any) -> Any:
        gateway = wire()
        async with serving(gateway.app, **times) as url:
            port = int(url.rpartition(":")[2])
            writers = []

            async def connect() -> Any:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writers.append(writer)
                return reader, writer

            try:
                yield connect, gateway
            finally:
                for writer in writers:
                    writer.close()

    return make


async def reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    length = next(
        (int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length:")), 0
    )
    return int(head.split()[1]), await reader.readexactly(length)


async def rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return RESET


async def test_pipelined_requests_are_answered_in_order(talk: Any) -> None:
    async with talk() as (connect, _):
        reader, writer = await connect()
        writer.write(WHOLE + WHOLE.replace(b'"dear"', b'"none"') + WHOLE)
        assert [(await reply(reader))[0] for _ in range(3)] == [200, 404, 200]


OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"


@pytest.mark.parametrize("offer", [OFFER, OFFER.upper(), OFFER.replace(b"h2c", b"websocket")])
@pytest.mark.parametrize("step", [1, 7, 10_000])
async def test_an_offer_of_another_protocol_is_ignored(talk: Any, offer: bytes, step: int) -> None:
    """Java's HttpClient makes one with every request."""
    whole = WHOLE.replace(b"content-type", offer + b"content-type")
    chunked = HEAD + offer + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    async with talk() as (connect, gateway):
        reader, writer = await connect()
        for request in (whole, chunked, whole):
            for at in range(0, len(request), step):
                writer.write(request[at : at + step])
                await asyncio.sleep(0)
            assert (await reply(reader))[0] == 200
    assert [record.status for record in gateway.records()] == [200] * 3


@pytest.mark.parametrize("begun", [b"", b"POST /v1/", HEAD, HEAD + b"x: 1"])
async def test_headers_that_do_not_end_close_the_connection(talk: Any, begun: bytes) -> None:
    async with talk(header_time_s=0.1) as (connect, gateway):
        reader, writer = await connect()
        writer.write(begun)
        assert await rest(reader) == b""
    assert gateway.records() == []


@pytest.mark.parametrize(
    "headers",
    [
        b"x: " + b"y" * 70_000 + b"\r\n\r\n",
        b"".join(b"x%d: %s\r\n" % (number, b"y" * 1000) for number in range(70)) + b"\r\n",
        b"x: " + b"y" * 200_000,
        b"x" * 200_000,
        b"connection: upgrade\r\nupgrade: h2c\r\nx: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
@pytest.mark.parametrize("before", [b"", WHOLE])
async def test_huge_headers_are_refused(talk: Any, headers: bytes, before: bytes) -> None:
    async with talk() as (connect, gateway):
        reader, writer = await connect()
        writer.write(before)
        if before:
            assert (await reply(reader))[0] == 200
        writer.write(HEAD + headers)
        said = await rest(reader)
        # closed with bytes of the client's unread, the kernel may drop the answer
        assert said.startswith(b"HTTP/1.1 431") or said == RESET
        again, other = await connect()
        other.write(WHOLE)
        assert (await reply(again))[0] == 200
    assert len(gateway.records()) == (2 if before else 1)


async def test_a_body_that_does_not_come_is_given_up(talk: Any) -> None:
    async with talk(body_time_s=0.1) as (connect, gateway):
        reader, writer = await connect()
        writer.write(HEAD + b"content-length: 1000\r\n\r\n" + BODY)
        assert (await rest(reader)).startswith(b"HTTP/1.1 408")
    record = gateway.record()
    assert (record.status, record.error) == (499, "client_closed")


async def test_a_client_that_closes_in_mid_body_is_recorded(talk: Any) -> None:
    async with talk() as (connect, gateway):
        _, writer = await connect()
        writer.write(HEAD + b"content-length: 1000\r\n\r\n" + BODY)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.05)
    assert gateway.record().status == 499


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        HEAD + b"content-length: -5\r\n\r\n",
        HEAD + b"content-length: five\r\n\r\n",
        HEAD + b"x: a\r\n folded\r\n\r\n",
        HEAD.replace(b"\r\n", b"\n") + b"\n",
        b"nonsense\r\n\r\n",
        HEAD + OFFER + b"x: a\r\n folded\r\n\r\n",
        HEAD + OFFER + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"CONNECT elsewhere:443 HTTP/1.1\r\nhost: elsewhere\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        HEAD + b"na me: x\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_and_reaches_nobody(talk: Any, request_bytes: bytes) -> None:
    async with talk(header_time_s=0.5) as (connect, gateway):
        reader, writer = await connect()
        writer.write(request_bytes)
        said = await rest(reader)
        assert said.startswith(b"HTTP/1.1 400") or said == b""
    assert gateway.records() == []


async def test_the_host_does_not_decide_the_path(talk: Any) -> None:
    async with talk() as (connect, gateway):
        reader, writer = await connect()
        writer.write(WHOLE.replace(b"host: 127.0.0.1", b"host: 127.0.0.1/health?"))
        assert (await reply(reader))[0] == 403
    assert gateway.records() == []


def test_a_port_in_use_is_refused() -> None:
    with closing(bind("127.0.0.1", 0)) as first:
        first.listen()
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", first.getsockname()[1])


async def test_a_connection_that_is_idle_for_long_is_closed(talk: Any) -> None:
    async with talk(idle_s=0) as (connect, _):
        reader, writer = await connect()
        writer.write(WHOLE)
        assert (await reply(reader))[0] == 200
        assert not await rest(reader)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("headers", "parts", "answer"),
    [
        ([(b"content-length", b"2")], [b"ok"], b"content-length: 2\r\n\r\nok"),
        ([(b"content-length", b"2")], [b"o", b"k"], b"content-length: 2\r\n\r\nok"),
        ([], [b"ok", b""], b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ([(b"content-length", b"3")], [b"ok"], b""),
        ([(b"content-length", b"1")], [b"ok"], b""),
        ([(b"x", b"a\r\nb: c")], [b"ok"], b""),
    ],
)
async def test_a_reply_is_what_its_headers_say(
    serving: Any, method: str, headers: list[tuple[bytes, bytes]], parts: list[bytes], answer: bytes
) -> None:
    """One that is not is broken off, so that no client takes it for whole."""

    async def app(scope: Any, _: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for number, part in enumerate(parts, 1):
                await send({"type": "http.response.body", "body": part, "more_body": number < len(parts)})

    async with serving(app) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(method.encode() + b" / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        got = await rest(reader)
        writer.close()
    head, _, body = got.replace(b"connection: close\r\n", b"").partition(b"\r\n\r\n")
    if method == "GET" or headers[:1] == [(b"x", b"a\r\nb: c")]:
        assert got == b"" if not answer else head.endswith(answer.partition(b"\r\n\r\n")[0])
        assert body == answer.partition(b"\r\n\r\n")[2]
    else:
        assert not body
