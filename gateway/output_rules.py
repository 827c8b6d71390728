"""An upstream's answer under the rules that read it: let through, redacted, restored or blocked."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from classifiers.verdict import Reading, Verdict
from gateway.answers import reply
from gateway.answers.parse import Completion
from gateway.context import Reply, RequestContext
from gateway.errors import ApiError
from gateway.judge.protocol import Shown
from gateway.judge.resolve import Pairs, Resolver
from gateway.ledger.call_log import TextLog
from gateway.metrics.observe import Metrics
from gateway.plan import CallState
from gateway.protocols import sse
from gateway.redaction.apply import Counts, of_answer, redacting, restore
from gateway.redaction.placeholders import Placeholders
from gateway.rules.decide import Step, apply, note_flags, note_redacted, note_step, redactions_of
from gateway.rules.rule import Act, Action, Rule
from gateway.upstreams.base import Answer
from gateway.upstreams.stream import hold, note_answer, relay

Ask = Callable[[RequestContext, Sequence[Rule], Sequence[Reading]], Awaitable[Sequence[Verdict]]]
"""The classifiers' verdicts, one for each reading."""


@dataclass(kw_only=True, eq=False)
class Output:
    """What becomes of answers. max_answer_bytes: of a stream that is held back."""

    ask: Ask
    resolver: Resolver
    metrics: Metrics
    review_log: TextLog
    max_answer_bytes: int

    async def reply(self, call: CallState, answer: Answer) -> Reply:
        """What the client gets of an answer. call: decided; some of the rules that it meets may read answers."""
        answered = call.request.wire.answered
        rules = [rule for rule in call.matched if rule.output and answered and answer.status < 300]
        checked = bool(rules or (answered and call.placeholders is not None and call.placeholders.values))
        if answer.chunks is not None:
            return self._stream(call, answer, rules, held=checked)
        note_answer(call.context.record, answer.completion)
        if not checked:
            return Reply(status=answer.status, headers=answer.headers, body=answer.body)
        blocked, completion = await self._check(call, rules, answer.completion)
        if blocked is not None:
            return reply.carry_out(call.context.record, call.request, blocked, wait_s=call.context.wait_s)
        return Reply(status=answer.status, headers=answer.headers, body=completion.body)

    def _stream(self, call: CallState, answer: Answer, rules: Sequence[Rule], *, held: bool) -> Reply:
        async def check(completion: Completion) -> Reply | None:
            blocked, after = await self._check(call, rules, completion)
            if blocked is None:
                return None if after is completion else Reply(headers=[], chunks=_once(after.body))
            try:
                return reply.carry_out(call.context.record, call.request, blocked, wait_s=call.context.wait_s)
            except ApiError as error:
                return reply.broken_off(call.context.record, call.request, error)

        most, strip = self.max_answer_bytes if held else None, not call.request.wants_usage
        reader = answer.wire.answers.stream()
        chunks = relay(call.context, answer, reader, strip_usage=strip, max_bytes=most)
        headers = [header for header in answer.headers if header[0] != b"content-type"]
        if not held:
            return Reply(headers=[*sse.HEADERS, *headers], chunks=chunks, failed=reader.failed)
        return Reply(
            headers=[*sse.HEADERS, *headers],
            chunks=hold(chunks, answer.wire, check),
            failed=lambda error: call.request.wire.replies.error_event(error, call.context.record.request_id),
        )

    async def _check(
        self, call: CallState, rules: Sequence[Rule], completion: Completion
    ) -> tuple[Action | None, Completion]:
        """The block that a rule asks for, if any; and the answer as it is to be sent."""
        context, placeholders = call.context, call.placeholders or Placeholders()
        redactions: list[Step] = []
        async for step in self._steps(context, rules, completion):
            redactions += redactions_of(step)
            if step.action is None:
                continue
            if step.action.act is Act.FLAG:
                note_flags(context.record, (step,))
            if step.action.act in (Act.BLOCK, Act.ERROR):
                return _block(context, step), completion
        if redactions:
            redacted, stopped, counts = of_answer(completion, redactions, placeholders)
            if stopped is not None:
                return _block(context, stopped), completion
            if redacted is not None:
                self._note(context, redactions[0], counts)
                completion = redacted
        return None, restore(completion, placeholders.values) or completion

    async def _steps(
        self, context: RequestContext, rules: Sequence[Rule], completion: Completion
    ) -> AsyncIterator[Step]:
        """What each rule makes of the answer, its judge asked where it must be, and only once it is its turn."""
        if not rules:
            return
        texts = tuple(map(str, completion.texts))
        readings = [rule.reading(texts, cut=completion.incomplete) for rule in rules]
        pairs = list(zip(rules, await self.ask(context, rules, readings), strict=True))
        for (rule, verdict), reading in zip(pairs, readings, strict=True):
            step = apply(rule, verdict)
            if step.action is not None and step.action.act is Act.ASK:
                shown = _shown(completion, pairs)
                step = apply(rule, await self.resolver.verdict(context, step, reading, shown))
            self.review_log.note(context, step, verdict, reading, partial(_texts, completion, pairs))
            yield step

    def _note(self, context: RequestContext, step: Step, counts: Counts) -> None:
        self.metrics.observe_redacted(counts)
        note_redacted(context.record, counts)
        context.record.decision = "redact"
        # of a request that a rule redacted, or sent elsewhere, that rule decided
        if not context.record.rule:
            note_step(context.record, step)


def _shown(completion: Completion, pairs: Pairs) -> Shown | None:
    """What a judge may see of an answer: what a client would, redacted by all rules that redact."""
    redactions = redacting(pairs)
    if redactions is None:
        return None
    redacted, stopped, _ = of_answer(completion, redactions, Placeholders())
    if stopped is not None:
        return None
    return Shown(texts=tuple(map(str, (redacted or completion).texts)))


def _texts(completion: Completion, pairs: Pairs) -> Sequence[str] | None:
    shown = _shown(completion, pairs)
    return None if shown is None else shown.texts


def _block(context: RequestContext, step: Step) -> Action | None:
    note_step(context.record, step)
    context.record.decision = "block" if step.action is not None and step.action.act is Act.BLOCK else "error"
    return step.action


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
