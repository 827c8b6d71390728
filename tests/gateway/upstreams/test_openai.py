"""Against a real server on loopback: what is sent, what comes back, and every way of breaking off."""

import asyncio
import gzip
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway.context import UpstreamModel
from gateway.errors import AnswerLost, AnswerStalled, ApiError, CallDropped, UpstreamFailed, UpstreamTimeout
from gateway.server import bind
from gateway.upstreams.base import Answer, UpstreamCall
from gateway.upstreams.dispatch import Retrying
from gateway.upstreams.openai import OpenAIUpstream

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Calling = Callable[..., AbstractAsyncContextManager[OpenAIUpstream]]


def call(body: bytes = b"{}", *, stream: bool = False, **more: Any) -> UpstreamCall:
    return UpstreamCall(model=UpstreamModel("m"), body=body, stream=stream, **more)


async def read(answer: Answer) -> bytes:
    assert answer.chunks is not None
    return b"".join([chunk async for chunk in answer.chunks])


@pytest.fixture
def calling() -> Calling:
    """calling(handler, **settings): an upstream on a server with that handler at every path under /v1/."""

    @asynccontextmanager
    async def make(handler: Handler, **settings: Any) -> AsyncIterator[OpenAIUpstream]:
        app = web.Application()
        app.router.add_route("*", "/v1/{tail:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        upstream = OpenAIUpstream("up", base_url=f"http://127.0.0.1:{port}/v1/", **settings)
        try:
            yield upstream
        finally:
            await upstream.close()
            await runner.cleanup()

    return make


@pytest.fixture
def raw_calling() -> Calling:
    """raw_calling(handler, **settings): an upstream on a bare socket server."""

    @asynccontextmanager
    async def make(handler: Raw, **settings: Any) -> AsyncIterator[OpenAIUpstream]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                await handler(reader, writer)
            finally:
                writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        upstream = OpenAIUpstream("up", base_url=f"http://127.0.0.1:{port}", **settings)
        try:
            yield upstream
        finally:
            await upstream.close()
            server.close()
            await server.wait_closed()

    return make


async def test_the_call_is_sent_as_it_is_with_the_gateways_own_key(calling: Calling) -> None:
    seen: list[tuple[web.Request, bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request, await request.read()))
        return web.json_response({"ok": True})

    body = b'{"model":"m",  "odd": 1.0}'
    async with calling(handler, api_key="sk-gateway") as upstream:
        await upstream.send(call(body, headers=[(b"openai-beta", b"x=1"), (b"idempotency-key", b"k")]))
    ((request, sent),) = seen
    assert (request.method, request.path, sent) == ("POST", "/v1/chat/completions", body)
    assert {name.lower() for name in request.headers} - {"accept", "user-agent"} == {
        "host",
        "content-type",
        "content-length",
        "accept-encoding",
        "authorization",
        "openai-beta",
        "idempotency-key",
    }
    assert request.headers["authorization"] == "Bearer sk-gateway"
    assert request.headers["accept-encoding"] == "identity"


async def test_of_the_answers_headers_only_a_few_are_seen_by_clients(calling: Calling) -> None:
    async def handler(request: web.Request) -> web.Response:
        headers = {
            "Set-Cookie": "session=1",
            "Server": "secret/1.0",
            "Location": "http://internal",
            "X-Internal": "1",
            "X-Request-Id": "up-1",
            "X-RateLimit-Remaining-Requests": "7",
            "OpenAI-Processing-Ms": "5",
            "OpenAI-Organization": "org-secret",
            "OpenAI-Project": "proj-secret",
            "Retry-After": "3",
            "Retry-After-Ms": "3000",
            "X-Should-Retry": "true",
        }
        return web.json_response({}, status=429, headers=headers)

    async with calling(handler) as upstream:
        answer = await upstream.send(call())
        again = await upstream.send(call())
    assert answer.status == again.status == 429
    assert {name: value for name, value in answer.headers if name != b"content-type"} == {
        b"x-upstream-request-id": b"up-1",
        b"x-ratelimit-remaining-requests": b"7",
        b"openai-processing-ms": b"5",
        b"retry-after": b"3",
        b"retry-after-ms": b"3000",
        b"x-should-retry": b"true",
    }


async def test_cookies_are_not_kept(calling: Calling) -> None:
    async def handler(request: web.Request) -> web.Response:
        response = web.json_response({"cookie": request.headers.get("cookie")})
        response.set_cookie("session", "1")
        return response

    async with calling(handler) as upstream:
        await upstream.send(call())
        assert (await upstream.send(call())).body == b'{"cookie": null}'


async def test_a_redirect_is_not_followed(calling: Calling) -> None:
    hits: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        hits.append(request.path)
        return web.Response(status=307, headers={"Location": "/v1/elsewhere"})

    async with calling(handler) as upstream:
        assert (await upstream.send(call())).status == 307
    assert hits == ["/v1/chat/completions"]


async def test_a_client_that_leaves_a_stream_ends_it_at_the_upstream(calling: Calling) -> None:
    ended = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b"data: more\n\n")
                await asyncio.sleep(0.005)
        except (ConnectionError, asyncio.CancelledError):
            ended.set()
            raise

    async with calling(handler) as upstream:
        answer = await upstream.send(call(stream=True))
        assert answer.chunks is not None
        await anext(answer.chunks)
        await answer.chunks.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_cancelled_call_ends_at_the_upstream(raw_calling: Calling) -> None:
    came, ended = asyncio.Event(), asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        while await reader.read(1000):
            pass
        ended.set()

    async with raw_calling(handler) as upstream:
        task = asyncio.ensure_future(upstream.send(call()))
        await came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/v1", "http://a..b/v1", "http://user:pw@127.0.0.1/v1"])
async def test_an_address_that_cannot_be_called_is_a_failed_upstream(url: str) -> None:
    upstream = OpenAIUpstream("up", base_url=url, api_key="sk-secret")
    with pytest.raises(UpstreamFailed) as caught:
        await upstream.send(call())
    await upstream.close()
    assert caught.value.message == "upstream up could not be reached"


async def test_nobody_there(caplog: pytest.LogCaptureFixture) -> None:
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    listener.close()
    upstream = OpenAIUpstream("up", base_url=f"http://127.0.0.1:{port}", api_key="sk-secret")
    with caplog.at_level(logging.DEBUG), pytest.raises(UpstreamFailed) as caught:
        await upstream.send(call())
    await upstream.close()
    assert caught.value.message == "upstream up could not be reached"
    assert "sk-secret" not in caplog.text


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_broken_off_is_a_failure(raw_calling: Calling, payload: bytes, stream: bool) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(payload)

    async with raw_calling(handler) as upstream:
        with pytest.raises(UpstreamFailed):
            await read(await upstream.send(call(stream=stream)))


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_no_http_in_mid_answer_breaks_it_off(raw_calling: Calling, stream: bool, closes: bool) -> None:
    left = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"2\r\nab\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)  # in a segment of its own
        writer.write(b"<html>502</html>\r\n")
        if not closes:
            await left.wait()

    async with raw_calling(handler, timeout_s=60.0) as upstream:
        with pytest.raises(UpstreamFailed, match="broke off"):
            await asyncio.wait_for(_sent_and_read(upstream, stream=stream), 30)
        left.set()


async def _sent_and_read(upstream: OpenAIUpstream, *, stream: bool) -> bytes:
    return await read(await upstream.send(call(stream=stream)))


async def test_a_reader_that_takes_its_time_loses_nothing(calling: Calling) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(20):
            await response.write(b"x" * 50_000)
        return response

    async with calling(handler, timeout_s=0.2) as upstream:
        answer = await upstream.send(call(stream=True))
        assert answer.chunks is not None
        size = len(await anext(answer.chunks))
        await asyncio.sleep(0.5)
        assert size + len(await read(answer)) == 1_000_000


@pytest.mark.parametrize("status", [101, 600, 999])
async def test_a_status_that_is_none_is_a_failure(raw_calling: Calling, status: int) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 %d So\r\nContent-Length: 2\r\n\r\n{}" % status)

    async with raw_calling(handler) as upstream:
        with pytest.raises(UpstreamFailed, match=f"status {status}"):
            await upstream.send(call())


async def test_a_header_that_could_not_be_sent_on_is_left_out(raw_calling: Calling) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        headers = (b"Retry-After: a\x01b", b"OpenAI-Version: \x7f", b"X-RateLimit-A: a\tb", b"X-Request-Id: \x02")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + b"\r\n".join(headers) + b"\r\n\r\n{}")

    async with raw_calling(handler) as upstream:
        assert (await upstream.send(call())).headers == [(b"x-ratelimit-a", b"a\tb")]


@pytest.mark.parametrize(
    ("payload", "why"),
    [(b"", "closed the connection without an answer"), (b"nonsense\r\n\r\n", "sent an answer that cannot be read")],
)
@pytest.mark.parametrize(("at_once_s", "failure"), [(0.0, CallDropped), (60.0, UpstreamFailed)])
@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_that_is_closed_at_once_took_no_call(
    raw_calling: Calling, payload: bytes, why: str, at_once_s: float, failure: type[Exception], reset: bool
) -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readexactly(2))
        writer.write(payload)
        if reset and not payload:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async with raw_calling(handler, at_once_s=at_once_s, stale_s=60.0 - at_once_s) as upstream:
        with pytest.raises(UpstreamFailed, match=why) as caught:
            await Retrying(upstream, 1).send(call())
    assert type(caught.value) is failure
    assert len(seen) == (1 if failure is CallDropped else 2)


@pytest.mark.parametrize(
    ("payload", "stale_s", "dropped"),
    [(b"", 60.0, False), (b"", 0.0, True), (b"nonsense\r\n\r\n", 60.0, True)],
)
async def test_a_kept_connection_that_was_closed_meanwhile_is_opened_again(
    raw_calling: Calling, payload: bytes, stale_s: float, dropped: bool
) -> None:
    opened = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await reader.readuntil(b"{}")
        await reader.readuntil(b"{}")  # the next call: it comes too late
        writer.write(payload)

    async with raw_calling(handler, stale_s=stale_s, at_once_s=0.0) as upstream:
        retrying = Retrying(upstream, 1)
        assert (await retrying.send(call())).body == b"{}"
        if dropped:
            with pytest.raises(CallDropped):
                await retrying.send(call())
        else:
            assert (await retrying.send(call())).body == b"{}"
    assert opened == (1 if dropped else 2)


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_a_call_that_was_not_sent_whole_was_not_taken(raw_calling: Calling) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)

    async with raw_calling(handler, stale_s=0.0, at_once_s=0.0) as upstream:
        with pytest.raises(UpstreamFailed) as caught:
            await upstream.send(call(b"x" * 16 * 1024**2))
    assert type(caught.value) is UpstreamFailed


async def test_a_connection_that_does_not_come_about_in_time_took_no_call() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        upstream = OpenAIUpstream("up", base_url=f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout_s=0.1)
        with pytest.raises(UpstreamFailed, match="could not be reached"):
            await upstream.send(call())
        await upstream.close()
        for one in waiting:
            one.close()


async def test_an_upstream_that_is_silent(raw_calling: Calling) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_calling(handler, timeout_s=0.05) as upstream:
        with pytest.raises(UpstreamTimeout, match="did not answer in time"):
            await upstream.send(call())


@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_that_falls_silent_in_mid_answer(raw_calling: Calling, stream: bool) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        await reader.read()

    async with raw_calling(handler, timeout_s=0.05) as upstream:
        with pytest.raises(UpstreamTimeout if stream else AnswerStalled):
            await read(await upstream.send(call(stream=stream)))


@pytest.mark.parametrize(("silent", "failure"), [(True, UpstreamTimeout), (False, UpstreamFailed)])
async def test_a_refusal_that_is_not_whole_took_no_call(
    raw_calling: Calling, silent: bool, failure: type[ApiError]
) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nx")
        await (reader.read() if silent else reader.readuntil(b"{}"))

    async with raw_calling(handler, timeout_s=0.05 if silent else 60.0) as upstream:
        with pytest.raises(failure) as caught:
            await upstream.send(call())
    assert type(caught.value) is failure


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_answer_over_the_bound_is_refused_however_long_it_goes_on(calling: Calling, chunked: bool) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if not chunked:
            return web.Response(body=b"x" * 2000)
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:  # it would never end by itself
            await response.write(b"x" * 1000)

    async with calling(handler, max_answer_bytes=1500) as upstream:
        with pytest.raises(AnswerLost, match="over 1500 bytes"):
            await upstream.send(call())


async def test_the_bound_is_of_the_answer_as_it_is_read(calling: Calling) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"x" * 100_000), headers={"Content-Encoding": "gzip"})

    async with calling(handler, max_answer_bytes=100_000) as upstream:
        assert (await upstream.send(call())).body == b"x" * 100_000
    async with calling(handler, max_answer_bytes=99_999) as upstream:
        with pytest.raises(AnswerLost, match="over 99999 bytes"):
            await upstream.send(call())
