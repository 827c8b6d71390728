"""The least that can stand in the gateway's place: raw ASGI on uvicorn, aiohttp to the provider, nothing else.

No parsing, no key, no ledger, no metrics: what the gateway costs is to be seen beside it, on the same machine.
"""

import os

import aiohttp
import uvicorn
from starlette.types import Receive, Scope, Send
from yarl import URL


class Bare:
    """Passes bodies to one address and back."""

    def __init__(self, url: str) -> None:
        self._url = URL(url)
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        body = b""
        if scope["method"] == "POST":
            if self._session is None:
                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0),
                    timeout=aiohttp.ClientTimeout(total=None),
                    cookie_jar=aiohttp.DummyCookieJar(),
                )
            headers = {"Content-Type": "application/json"}
            async with self._session.post(self._url, data=message["body"], headers=headers) as answer:
                body = await answer.read()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(
        Bare(os.environ["PROVIDER"]),
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_level="error",
        access_log=False,
    )
