"""An upstream that is asked again where it could not be reached or was overloaded, before any byte of an answer."""

import asyncio
from typing import Final

from gateway.errors import AnswerLost, UpstreamFailed
from gateway.upstreams.base import Answer, Call, Upstream

_PASSING: Final = frozenset({502, 503, 504})
_FIRST_WAIT_S: Final = 0.1


class Retrying:
    """Wraps an upstream. A time-out is not tried again: the caller has waited long enough; nor is a call that may have
    been taken, whose answer was lost on its way or never began."""

    def __init__(self, inner: Upstream, retries: int) -> None:
        self.name = inner.name
        self.notional = inner.notional
        self.ask_usage = inner.ask_usage
        self._inner = inner
        self._retries = retries

    async def send(self, call: Call) -> Answer:
        for attempt in range(self._retries):
            try:
                answer = await self._inner.send(call)
            except AnswerLost:
                raise
            except UpstreamFailed:
                pass
            else:
                if answer.status not in _PASSING:
                    return answer
            await asyncio.sleep(_FIRST_WAIT_S * 2**attempt)
        return await self._inner.send(call)

    async def close(self) -> None:
        await self._inner.close()
