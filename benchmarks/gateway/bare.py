"""The least that can stand in the gateway's place: raw ASGI on uvicorn, a client to the provider, nothing else.

No parsing, no key, no ledger, no metrics: what the gateway costs is to be seen beside it, on the same machine.
CLIENT in the environment: `aiohttp`, or `own` for a small one on httptools.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import cast

import aiohttp
import httptools
import uvicorn
from starlette.types import Receive, Scope, Send
from yarl import URL

Post = Callable[[bytes], Awaitable[bytes]]


class Bare:
    """Passes bodies to one address and back. connect: makes the client, inside the running loop."""

    def __init__(self, connect: Callable[[], Post]) -> None:
        self._connect = connect
        self._post: Post | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        body = b""
        if scope["method"] == "POST":
            self._post = self._post or self._connect()
            body = await self._post(message["body"])
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def aiohttp_client(url: str) -> Post:
    """aiohttp without timers, cookies and bounds."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    address, headers = URL(url), {"Content-Type": "application/json"}

    async def post(body: bytes) -> bytes:
        async with session.post(address, data=body, headers=headers) as answer:
            return await answer.read()

    return post


class _Connection(asyncio.Protocol):
    """One connection: a call at a time, whose whole answer resolves a future."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[bytes]
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, call: bytes, answer: asyncio.Future[bytes]) -> asyncio.Future[bytes]:
        self._answer, self._parts = answer, []
        self.transport.write(call)
        return answer

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_begin(self) -> None:
        pass

    def on_message_complete(self) -> None:
        self._answer.set_result(b"".join(self._parts))

    def connection_lost(self, _: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(ConnectionResetError())


def own_client(url: str) -> Post:
    """The least that HTTP needs: kept connections, no timeouts, no checks."""
    loop, address = asyncio.get_running_loop(), URL(url)
    kept: list[_Connection] = []
    head = (
        f"POST / HTTP/1.1\r\nHost: {address.authority}\r\nContent-Type: application/json\r\nContent-Length: ".encode()
    )

    async def connect() -> _Connection:
        tls = True if address.scheme == "https" else None
        return (await loop.create_connection(_Connection, str(address.host), address.port or 80, ssl=tls))[1]

    async def post(body: bytes) -> bytes:
        one = kept.pop() if kept else await connect()
        answer = await one.ask(b"%b%d\r\n\r\n%b" % (head, len(body), body), loop.create_future())
        kept.append(one)
        return answer

    return post


if __name__ == "__main__":
    client = {"aiohttp": aiohttp_client, "own": own_client}[os.environ["CLIENT"]]
    uvicorn.run(
        Bare(lambda: client(os.environ["PROVIDER"])),
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="error",
        access_log=False,
    )
