"""Keeps whole calls for `offramp discover`, where the operator asks for it.

A call is kept only if it was forwarded unchanged and answered by the model that was asked for. Nothing is kept of a
call that a rule redacted, blocked or rerouted, or that a fallback answered.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.answers.parse import Completion
from gateway.context import RequestContext
from gateway.ledger.call_store import CallStore, KeptCall
from gateway.ledger.writer import Writer
from gateway.protocols import chat
from gateway.requests.parse import Request
from gateway.upstreams.base import Answer

_LARGEST: Final = 64 * 1024
"""Bytes of a request and its answer together; a call for a small decision is no larger."""
_MOST_PENDING: Final = 1000
"""Calls that wait in memory while the file cannot be written."""
_OK: Final = range(200, 300)


class CallLog:
    """keeps: whether calls are kept; otherwise it only forgets. on_failure, on_lost: as of a Writer."""

    def __init__(
        self, store: CallStore, *, keeps: bool, on_failure: Callable[[int], None], on_lost: Callable[[int], None]
    ) -> None:
        self.store = store
        self._writer = Writer(store, on_failure=on_failure, on_lost=on_lost, most=_MOST_PENDING) if keeps else None

    async def listen(self, context: RequestContext, request: Request, answer: Answer) -> None:
        """Notes the call in the context; that of a stream once it has passed."""
        if self._writer is not None and answer.status in _OK:
            await answer.listen(partial(_note, context, request))

    def finish(self, context: RequestContext) -> None:
        """Keeps a call whose record is closed, if it was forwarded unchanged."""
        call, record = context.kept, context.record
        changed = context.rerouted or record.decision != "forward" or record.redacted or record.error
        if self._writer is None or call is None or changed:
            return
        if record.usage_source == "reported":
            call.input_tokens, call.output_tokens = record.input_tokens, record.output_tokens
            call.spent_usd = record.spent_usd
        self._writer.add(call)

    def close(self) -> None:
        """Writes what is pending."""
        (self._writer or self.store).close()


async def _note(context: RequestContext, request: Request, completion: Completion | None) -> None:
    body = chat.encode(request.fields)
    if completion is None or len(body) + len(completion.body) > _LARGEST:
        return
    record = context.record
    context.kept = KeptCall(
        request_id=record.request_id, at=record.at, model=request.model, request=body, answer=completion.body
    )
