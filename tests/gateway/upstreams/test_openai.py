"""Against a server on loopback: what is sent, what comes back, and every way of breaking off."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from gateway.context import UpstreamModel
from gateway.errors import AnswerLost, AnswerStalled, CallDropped, UpstreamFailed, UpstreamTimeout
from gateway.upstreams.base import Answer, UpstreamCall
from gateway.upstreams.dispatch import Retrying
from gateway.upstreams.openai import OpenAIUpstream

Handler = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
CHUNKED = STREAM.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")


def call(body: bytes = b"{}", *, stream: bool = False, **more: Any) -> UpstreamCall:
    return UpstreamCall(model=UpstreamModel("m"), body=body, stream=stream, **more)


async def read(answer: Answer) -> bytes:
    assert answer.chunks is not None
    return b"".join([chunk async for chunk in answer.chunks])


@asynccontextmanager
async def upstream(handler: Handler, **settings: Any) -> AsyncIterator[OpenAIUpstream]:
    """An upstream on a server whose handler gets the head of each connection's first call."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(await reader.readuntil(b"\r\n\r\n"), reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    made = OpenAIUpstream("up", base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/", **settings)
    try:
        yield made
    finally:
        await made.close()
        server.close()
        await server.wait_closed()


def giving(*segments: bytes, closes: bool = True, left: asyncio.Event | None = None) -> Handler:
    """A handler that answers with these segments, then closes or waits for the client to leave."""

    async def handler(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        for segment in segments:
            writer.write(segment)
            await asyncio.sleep(0.02)
        if not closes:
            await reader.read()
            if left is not None:
                left.set()

    return handler


async def test_the_call_is_sent_as_it_is_with_the_gateways_own_key() -> None:
    seen: list[bytes] = []
    body = b'{"model":"m",  "odd": 1.0}'

    async def handler(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend((head, await reader.readexactly(len(body))))
        writer.write(OK)

    headers = [(b"openai-beta", b"x=1"), (b"idempotency-key", b"k")]
    async with upstream(handler, api_key="sk-gateway") as made:
        await made.send(call(body, headers=headers))
    line, *fields = seen[0].rstrip().split(b"\r\n")
    sent = {name.lower(): value for name, value in (field.split(b": ") for field in fields)}
    assert (line, seen[1]) == (b"POST /v1/chat/completions HTTP/1.1", body)
    assert sent.pop(b"host").startswith(b"127.0.0.1:")
    assert sent.pop(b"user-agent").startswith(b"offramp/")
    assert sent == {
        b"content-type": b"application/json",
        b"content-length": b"%d" % len(body),
        b"accept": b"*/*",
        b"accept-encoding": b"identity",
        b"authorization": b"Bearer sk-gateway",
        b"openai-beta": b"x=1",
        b"idempotency-key": b"k",
    }


async def test_of_the_answers_headers_only_a_few_are_seen_by_clients() -> None:
    seen = {
        b"x-ratelimit-remaining-requests": b"7",
        b"openai-processing-ms": b"5",
        b"retry-after": b"3",
        b"retry-after-ms": b"3000",
        b"x-should-retry": b"true",
        b"x-ratelimit-a": b"a\tb",
    }
    hidden = {
        b"Set-Cookie": b"session=1",
        b"Server": b"secret/1.0",
        b"Location": b"http://internal",
        b"OpenAI-Organization": b"org-secret",
        b"OpenAI-Project": b"proj-secret",
        b"OpenAI-Version": b"\x7f",
        b"X-RateLimit-B": b"a\x01b",
    }
    lines = [b"%b: %b\r\n" % header for header in [*seen.items(), *hidden.items(), (b"X-Request-Id", b"up-1")]]
    payload = OK.replace(b"200 OK\r\n", b"429 Busy\r\n" + b"".join(lines))
    async with upstream(giving(payload)) as made:
        answer = await made.send(call())
    assert (answer.status, dict(answer.headers)) == (429, {**seen, b"x-upstream-request-id": b"up-1"})


async def test_a_client_that_leaves_a_stream_ends_it_at_the_upstream() -> None:
    left = asyncio.Event()
    async with upstream(giving(STREAM, b"data: more\n\n", closes=False, left=left)) as made:
        answer = await made.send(call(stream=True))
        assert answer.chunks is not None
        await anext(answer.chunks)
        await answer.chunks.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(left.wait(), 5)


async def test_a_cancelled_call_ends_at_the_upstream() -> None:
    left = asyncio.Event()
    async with upstream(giving(closes=False, left=left)) as made:
        task = asyncio.ensure_future(made.send(call()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(left.wait(), 5)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 20_000,
        *(OK.replace(b"200", b"%d" % status) for status in (101, 600, 999)),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_broken_off_or_none_is_a_failure(payload: bytes, stream: bool) -> None:
    async with upstream(giving(payload)) as made:
        with pytest.raises(UpstreamFailed):
            await read(await made.send(call(stream=stream)))


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_no_http_in_mid_answer_breaks_it_off(stream: bool, closes: bool) -> None:
    async with upstream(giving(CHUNKED + b"2\r\nab\r\n", b"<html>502</html>\r\n", closes=closes)) as made:
        with pytest.raises(UpstreamFailed, match="broke off"):
            async with asyncio.timeout(30):
                await read(await made.send(call(stream=stream)))


async def test_a_reader_that_takes_its_time_loses_nothing() -> None:
    async with upstream(giving(STREAM + b"x" * 1_000_000), timeout_s=0.2) as made:
        answer = await made.send(call(stream=True))
        assert answer.chunks is not None
        size = len(await anext(answer.chunks))
        await asyncio.sleep(0.5)
        assert size + len(await read(answer)) == 1_000_000


@pytest.mark.parametrize(
    "payload",
    [
        b"HTTP/1.1 200 OK\r\n\r\n{}",  # its end is the connection's
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        OK + OK,
        b"HTTP/1.1 103 Early Hints\r\nRetry-After: 1\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\nRetry-After: 1\r\n\r\n",
    ],
)
async def test_a_whole_answer_is_read_however_it_ends(payload: bytes) -> None:
    async with upstream(giving(payload)) as made:
        for _ in range(2):
            answer = await Retrying(made, 1).send(call())
            assert (answer.status, answer.headers, answer.body) == (200, [], b"{}")


@pytest.mark.parametrize(
    ("payload", "why"),
    [(b"", "closed the connection without an answer"), (b"nonsense\r\n\r\n", "sent an answer that cannot be read")],
)
@pytest.mark.parametrize(("at_once_s", "failure"), [(0.0, CallDropped), (60.0, UpstreamFailed)])
@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_is_closed_at_once_took_no_call(
    payload: bytes, why: str, at_once_s: float, failure: type[Exception], reset: bool
) -> None:
    seen: list[bytes] = []

    async def handler(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readexactly(2))
        writer.write(payload)
        if reset and not payload:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async with upstream(handler, at_once_s=at_once_s, stale_s=60.0 - at_once_s) as made:
        with pytest.raises(UpstreamFailed, match=why) as caught:
            await Retrying(made, 1).send(call())
    assert type(caught.value) is failure
    assert len(seen) == (1 if failure is CallDropped else 2)


@pytest.mark.parametrize(
    ("payload", "stale_s", "dropped"), [(b"", 60.0, False), (b"", 0.0, True), (b"nonsense\r\n\r\n", 60.0, True)]
)
async def test_a_kept_connection_that_was_closed_meanwhile_is_opened_again(
    payload: bytes, stale_s: float, dropped: bool
) -> None:
    opened: list[bytes] = []

    async def handler(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(head)
        writer.write(OK)
        await reader.readuntil(b"{}")
        await reader.readuntil(b"{}")  # the next call: it comes too late
        writer.write(payload)

    async with upstream(handler, stale_s=stale_s, at_once_s=0.0) as made:
        retrying = Retrying(made, 1)
        assert (await retrying.send(call())).body == b"{}"
        if dropped:
            with pytest.raises(CallDropped):
                await retrying.send(call())
        else:
            assert (await retrying.send(call())).body == b"{}"
    assert len(opened) == (1 if dropped else 2)


@pytest.mark.filterwarnings("ignore:Sending a large body")
def test_a_call_that_was_not_sent_whole_was_not_taken() -> None:
    async def handler(*_: Any) -> None:
        await asyncio.sleep(0.05)

    async def send() -> None:
        async with upstream(handler, stale_s=0.0, at_once_s=0.0) as made:
            with pytest.raises(UpstreamFailed) as caught:
                await made.send(call(b"x" * 16 * 1024**2))
        assert type(caught.value) is UpstreamFailed

    # the loops differ in when they report what was sent
    asyncio.run(send())
    uvloop.run(send())


async def test_a_connection_that_does_not_come_about_in_time_took_no_call() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        made = OpenAIUpstream("up", base_url=f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout_s=0.1)
        with pytest.raises(UpstreamFailed, match="could not be reached"):
            await made.send(call())
        await made.close()
        for one in waiting:
            one.close()


REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nx"


@pytest.mark.parametrize(
    ("payload", "stream", "closes", "failure"),
    [
        (b"", False, False, UpstreamTimeout),
        (CHUNKED + b"2\r\nab\r\n", False, False, AnswerStalled),
        (CHUNKED + b"2\r\nab\r\n", True, False, UpstreamTimeout),
        # a refusal that is not whole took no call
        (REFUSED, False, False, UpstreamTimeout),
        (REFUSED, False, True, UpstreamFailed),
    ],
)
async def test_an_upstream_that_falls_silent(
    payload: bytes, stream: bool, closes: bool, failure: type[Exception]
) -> None:
    async with upstream(giving(payload, closes=closes), timeout_s=0.1) as made:
        with pytest.raises(failure) as caught:
            await read(await made.send(call(stream=stream)))
    assert type(caught.value) is failure


@pytest.mark.parametrize("head", [b"Content-Length: 2000", b"Connection: close"])
async def test_an_answer_over_the_bound_is_refused_however_long_it_goes_on(head: bytes) -> None:
    payload = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n"
    async with upstream(giving(payload, *[b"x" * 1000] * 2, closes=False), max_answer_bytes=1500) as made:
        with pytest.raises(AnswerLost, match="over 1500 bytes"):
            await made.send(call())
