"""Against a server on loopback: what is sent, what comes back, and every way of breaking off."""

import asyncio
import gzip
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal, cast

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


Served = Callable[..., AbstractAsyncContextManager[OpenAIUpstream]]
Clients = Literal["http1", "aiohttp"]


@pytest.fixture(params=["http1", "aiohttp"])
def client(request: pytest.FixtureRequest) -> Clients:
    """The gateway's own client, and aiohttp: what holds for one holds for the other."""
    return cast("Clients", request.param)


@pytest.fixture
def upstream(client: Clients) -> Served:
    """Gives an upstream on a server whose handler gets the head of each connection's first call."""

    @asynccontextmanager
    async def serving(
        handler: Handler, tls: ssl.SSLContext | None = None, **settings: Any
    ) -> AsyncIterator[OpenAIUpstream]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(await reader.readuntil(b"\r\n\r\n"), reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
        url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/"
        made = OpenAIUpstream("up", base_url=url, client=client, **settings)
        try:
            yield made
        finally:
            await made.close()
            server.close()
            await server.wait_closed()

    return serving


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


async def test_the_call_is_sent_as_it_is_with_the_gateways_own_key(upstream: Served) -> None:
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


async def test_of_the_answers_headers_only_a_few_are_seen_by_clients(upstream: Served) -> None:
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


async def test_a_client_that_leaves_a_stream_ends_it_at_the_upstream(upstream: Served) -> None:
    left = asyncio.Event()
    async with upstream(giving(STREAM, b"data: more\n\n", closes=False, left=left)) as made:
        answer = await made.send(call(stream=True))
        assert answer.chunks is not None
        await anext(answer.chunks)
        await answer.chunks.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(left.wait(), 5)


async def test_a_cancelled_call_ends_at_the_upstream(upstream: Served) -> None:
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
async def test_an_answer_that_is_broken_off_or_none_is_a_failure(
    upstream: Served, payload: bytes, stream: bool
) -> None:
    async with upstream(giving(payload)) as made:
        with pytest.raises(UpstreamFailed):
            await read(await made.send(call(stream=stream)))


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_no_http_in_mid_answer_breaks_it_off(upstream: Served, stream: bool, closes: bool) -> None:
    async with upstream(giving(CHUNKED + b"2\r\nab\r\n", b"<html>502</html>\r\n", closes=closes)) as made:
        with pytest.raises(UpstreamFailed, match="broke off"):
            async with asyncio.timeout(30):
                await read(await made.send(call(stream=stream)))


async def test_a_reader_that_takes_its_time_loses_nothing(upstream: Served) -> None:
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
async def test_a_whole_answer_is_read_however_it_ends(upstream: Served, payload: bytes) -> None:
    async with upstream(giving(payload)) as made:
        for _ in range(2):
            answer = await Retrying(made, 1).send(call())
            assert (answer.status, answer.headers, answer.body) == (200, [], b"{}")


@pytest.mark.parametrize(
    ("payload", "at_once_s", "failure"),
    [(b"", 0.0, CallDropped), (b"", 60.0, UpstreamFailed), (b"nonsense\r\n\r\n", 60.0, CallDropped)],
)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_is_closed_at_once_took_no_call(
    upstream: Served, payload: bytes, at_once_s: float, failure: type[Exception], reset: bool
) -> None:
    seen: list[bytes] = []

    async def handler(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readexactly(2))
        writer.write(payload)
        if reset and not payload:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async with upstream(handler, at_once_s=at_once_s, stale_s=60.0 - at_once_s) as made:
        why = "sent an answer that cannot be read" if payload else "closed the connection without an answer"
        with pytest.raises(UpstreamFailed, match=why) as caught:
            await Retrying(made, 1).send(call())
    assert type(caught.value) is failure
    assert len(seen) == (1 if failure is CallDropped else 2)


@pytest.mark.parametrize(
    ("payload", "stale_s", "dropped"), [(b"", 60.0, False), (b"", 0.0, True), (b"nonsense\r\n\r\n", 60.0, True)]
)
async def test_a_kept_connection_that_was_closed_meanwhile_is_opened_again(
    upstream: Served, payload: bytes, stale_s: float, dropped: bool
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
def test_a_call_that_was_not_sent_whole_was_not_taken(upstream: Served) -> None:
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


async def test_a_connection_that_does_not_come_about_in_time_took_no_call(client: Clients) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        made = OpenAIUpstream("up", base_url=url, connect_timeout_s=0.1, client=client)
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
    upstream: Served, payload: bytes, stream: bool, closes: bool, failure: type[Exception]
) -> None:
    async with upstream(giving(payload, closes=closes), timeout_s=0.1) as made:
        with pytest.raises(failure) as caught:
            await read(await made.send(call(stream=stream)))
    assert type(caught.value) is failure


@pytest.mark.parametrize("head", [b"Content-Length: 2000", b"Connection: close"])
async def test_an_answer_over_the_bound_is_refused_however_long_it_goes_on(upstream: Served, head: bytes) -> None:
    payload = b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n"
    async with upstream(giving(payload, *[b"x" * 1000] * 2, closes=False), max_answer_bytes=1500) as made:
        with pytest.raises(AnswerLost, match="over 1500 bytes"):
            await made.send(call())


def counting(seen: list[bytes], *segments: bytes, closes: bool = True) -> Handler:
    """As `giving`, and counts the calls."""
    answer = giving(*segments, closes=closes)

    async def handler(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(head)
        await answer(head, reader, writer)

    return handler


@pytest.mark.parametrize(
    "payload",
    [
        OK.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n") + b"2\r\n{}\r\n0\r\n\r\n",
        OK.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n"),
        OK.replace(b" 2\r\n", b" 2, 2\r\n"),
        OK.replace(b" 2\r\n", b" -2\r\n"),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_breaks_the_protocol_is_no_answer_and_no_second_call(
    upstream: Served, payload: bytes, stream: bool
) -> None:
    seen: list[bytes] = []
    async with upstream(counting(seen, payload), at_once_s=60.0) as made:
        with pytest.raises(CallDropped, match=r"cannot be read"):
            await Retrying(made, 1).send(call(stream=stream))
    assert len(seen) == 1


@pytest.mark.parametrize("payload", [OK, CHUNKED + b"1\r\n{\r\n1\r\n}\r\n0\r\nX-A: b\r\n\r\n"])
async def test_an_answer_that_is_cut_at_any_byte_is_lost_and_never_asked_for_again(
    upstream: Served, payload: bytes
) -> None:
    seen: list[bytes] = []
    for end in range(1, len(payload)):
        async with upstream(counting(seen, payload[:end]), at_once_s=60.0) as made:
            with pytest.raises(AnswerLost):
                await Retrying(made, 1).send(call())
    assert len(seen) == len(payload) - 1


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n", CHUNKED + b"2\r\nab\r\n0\r\n"])
@pytest.mark.parametrize("line", [b"X-A: b\r\n" * 100, b"X-A: b\r\nx" + b"x" * 1000])
async def test_headers_and_trailers_without_end_are_left(upstream: Served, head: bytes, line: bytes) -> None:
    async def handler(_: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(line)
            await writer.drain()

    def quiet(*_: Any) -> None:
        """The server's side is cut off in the middle."""

    asyncio.get_running_loop().set_exception_handler(quiet)
    async with upstream(handler) as made:
        with pytest.raises(AnswerLost):
            async with asyncio.timeout(30):
                await made.send(call())


# aiohttp takes what comes on a kept connection for the next call's answer
@pytest.mark.parametrize("client", ["http1"], indirect=True)
@pytest.mark.parametrize("surplus", [OK.replace(b"{}", b"[]"), b"\x00", b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize("later", [False, True])
async def test_what_nobody_asked_for_answers_no_later_call(upstream: Served, surplus: bytes, later: bool) -> None:
    seen: list[bytes] = []

    async def handler(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(head)
        writer.write(OK if later else OK + surplus)
        if later:
            await asyncio.sleep(0.02)
            writer.write(surplus)
        await reader.read()

    async with upstream(handler) as made:
        for _ in range(3):
            assert (await made.send(call())).body == b"{}"
            await asyncio.sleep(0.05)
    assert len(seen) == 3


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_an_answer_before_the_body_was_sent_counts_and_its_connection_is_not_kept(upstream: Served) -> None:
    seen: list[bytes] = []

    async def handler(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(head)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
        await asyncio.sleep(0.2)
        await reader.read()

    async with upstream(handler) as made:
        for _ in range(2):
            assert (await made.send(call(b"x" * 16 * 1024**2))).status == 413
    assert len(seen) == 2


async def test_a_connection_that_was_closed_while_idle_has_no_call(upstream: Served) -> None:
    seen: list[bytes] = []
    async with upstream(counting(seen, OK), at_once_s=0.0, stale_s=0.0) as made:
        for _ in range(3):
            assert (await made.send(call())).body == b"{}"
            await asyncio.sleep(0.05)
    assert len(seen) == 3


async def test_calls_share_connections_one_after_the_other(upstream: Served) -> None:
    opened: list[bytes] = []

    async def handler(head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(head)
        while True:
            await reader.readuntil(b"{}")
            await asyncio.sleep(0.01)
            writer.write(OK)

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with upstream(handler) as made:
        for _ in range(3):
            assert all(answer.body == b"{}" for answer in await asyncio.gather(*(made.send(call()) for _ in range(5))))
    assert len(opened) == 5


async def test_a_whole_answer_has_its_time_however_it_drips_and_a_stream_goes_on(upstream: Served) -> None:
    drip = [b"1\r\na\r\n"] * 20
    async with upstream(giving(CHUNKED, *drip, b"0\r\n\r\n"), timeout_s=0.2) as made:
        with pytest.raises(AnswerStalled):
            await made.send(call())
        assert await read(await made.send(call(stream=True))) == b"a" * 20


async def test_a_stream_passes_as_it_comes_and_waits_for_its_reader(upstream: Served) -> None:
    written = 0

    async def handler(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"{}")
        writer.write(STREAM)
        for event in (b"data: 1\n\n", b"da", b"ta: 2\n\n"):
            writer.write(event)
            await asyncio.sleep(0.05)
        for _ in range(500):
            writer.write(b"x" * 65_536)
            await writer.drain()
            written += 65_536

    async with upstream(handler) as made:
        answer = await made.send(call(stream=True))
        assert answer.chunks is not None
        assert [await anext(answer.chunks) for _ in range(3)] == [b"data: 1\n\n", b"da", b"ta: 2\n\n"]
        await asyncio.sleep(0.5)
        assert written < 500 * 65_536 / 2
        assert len(await read(answer)) == 500 * 65_536


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_an_answer_that_is_compressed_unasked_is_read(upstream: Served, encoding: str) -> None:
    body = (gzip if encoding == "gzip" else zlib).compress(b'{"a": 1}' * 1000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with upstream(giving(head, body)) as made:
        assert (await made.send(call())).body == b'{"a": 1}' * 1000
    async with upstream(giving(head, body), max_answer_bytes=7999) as made:
        with pytest.raises(AnswerLost, match="over 7999 bytes"):
            await made.send(call())
    async with upstream(giving(head, b"x" * len(body))) as made:
        with pytest.raises(AnswerLost):
            await made.send(call())


async def test_a_header_of_several_lines_is_never_sent(upstream: Served) -> None:
    seen: list[bytes] = []
    async with upstream(counting(seen, OK), client_headers=["traceparent"]) as made:
        with pytest.raises(UpstreamFailed, match="could not be reached"):
            await made.send(call(headers=[(b"traceparent", b"a\r\nX-Evil: 1")]))
    assert seen == []


async def test_a_clients_header_stands_for_the_gateways_of_the_same_name(upstream: Served) -> None:
    seen: list[bytes] = []
    async with upstream(counting(seen, OK), kind="anthropic") as made:
        for headers in ([], [(b"anthropic-version", b"2099-01-01")], []):
            await Retrying(made, 1).send(call(headers=headers))
    versions = [[line[19:] for line in head.split(b"\r\n") if line.startswith(b"anthropic-version")] for head in seen]
    assert versions == [[b"2023-06-01"], [b"2099-01-01"], [b"2023-06-01"]]
