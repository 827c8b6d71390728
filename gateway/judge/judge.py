"""Asks rules' judges within their time. Each call has a ledger row of its own, so that costs add up."""

import asyncio
import hashlib
import logging
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from classifiers.runtime.windows import Recent
from gateway.context import RequestContext
from gateway.errors import CLIENT_CLOSED, AnswerLost, ApiError, InternalError, UpstreamFailed
from gateway.judge import protocol
from gateway.ledger.recorder import Recorder
from gateway.metrics.observe import Metrics
from gateway.protocols.wire import Request
from gateway.record import Record
from gateway.routes import Routes
from gateway.rules.rule import JudgeSpec, Rule
from gateway.upstreams.base import Answer
from gateway.upstreams.dispatch import Forwarder
from gateway.upstreams.stream import note_answer

_log = logging.getLogger(__name__)
_REMEMBERED: Final = 10_000
"""Verdicts that are remembered: clients send earlier turns again, and none is paid for twice."""
_BAD_REQUEST: Final = 400
WITHIN_S = 5.0
"""How long a judge may take; after that the rule's `when_broken` applies."""


class JudgeOutcome(StrEnum):
    """How a question to a judge ended."""

    UNSAFE = "unsafe"
    SAFE = "safe"
    TIMEOUT = "timeout"
    FAILED = "failed"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeAnswer:
    """A judge's answer. labels: those that apply. stood_in: whether a fallback was asked in the judge's place."""

    outcome: JudgeOutcome
    labels: tuple[str, ...] = ()
    stood_in: bool = False

    @property
    def given(self) -> bool:
        """Whether there is a verdict."""
        return self.outcome in (JudgeOutcome.UNSAFE, JudgeOutcome.SAFE)


class Judge:
    """All judges of a gateway's file. Verdicts are remembered by the texts sent; failures and fallbacks are not."""

    def __init__(self, *, forwarder: Forwarder, recorder: Recorder, routes: Routes, metrics: Metrics) -> None:
        self._forwarder = forwarder
        self._recorder = recorder
        self._routes = routes
        self._metrics = metrics
        self._remembered: Recent[bytes, JudgeAnswer] = Recent(_REMEMBERED)
        self._refused: dict[str, tuple[str, ...]] = {}

    def knows(self, rule: Rule, shown: protocol.Shown | None) -> bool:
        """Whether the judge has judged these texts before, so that its verdict is at hand."""
        return shown is not None and rule.asks is not None and self._remembered.get(_key(rule.asks, shown)) is not None

    async def ask(self, context: RequestContext, rule: Rule, shown: protocol.Shown) -> JudgeAnswer:
        """The judge's verdict on all texts together. Raises nothing but asyncio.CancelledError."""
        assert rule.asks is not None
        key = _key(rule.asks, shown)
        judged = self._remembered.get(key)
        if judged is not None:
            self._metrics.observe_remembered(rule.name)
        else:
            started = time.perf_counter()
            try:
                judged = await self._call(context, rule, rule.asks, shown)
            finally:
                waited = time.perf_counter() - started
                context.judge_s += waited
            self._metrics.observe_judge(rule.name, judged.outcome.value, waited)
            if judged.given and not judged.stood_in:
                self._remembered.put(key, judged)
        noted = f"{rule.name}:{'+'.join(judged.labels) or judged.outcome.value}"
        context.record.judged = ",".join(filter(None, [context.record.judged, noted]))
        return judged

    async def _call(self, context: RequestContext, rule: Rule, asks: JudgeSpec, shown: protocol.Shown) -> JudgeAnswer:
        """One call, with a record of its own that is closed however the call ends."""
        record = Record(
            request_id=context.record.request_id,
            at=time.time(),
            endpoint="judge",
            consumer=context.record.consumer,
            requested_model=asks.model,
            decision="judge",
            rule=rule.name,
            # until it is answered; a call that was begun and left may cost something
            status=CLIENT_CLOSED,
        )
        own = RequestContext(record=record)
        try:
            async with asyncio.timeout(WITHIN_S):
                judged = await self._verdict(own, asks, shown)
        except Exception as error:  # noqa: BLE001 - whatever a provider's library raises: when_broken says what happens
            judged = _failure(record, error)
            unexpected = record.status == InternalError.status
            _log.warning(
                "rule %s: %s gave no verdict: %s", rule.name, asks.model, str(error) or "too late", exc_info=unexpected
            )
        except BaseException:
            record.error = "cancelled"
            self._recorder.finish(own)
            raise
        record.label = judged.labels[0] if judged.labels else ""
        self._recorder.finish(own)
        return replace(judged, stood_in=not self._routes.for_rule(asks.model)[0].answered(record))

    async def _verdict(self, own: RequestContext, asks: JudgeSpec, shown: protocol.Shown) -> JudgeAnswer:
        """Raises ApiError, Unreadable."""
        if self._routes.moderates(asks.model):
            answer = await self._send(own, protocol.moderation_question(asks, shown.texts))
            labels = protocol.of_moderation(answer.body, asks.categories, len(shown.texts))
        else:
            answer = await self._chat(own, asks, shown)
            labels = protocol.of_chat(answer.completion, tuple(asks.categories))
        return JudgeAnswer(outcome=JudgeOutcome.UNSAFE if labels else JudgeOutcome.SAFE, labels=labels)

    async def _chat(self, own: RequestContext, asks: JudgeSpec, shown: protocol.Shown) -> Answer:
        """Where a server refuses an optional field by name, later questions leave it out."""
        while True:
            without = self._refused.get(asks.model, ())
            try:
                return await self._send(own, protocol.chat_question(asks, shown, without=without))
            except _Refused as error:
                more = tuple(name for name in protocol.OPTIONAL if name.encode() in error.body and name not in without)
                if not more:
                    raise
                self._refused[asks.model] = (*without, *more)
                _log.warning("judge %s is asked without %s, which it refuses", asks.model, " and ".join(more))

    async def _send(self, own: RequestContext, request: Request) -> Answer:
        answer = await self._forwarder.send(own, request, self._routes.for_rule(request.model), [])
        own.record.status = answer.status
        if own.record.notional:
            raise UpstreamFailed("an echo upstream judges nothing")
        if answer.status == _BAD_REQUEST:
            if protocol.refusal_code(answer.body) in protocol.FILTERED:
                raise protocol.Unreadable("a filter in front of it stopped the question")
            raise _Refused(answer.body)
        if not 200 <= answer.status < 300:
            raise UpstreamFailed(f"it answered {answer.status}")
        note_answer(own.record, answer.completion)
        if self._routes.moderates(request.model) and own.record.usage_source == "missing":
            # it is priced by the call, if at all
            own.record.usage_source = "reported"
        return answer


class _Refused(UpstreamFailed):
    """The judge's server does not take the question. body: what it says."""

    def __init__(self, body: bytes) -> None:
        super().__init__(f"it refused the question ({protocol.refusal_code(body) or 'it names no code'})")
        self.body = body


def _failure(record: Record, error: Exception) -> JudgeAnswer:
    outcome = JudgeOutcome.FAILED
    if isinstance(error, TimeoutError):
        outcome = JudgeOutcome.TIMEOUT
    elif isinstance(error, protocol.Unreadable):
        outcome = JudgeOutcome.UNREADABLE
    else:
        record.status = error.status if isinstance(error, ApiError) else InternalError.status
    # of a lost answer the call was made, so that what it cost is not known
    record.error = AnswerLost.code or "" if isinstance(error, AnswerLost) else record.error or outcome.value
    return JudgeAnswer(outcome=outcome)


def _key(asks: JudgeSpec, shown: protocol.Shown) -> bytes:
    system = shown.system if asks.reads_system else ""
    parts = (asks.model, asks.instructions, tuple(asks.categories.items()), system, shown.texts)
    return hashlib.sha256(ascii(parts).encode()).digest()
