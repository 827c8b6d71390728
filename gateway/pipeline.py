"""One request, in eight steps: parse, read, classify, flip audits, decide, redact, act or forward.

No step looks back. Receiving and authenticating come before, the record after.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from gateway.answers import reply
from gateway.answers.parse import Completion
from gateway.context import Reply, RequestContext
from gateway.contracts.audit import Audits
from gateway.contracts.repeat_calls import RepeatCalls
from gateway.errors import AnswerLost, UpstreamFailed, UpstreamTimeout
from gateway.judge.judge import Judge
from gateway.judge.protocol import Shown
from gateway.judge.resolve import Pairs, Resolver, SafetyAudits, ShownTo
from gateway.ledger.call_log import CallLog, RecentLog, TextLog
from gateway.ledger.recorder import Recorder
from gateway.metrics.observe import Metrics
from gateway.output_rules import Output
from gateway.plan import CallState, Incoming, Planner, TimedClassifiers, reading_of
from gateway.protocols.wire import Request
from gateway.redaction import apply
from gateway.redaction.placeholders import Placeholders
from gateway.routes import Routes
from gateway.rules.decide import Decision, decide, note_decision, note_redacted, note_verdicts
from gateway.rules.rule import Act, Rule
from gateway.upstreams.base import Answer
from gateway.upstreams.dispatch import Forwarder, broke_off, failed


@dataclass(kw_only=True, eq=False)
class Pipeline:
    """The way of a request. Everything it needs is passed in."""

    planner: Planner
    classifiers: TimedClassifiers
    routes: Routes
    forwarder: Forwarder
    recorder: Recorder
    metrics: Metrics
    audits: Audits
    judge: Judge
    safety_audits: SafetyAudits
    repeats: RepeatCalls
    call_log: CallLog
    review_log: TextLog
    recent_log: RecentLog
    max_answer_bytes: int

    def __post_init__(self) -> None:
        ask = self.classifiers
        self._resolver = Resolver(judge=self.judge, classify=ask.verdicts, audits=self.safety_audits)
        self._output = Output(
            ask=ask.of_rules,
            resolver=self._resolver,
            metrics=self.metrics,
            review_log=self.review_log,
            max_answer_bytes=self.max_answer_bytes,
        )

    async def answer(self, context: RequestContext, incoming: Incoming) -> Reply:
        """Answers one request. Raises ApiError; the record is the context's, and `record` closes it."""
        call = await self.planner.begin(context, incoming)
        # a proxy's requests are many, and each step that decides nothing costs all of them
        if call.snapshot.rules:
            await self.planner.plan(call)
            await self._decide(call)
            self._keep_texts(call)
            self._redact(call)
            self._note(call)
            if call.decision.act in (Act.ANSWER, Act.BLOCK, Act.ERROR):
                return await self._act(call)
        return await self._forward(call)

    def record(self, context: RequestContext) -> None:
        """Closes the request's record, however the request ended; then begins what was left for later."""
        self.recorder.finish(context)
        self.call_log.finish(context)
        self.audits.over(context)
        if context.after_response:
            self.repeats.begin(context.after_response)

    async def _decide(self, call: CallState) -> None:
        """Judges are asked where rules are unsure. A request that breaks off meanwhile becomes no pair, but where only
        its audit had a judge asked."""
        try:
            call.decision, call.resolved, call.labels = await self._resolver.decide(
                call.context,
                call.pairs,
                call.readings,
                labels=call.labels,
                shape=partial(self.audits.answers, call.request, call.scopes),
                held_out=call.snapshot.held_out,
                held=call.held,
                shown=partial(_shown, call.request),
            )
        except BaseException:
            audited = [one for one in call.opened.values() if one.audited]
            self.audits.leave(one for one in call.opened.values() if not one.audited)
            await self.audits.missed(call.context, audited)
            raise

    def _keep_texts(self, call: CallState) -> None:
        if self.recent_log.keeps:
            shown = _shown(call.request, call.pairs)
            self.recent_log.note(call.context.record, {rule.name: _texts(shown, rule) for rule in call.rules})
        if not self.review_log.keeps:
            return
        own = {
            rule.name: (verdict, reading) for (rule, verdict), reading in zip(call.pairs, call.readings, strict=True)
        }
        shown = _shown(call.request, call.pairs)
        for step in call.decision.steps:
            verdict, reading = own[step.rule.name]
            self.review_log.note(call.context, step, verdict, reading, partial(_texts, shown, step.rule))

    def _redact(self, call: CallState) -> None:
        """What cannot be redacted may be blocked instead."""
        if call.continued.values:
            call.placeholders = Placeholders(tag=call.continued.tag, values=dict(call.continued.values))
        if call.decision.redactions:
            call.placeholders = call.placeholders or Placeholders(tag=call.continued.tag)
            call.request, call.decision, counts = apply.of_request(call.request, call.decision, call.placeholders)
            self.metrics.observe_redacted(counts)
            note_redacted(call.context.record, counts)

    def _note(self, call: CallState) -> None:
        """Notes the decision in the record, and which opened calls the model's answer tells of."""
        decision = call.decision
        asked = {step.rule.name for step in decision.steps}
        reasons = {rule: unsupported.reason for rule, unsupported in call.labels.unsupported.items() if rule in asked}
        self.metrics.observe_unsupported(reasons)
        held = {rule: reason for rule, reason in call.held.items() if rule in asked}
        note_verdicts(call.context.record, decision.steps, call.snapshot.rules, call.failing)
        note_decision(call.context.record, decision, reasons | held)
        self.audits.answered(call.opened, decision)
        call.pending = self.audits.pending(call.opened, decision)
        call.context.matched_rules |= {one.rule.name: _size(one.made.content, call.request) for one in call.pending}
        if decision.redactions and call.placeholders is not None:
            # what is sent on without some of its text is not kept with all of it
            hidden = dict(call.placeholders.originals)
            call.pending = [replace(one, text=None, hidden=hidden) for one in call.pending]

    async def _act(self, call: CallState) -> Reply:
        """What is answered or blocked here. Raises Blocked and Overloaded as `reply.carry_out` does."""
        context, request, step = call.context, call.request, call.decision.step
        await self.audits.missed(context, call.pending)
        assert step is not None
        assert step.action is not None
        if step.action.own_label:
            made = call.labels.answers[step.rule.name]
            context.record.confidence = min(context.record.confidence or 0.0, made.part_confidence)
            self.recorder.save(context, _size(made.content, request), tier=_tier(request))
            return reply.label(context.record, request, made)
        if step.action.act is not Act.ERROR:
            self.recorder.save(context, _size(step.action.text, request), tier=_tier(request))
        return reply.carry_out(context.record, request, step.action, wait_s=context.wait_s)

    async def _forward(self, call: CallState) -> Reply:
        step = call.decision.step
        if step is not None and step.action is not None and step.action.model is not None:
            call.targets = self.routes.for_rule(step.action.model)
            call.context.rerouted = True
        answer = await self._ask_upstream(call)
        if isinstance(answer, Reply):
            return answer
        if call.request.remember is not None and answer.status < 300:
            await answer.listen(partial(self._remember, call, call.context.record.upstream))
        return await self._output.reply(call, answer)

    async def _remember(self, call: CallState, upstream: str, completion: Completion | None) -> None:
        """Remembers an upstream's answer that a later request may name."""
        values = call.placeholders.values if call.placeholders is not None else {}
        checked = bool(values) or any(rule.output for rule in call.matched)
        with suppress(msgspec.DecodeError, RecursionError):
            if completion is not None:
                self.planner.memory.learn(completion.meta, call.continued.owner, upstream, values, checked=checked)

    async def _ask_upstream(self, call: CallState) -> Answer | Reply:
        """Contracts learn from the answer, and from a client that leaves before it. Where the model that was asked for
        fails before its answer, that says nothing. An audited call that fails is answered here, as it would have been
        without the audit, and no fallback is asked. Where a rule sends the call elsewhere, its answer is not known."""
        context, request, headers, first = call.context, call.request, call.headers, call.targets[0]
        ready = None if context.rerouted else self._ready(call)
        try:
            targets = call.targets if ready is None else [first]
            answer = await self.forwarder.send(context, request, targets, headers)
        except (UpstreamFailed, UpstreamTimeout) as error:
            if broke_off(error) and not context.rerouted and first.answered(context.record):
                await self.audits.missed(context, call.pending)
            else:
                self.audits.void(call.pending)
            if ready is not None:
                return await self._answer_after_all(call, ready, billed=isinstance(error, UpstreamTimeout | AnswerLost))
            raise
        except BaseException:
            await self.audits.missed(context, call.pending)
            raise
        if context.rerouted:
            await self.audits.missed(context, call.pending)
            return answer
        if not first.answered(context.record):
            self.audits.void(call.pending)
            return answer
        if ready is not None and failed(answer.status):
            self.audits.void(call.pending)
            return await self._answer_after_all(call, ready)
        if request.wire.local:
            await self.call_log.listen(context, request, answer)
        if call.pending:
            ask = partial(self.repeats.ask, first=context, request=request, target=first, headers=headers)
            await self.audits.listen(context, call.pending, answer, ask=ask)
        return answer

    @staticmethod
    def _ready(call: CallState) -> Decision | None:
        """What would have been decided without the audits, where that is an answer with a label."""
        if not any(one.audited for one in call.pending):
            return None
        held = {name for name, why in call.held.items() if why != "audit"}
        decision = decide(call.resolved, {*call.labels.unsupported, *held})
        step = decision.step
        own = step is not None and step.action is not None and step.action.own_label
        return decision if own and decision.act is Act.ANSWER else None

    async def _answer_after_all(self, call: CallState, decision: Decision, *, billed: bool = False) -> Reply:
        """billed: the model may have taken the call."""
        call.decision, call.pending, record = decision, (), call.context.record
        record.flags = ""
        if not billed:
            record.upstream = record.upstream_model = ""
        note_decision(record, decision, {})
        return await self._act(call)


def _tier(request: Request) -> str:
    return bytes(request.fields.get("service_tier", b"")).decode(errors="replace").strip('"')


def _size(text: str, request: Request) -> int:
    return len(text.encode()) * request.choices


def _texts(shown: ShownTo, rule: Rule) -> Sequence[str] | None:
    seen = shown(rule)
    return None if seen is None else seen.texts


def _shown(request: Request, pairs: Pairs) -> ShownTo:
    """What a judge may see of a request: what a model would be sent of it, redacted by all rules that redact."""

    def shown(rule: Rule) -> Shown | None:
        redacted = apply.as_sent(request, pairs)
        reading = None if redacted is None else reading_of(rule, redacted)
        return None if reading is None else Shown.of(reading.texts, reading.system)

    return shown
