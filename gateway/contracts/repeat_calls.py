"""Calls that are sent a second time, once their clients have their answers: how consistent the reference is.

Each is a row of its own in the ledger, with what it cost. Nobody waits for it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway.answers.parse import Completion
from gateway.context import Headers, RequestContext, new_context
from gateway.errors import CLIENT_CLOSED, ApiError
from gateway.ledger.recorder import Recorder
from gateway.ledger.store import LedgerError
from gateway.protocols.wire import Request
from gateway.routes import Target
from gateway.upstreams.dispatch import Forwarder
from gateway.upstreams.stream import note_answer

_log = logging.getLogger(__name__)
_ENDPOINT: Final = "repeat"
_NAMES_THE_CALL: Final = frozenset({b"idempotency-key", b"x-client-request-id"})
"""With these a provider would give its first answer again."""
_MOST_AT_ONCE: Final = 8

Later = Callable[[], Awaitable[None]]
"""Something to be done when a request is over."""


class RepeatCalls:
    """The calls that are under way, for all requests of a gateway."""

    def __init__(self, *, forwarder: Forwarder, recorder: Recorder) -> None:
        self._forwarder = forwarder
        self._recorder = recorder
        self._running: set[asyncio.Task[None]] = set()

    async def ask(
        self, rule: str, *, first: RequestContext, request: Request, target: Target, headers: Headers
    ) -> Completion | None:
        """The answer to a call that is sent again, in one piece; None where there is none. first: of the request;
        target: that answered it, and no fallback after it."""
        context = new_context(first.record.request_id, _ENDPOINT, first.record.consumer)
        record = context.record
        record.requested_model, record.rule, record.decision = request.model, rule, "repeat"
        # until it is answered; what was begun and left may have cost something
        record.status = CLIENT_CLOSED
        travelling = [(name, value) for name, value in headers if name not in _NAMES_THE_CALL]
        try:
            answer = await self._forwarder.send(context, request.in_one_piece(), [target], travelling)
            body = answer.body if answer.chunks is None else b"".join([chunk async for chunk in answer.chunks])
        except ApiError as error:
            record.status, record.error = error.status, error.code or error.type
            return None
        else:
            record.status = answer.status
            completion = Completion(body, request.wire, stream=False)
            note_answer(record, completion)
            return completion if answer.status < 300 else None
        finally:
            self._recorder.finish(context)

    def begin(self, later: Sequence[Later]) -> None:
        """Begins what is to be done now that a request is over; what would be too much at once is left."""
        for one in later[: max(0, _MOST_AT_ONCE - len(self._running))]:
            task = asyncio.get_running_loop().create_task(self._run(one))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Ends what is under way."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    @staticmethod
    async def _run(one: Later) -> None:
        try:
            await one()
        except LedgerError as error:
            _log.error("%s", error)
        except Exception:  # noqa: BLE001 - nobody waits for it, so nobody else would tell
            _log.exception("a call that was to be sent again")
