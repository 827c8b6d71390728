"""An upstream's answer under the rules that read it: let through, redacted, restored or blocked."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
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
from gateway.protocols.wire import AnswerReader, PlainWord, StreamReader, Unsupported, UnsupportedReason
from gateway.redaction.apply import Counts, of_answer, of_text, redacting, restore
from gateway.redaction.placeholders import Placeholders, moved, replace_spans
from gateway.redaction.release import Part, ReleasedEvents
from gateway.rules.decide import Step, apply, note_flags, note_redacted, note_step, note_verdict, redactions_of
from gateway.rules.rule import Act, Action, Rule
from gateway.upstreams.base import Answer
from gateway.upstreams.stream import hold, kept_alive, note_answer, relay

ShownTexts = Callable[[Pairs], Sequence[str] | None]
"""What may be seen of texts, redacted by all rules that redact; None where they cannot be redacted."""
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
        headers = [*sse.HEADERS, *(header for header in answer.headers if header[0] != b"content-type")]
        if held and _by_sentence(call, rules):
            passed = answer.wire.answers.stream()
            released = self._released(call, rules, chunks, passed, answer.wire.answers)
            return Reply(headers=headers, chunks=kept_alive(released, answer.wire.heartbeat), failed=passed.failed)
        if not held:
            return Reply(headers=headers, chunks=chunks, failed=reader.failed)
        return Reply(
            headers=headers,
            chunks=kept_alive(hold(chunks, answer.wire, check), answer.wire.heartbeat),
            failed=lambda error: call.request.wire.replies.error_event(error, call.context.record.request_id),
        )

    async def _released(
        self,
        call: CallState,
        rules: Sequence[Rule],
        chunks: AsyncGenerator[bytes],
        passed: StreamReader,
        reader: AnswerReader,
    ) -> AsyncGenerator[bytes]:
        """Each sentence of a stream once the rules have read it, until one blocks. passed: reads what the client
        gets."""
        call.placeholders = call.placeholders or Placeholders()
        released = ReleasedEvents(reader, patterns=any(rule.has_patterns for rule in rules))
        splitter, begun = sse.Splitter(), False
        async with aclosing(chunks):
            async for chunk in _and_end(chunks):
                for event in splitter.feed(chunk or b""):
                    released.add(event)
                if chunk is None:
                    released.finish(splitter.flush())
                more = True
                while more:
                    part = released.due()
                    more = part is not None
                    blocked = None if part is None else await self._check_part(call, rules, part)
                    if blocked is not None:
                        async for end in self._cut(call, blocked, passed if begun else None):
                            yield end
                        return
                    leaving = [*released.leaving()]
                    for event in leaving:
                        passed.read(event, awaiting=False)
                    if leaving:
                        begun = True
                        yield b"".join(leaving)

    async def _check_part(self, call: CallState, rules: Sequence[Rule], part: Part) -> Action | None:
        """Lets a part of a stream pass, redacted and restored; or gives the block that a rule asks for."""
        context, placeholders = call.context, call.placeholders or Placeholders()
        arguments, signed = part.source.arguments, part.source.signed

        def shown(pairs: Pairs) -> Sequence[str] | None:
            redactions = redacting(pairs)
            if redactions is None:
                return None
            changes, stopped = of_text(part.text, redactions, Placeholders(), arguments=arguments)
            return None if stopped else (replace_spans(part.text, changes),)

        texts = (part.text,) if part.text else ()
        blocked, redactions = await self._decided(context, rules, texts, part.cut, shown, part=True)
        if blocked is not None:
            return blocked
        edits, stopped = of_text(
            part.text, redactions, placeholders, arguments=arguments, signed=signed, before=part.before
        )
        if stopped is not None:
            return _block(context, stopped)
        shift = part.start - len(part.before)
        fresh = part.source.settle(part.end, [moved(edit, shift) for edit in edits])
        counts = Counter((edit.mark.rule, edit.mark.kind) for edit in fresh if edit.mark)
        if counts:
            self._note(context, redactions[0], counts)
        return None

    @staticmethod
    async def _cut(call: CallState, blocked: Action, passed: StreamReader | None) -> AsyncIterator[bytes]:
        """The end of a stream that a rule blocks; of one of which nothing has passed, all of it. An error is one in
        either."""
        context, request = call.context, call.request
        if passed is not None and blocked.act is Act.BLOCK and blocked.shape == "message":
            yield passed.cut()
            return
        try:
            whole = reply.carry_out(context.record, request, blocked, wait_s=context.wait_s)
        except ApiError as error:
            if passed is not None:
                yield passed.failed(error)
                return
            whole = reply.broken_off(context.record, request, error)
        if whole.chunks is not None:
            async for event in whole.chunks:
                yield event

    async def _check(
        self, call: CallState, rules: Sequence[Rule], completion: Completion
    ) -> tuple[Action | None, Completion]:
        """The block that a rule asks for, if any; and the answer as it is to be sent."""
        context, placeholders = call.context, call.placeholders or Placeholders()
        texts = tuple(map(str, completion.texts))
        blocked, redactions = await self._decided(
            context, rules, texts, completion.incomplete, partial(_texts, completion)
        )
        if blocked is not None:
            return blocked, completion
        if redactions:
            redacted, stopped, counts = of_answer(completion, redactions, placeholders)
            if stopped is not None:
                return _block(context, stopped), completion
            if redacted is not None:
                self._note(context, redactions[0], counts)
                completion = redacted
        return None, restore(completion, placeholders.values) or completion

    async def _decided(
        self,
        context: RequestContext,
        rules: Sequence[Rule],
        texts: tuple[str, ...],
        cut: bool,
        shown: ShownTexts,
        *,
        part: bool = False,
    ) -> tuple[Action | None, Sequence[Step]]:
        """The block that a rule asks for, if any; else the steps that redact. cut: there is more than the texts. part:
        these are one of several parts, which flag once."""
        redactions: list[Step] = []
        async for step in self._steps(context, rules, texts, cut, shown):
            redactions += redactions_of(step)
            flagged = part and f"{step.rule.name}:{step.label}" in context.record.flags.split(",")
            act = None if step.action is None else step.action.act
            ends, flags = act in (Act.BLOCK, Act.ERROR), act is Act.FLAG and not flagged
            if ends or flags or not part:
                note_verdict(context.record, step)
            if flags:
                note_flags(context.record, (step,))
            if ends:
                return _block(context, step), ()
        return None, redactions

    async def _steps(
        self, context: RequestContext, rules: Sequence[Rule], texts: tuple[str, ...], cut: bool, shown: ShownTexts
    ) -> AsyncIterator[Step]:
        """What each rule makes of the texts, its judge asked where it must be, and only once it is its turn."""
        if not rules:
            return
        readings = [rule.reading(texts, cut=cut) for rule in rules]
        pairs = list(zip(rules, await self.ask(context, rules, readings), strict=True))
        for (rule, verdict), reading in zip(pairs, readings, strict=True):
            step = apply(rule, verdict)
            if step.action is not None and step.action.act is Act.ASK:
                seen = shown(pairs)
                judged = None if seen is None else Shown(texts=tuple(seen))
                step = apply(rule, await self.resolver.verdict(context, step, reading, judged))
            self.review_log.note(context, step, verdict, reading, partial(shown, pairs))
            yield step

    def _note(self, context: RequestContext, step: Step, counts: Counts) -> None:
        self.metrics.observe_redacted(counts)
        note_redacted(context.record, counts)
        context.record.decision = "redact"
        # of a request that a rule redacted, or sent elsewhere, that rule decided
        if not context.record.rule:
            note_step(context.record, step)


def _by_sentence(call: CallState, rules: Sequence[Rule]) -> bool:
    """Whether a stream passes by sentences: one choice in plain text, where all its rules ask for that. A judge reads
    a whole answer, and so does what finds slots."""
    request = call.request
    if request.choices != 1 or not all(step.rule.release for step in call.decision.redactions):
        return False
    if any(rule.asks or not rule.release or (rule.redacts and rule.slots) for rule in rules):
        return False
    requested = request.wire.requests.requested(request.fields)
    if isinstance(requested, Unsupported):
        # what a model writes besides the calls that it may make; a legacy completion has no format
        return requested.reason is UnsupportedReason.FREE_TOOLS or not request.wire.local
    return isinstance(requested.shape, PlainWord)


def _texts(completion: Completion, pairs: Pairs) -> Sequence[str] | None:
    """What may be seen of an answer: what a client would, redacted by all rules that redact."""
    redactions = redacting(pairs)
    if redactions is None:
        return None
    redacted, stopped, _ = of_answer(completion, redactions, Placeholders())
    return None if stopped is not None else tuple(map(str, (redacted or completion).texts))


def _block(context: RequestContext, step: Step) -> Action | None:
    note_step(context.record, step)
    context.record.decision = "block" if step.action is not None and step.action.act is Act.BLOCK else "error"
    return step.action


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _and_end(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes | None]:
    async for chunk in chunks:
        yield chunk
    yield None
