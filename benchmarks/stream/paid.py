"""A paid model's server on a real port, in a thread: it answers with the label that a function gives each text."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from aiohttp import web


class Paid:
    """say: the last message's text → the answer; may be replaced while it runs. calls: answered so far; last: the
    latest request."""

    def __init__(self, say: Callable[[str], str]) -> None:
        self.say = say
        self.calls = 0
        self.last: Any = None
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)

    @property
    def url(self) -> str:
        """For `base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    def close(self) -> None:
        """Stops it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        self.port = runner.addresses[0][1]
        started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _answer(self, request: web.Request) -> web.Response:
        self.calls += 1
        self.last = await request.json()
        text = self.last["messages"][-1]["content"]
        message = {"role": "assistant", "content": self.say(text)}
        return web.json_response(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": "gpt-4o",
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32},
            }
        )
