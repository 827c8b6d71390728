"""The gateway's own HTTP client by itself: its parser, TLS, and connections that nobody needs any longer."""

import asyncio
import gc
import gzip
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from gateway.context import UpstreamModel
from gateway.errors import AnswerLost, ApiError, CallDropped, UpstreamFailed
from gateway.upstreams.base import Address, UpstreamCall
from gateway.upstreams.http1 import Http1Client, _Connection, _Exchange

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
ZIPPED = gzip.compress(b'{"a": 1}' * 20, mtime=0)
PAYLOADS = [
    OK,
    OK + OK,
    OK.replace(b"{}", b"{}\x00"),
    OK.replace(b"\r\n\r\n", b"\r\nX-Request-Id: 1\r\nConnection: close\r\n\r\n"),
    OK.replace(b"\r\n", b"\n"),
    OK.replace(b"\r\n\r\n", b"\r\nRetry-After: \x01\r\n\r\n"),
    OK.replace(b" 2", b" 33554433"),
    b"HTTP/1.1 200 OK\r\n\r\n{}",
    b"HTTP/1.1 103 Early Hints\r\nRetry-After: 1\r\n\r\n" + OK,
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n{}",
    b"HTTP/1.1 600 No\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 429 Busy\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\n{}",
    OK.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
    OK.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n"),
    OK.replace(b"\r\n\r\n", b"\r\nContent-Encoding: br\r\n\r\n"),
    OK.replace(b"Content-Length: 2\r\n\r\n", b"Transfer-Encoding: gzip\r\n\r\n"),
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(ZIPPED) + ZIPPED,
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 30\r\n\r\n" + ZIPPED[:30],
    EVENTS + b"9\r\ndata: 1\n\n\r\n4;a=b\r\ndata\r\n3\r\n: 2\r\n0\r\nX-A: b\r\n\r\n",
    EVENTS + b"2\r\nab\r\nzz\r\n",
    EVENTS.replace(b"\r\n\r\n", b"\r\nContent-Encoding: zstd\r\n\r\n") + b"2\r\nab\r\n0\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"",
]
HEADERS = {"Content-Type": "application/json"}
CALL = UpstreamCall(model=UpstreamModel("m"), body=b"{}", stream=True)


def address(url: str = "http://127.0.0.1:1/v1", *, timeout_s: float = 5.0) -> Address:
    return Address(
        upstream="up",
        base_url=url,
        headers=HEADERS,
        connect_timeout_s=5.0,
        timeout_s=timeout_s,
        max_answer_bytes=32 * 1024**2,
        stale_s=0.0,
        at_once_s=0.0,
    )


async def outcome(parts: list[bytes], *, stream: bool) -> tuple[Any, bool]:
    """What becomes of a call whose answer comes in these parts, whether its connection is kept, and what is left."""
    loop, pool = asyncio.get_running_loop(), list[_Connection]()
    near, far = socket.socketpair()
    _, connection = await loop.create_connection(lambda: _Connection(loop, set(), pool), sock=near)
    answer = loop.create_future()
    connection.send(b"call", _Exchange(address(), connection, answer, stream=stream))
    for part in parts:
        if connection.exchange is not None:
            connection.data_received(part)
    connection.eof_received()
    kept = bool(pool)
    body: list[bytes] = []
    try:
        found = await answer
        if found.chunks is not None:
            async for chunk in found.chunks:
                body.append(chunk)
        end: Any = (found.status, found.headers, found.body or b"".join(body))
    except ApiError as error:
        end = (type(error), error.message, b"".join(body))
    connection.transport.abort()
    await asyncio.sleep(0)
    far.close()
    return end, kept


@given(payload=st.sampled_from(PAYLOADS), cuts=st.lists(st.integers(0, 200)), stream=st.booleans())
def test_an_answer_is_the_same_however_it_is_cut(payload: bytes, cuts: list[int], stream: bool) -> None:
    ends = sorted({0, len(payload), *(cut for cut in cuts if cut < len(payload))})
    parts = [payload[start:end] for start, end in pairwise(ends)]

    async def both() -> None:
        whole, _ = await outcome([payload] if payload else [], stream=stream)
        cut, _ = await outcome(parts, stream=stream)
        assert cut == whole

    asyncio.run(both())


@pytest.mark.parametrize(
    ("payload", "kept"), [(PAYLOADS[0], True), (PAYLOADS[1], False), (PAYLOADS[2], False), (PAYLOADS[3], False)]
)
async def test_only_a_connection_without_surplus_is_kept(payload: bytes, kept: bool) -> None:
    _, was_kept = await outcome([payload], stream=False)
    assert was_kept is kept


@pytest.mark.parametrize(
    ("payload", "failure", "why"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", CallDropped, "its head is cut off"),
        (PAYLOADS[16], AnswerLost, "its content is encoded, which was not asked for"),
        (PAYLOADS[17], AnswerLost, "its transfer encoding is not known"),
        (PAYLOADS[19], AnswerLost, "broke off its answer"),
        # no retry either: the stream was billed
        (PAYLOADS[22], AnswerLost, "its content is encoded, which was not asked for"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 20_000, CallDropped, "its headers have no end"),
        (PAYLOADS[20][:-2] + b"X-A: b\r\n" * 20_000, AnswerLost, "its headers have no end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, CallDropped, "its headers have no end"),
    ],
)
async def test_what_broke_is_named(payload: bytes, failure: type[Exception], why: str) -> None:
    parts = [payload[start : start + 30_000] for start in range(0, len(payload), 30_000)]
    end, _ = await outcome(parts, stream=payload is PAYLOADS[22])
    assert end[0] is failure
    assert why in end[1]


@asynccontextmanager
async def server(left: asyncio.Event, *answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that gives each call of a connection the next answer; `left` once the client has closed it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"{}")
            writer.write(answer)
        await reader.read()
        left.set()
        writer.close()

    served = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    yield f"{'https' if tls else 'http'}://127.0.0.1:{served.sockets[0].getsockname()[1]}/v1"
    served.close()
    await served.wait_closed()


async def test_a_stream_that_nobody_reads_ends_at_the_upstream() -> None:
    left = asyncio.Event()
    async with server(left, EVENTS) as url:
        client = Http1Client(address(url))
        gc.disable()
        try:
            await client.ask(CALL, [])
            await asyncio.wait_for(left.wait(), 5)
        finally:
            gc.enable()
        await client.close()


async def test_a_kept_connection_is_left_once_it_was_idle_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.upstreams.http1._MAX_IDLE_S", 0.1)
    left = asyncio.Event()
    async with server(left, OK) as url:
        client = Http1Client(address(url, timeout_s=0.5))
        await client.ask(CALL, [])
        await asyncio.wait_for(left.wait(), 5)
        await client.close()


def certificate(folder: Path, name: str) -> Path:
    """A certificate of its own for a name, with its key behind it."""
    file = folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    ends = ["-subj", "/CN=test", "-addext", f"subjectAltName={name}", "-keyout", f"{file}.key", "-out", str(file)]
    subprocess.run([*command, *ends], check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + Path(f"{file}.key").read_bytes())
    return file


@pytest.mark.parametrize(
    ("name", "trusted", "fits"),
    [("IP:127.0.0.1", True, True), ("DNS:elsewhere", True, False), ("IP:127.0.0.1", False, False)],
)
@pytest.mark.parametrize("uv", [False, True])
def test_a_certificate_must_fit_and_be_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, trusted: bool, fits: bool, uv: bool
) -> None:
    file = certificate(tmp_path, name)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def ask() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with server(asyncio.Event(), OK, OK, tls=context) as url:
            client = Http1Client(address(url))
            if fits:
                for _ in range(2):
                    assert (await client.ask(CALL, [])).body == b"{}"
                (connection,) = client._kept
                assert connection.transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
            else:
                with pytest.raises(UpstreamFailed, match="could not be reached") as caught:
                    await client.ask(CALL, [])
                assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
            await client.close()
            await asyncio.sleep(0.05)

    (uvloop.run if uv else asyncio.run)(ask())
