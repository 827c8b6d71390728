"""One request, in eight steps: receive, authenticate (both before this), parse, read, classify, decide, act, record.

No step looks back.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from classifiers.runtime.runtime import Runtime, key_of_version
from classifiers.verdict import Reading, Verdict
from gateway.answers.build import LocalAnswers, local_answers
from gateway.context import Headers, Reply, RequestContext
from gateway.contracts.audit import Audits, Open
from gateway.contracts.repeat_calls import RepeatCalls
from gateway.judge.judge import Judge
from gateway.judge.protocol import Shown
from gateway.judge.resolve import Pairs, Resolver, SafetyAudits, ShownTo
from gateway.ledger.call_log import CallLog
from gateway.ledger.recorder import Recorder
from gateway.metrics.observe import Metrics
from gateway.output_rules import Output
from gateway.redaction import apply
from gateway.redaction.placeholders import Placeholders
from gateway.requests import messages
from gateway.requests.parse import Request, parse_chat
from gateway.rules import act
from gateway.rules.decide import Decision, note_decision, note_redacted
from gateway.rules.rule import Act, Rule, matching
from gateway.serving.snapshot import Snapshots
from gateway.upstreams.base import Answer, Routes, Target, answered_by
from gateway.upstreams.dispatch import Forwarder


class Classify(Protocol):
    """The classifiers, off the event loop. Never raises: a classifier that fails or is late gives a broken verdict."""

    async def __call__(
        self, readings: Sequence[Reading], deadline_s: float, runtime: Runtime | None, /
    ) -> list[Verdict]:
        """One verdict for each reading. runtime: of the edition that the request began with."""


class Pipeline:
    """The way of a chat request. Everything it needs is passed in."""

    def __init__(
        self,
        *,
        in_use: Snapshots,
        routes: Routes,
        classify: Classify,
        forwarder: Forwarder,
        recorder: Recorder,
        metrics: Metrics,
        audits: Audits,
        judge: Judge,
        bounds: SafetyAudits,
        repeats: RepeatCalls,
        keeping: CallLog,
        classify_time_s: float,
        max_answer_bytes: int,
    ) -> None:
        self._in_use = in_use
        self._routes = routes
        self._classify = classify
        self._forwarder = forwarder
        self._recorder = recorder
        self._metrics = metrics
        self._audits = audits
        self._repeats = repeats
        self._keeping = keeping
        self._classify_time_s = classify_time_s
        self._resolver = Resolver(judge=judge, classify=self._timed, audits=bounds)
        self._output = Output(
            ask=self._ask, resolver=self._resolver, metrics=metrics, max_answer_bytes=max_answer_bytes
        )

    async def chat(self, context: RequestContext, body: bytes, headers: Headers) -> Reply:
        """Answers one chat request. Raises ApiError; the record is the context's, and `record` closes it."""
        request = parse_chat(body)
        context.record.requested_model = request.model
        context.record.stream = request.stream
        context.prompt_bytes, context.attaches = request.prompt_bytes, request.attaches
        targets = self._routes.for_client(request.model)
        edition = self._in_use.edition
        context.runtime = edition.runtime
        if not edition.rules:
            return await self._pass_through(context, request, targets, headers)
        rules, readings = met(edition.rules, request)
        context.met = {rule.name: 0 for rule in rules}
        beside = tried(rules, readings, edition.proposed)
        verdicts = await self._ask(context, rules, [*readings, *(reading for _, reading in beside)])
        pairs = self._audits.resolve(list(zip(rules, verdicts, strict=False)))
        labels = local_answers(request, pairs)
        opened = self._audits.flip(
            request,
            pairs,
            labels,
            tried=[(rule, verdict) for (rule, _), verdict in zip(beside, verdicts[len(rules) :], strict=True)],
            texts={rule.name: "\n".join(r.texts) for rule, r in zip(rules, readings, strict=True) if rule.retrains},
        )
        held = self._audits.held(opened)
        try:
            decision, labels = await self._resolver.decide(
                context,
                pairs,
                readings,
                labels=labels,
                shape=partial(local_answers, request),
                held=held,
                shown=partial(shown, request),
            )
        except BaseException:
            self._audits.leave(opened.values())
            raise
        placeholders = Placeholders()
        if decision.redactions:
            request, decision, counts = apply.of_request(request, decision, placeholders)
            self._metrics.observe_redacted(counts)
            note_redacted(context.record, counts)
        asked = {step.rule.name for step in decision.steps}
        reasons = {rule: unsupported.reason for rule, unsupported in labels.unsupported.items() if rule in asked}
        self._metrics.observe_unmet(reasons)
        note_decision(context.record, decision, reasons | {rule: why for rule, why in held.items() if rule in asked})
        self._audits.answered(opened, decision)
        pending = self._audits.pending(opened, decision)
        context.met |= {one.rule.name: _size(one.made.content, request) for one in pending}
        if decision.redactions:
            # what is sent on without some of its text is not kept with all of it
            pending = [replace(one, text=None, hidden=dict(placeholders.originals)) for one in pending]
        if decision.act in (Act.ANSWER, Act.BLOCK):
            await self._audits.missed(context, pending)
            return self._act(context, request, decision, labels)
        if decision.step is not None and decision.step.action is not None and decision.step.action.model is not None:
            targets = self._routes.for_rule(decision.step.action.model)
            context.rerouted = True
        answer = await self._forward(context, request, targets, headers, pending)
        return await self._output.reply(
            context, request, answer, met=matching(edition.rules, request), placeholders=placeholders
        )

    async def _pass_through(
        self, context: RequestContext, request: Request, targets: Sequence[Target], headers: Headers
    ) -> Reply:
        """A request where there are no rules: a proxy's are many, and each step that decides nothing costs all of
        them."""
        answer = await self._forward(context, request, targets, headers, ())
        return await self._output.reply(context, request, answer, met=(), placeholders=Placeholders())

    def record(self, context: RequestContext) -> None:
        """Closes the request's record, however the request ended; then begins what was left for later."""
        self._recorder.finish(context)
        self._keeping.finish(context)
        self._audits.over(context)
        if context.later:
            self._repeats.begin(context.later)

    async def _ask(
        self, context: RequestContext, rules: Sequence[Rule], readings: Sequence[Reading]
    ) -> Sequence[Verdict]:
        if not readings:
            return ()
        verdicts = await self._timed(context, readings)
        for rule, verdict in zip(rules, verdicts, strict=False):
            self._metrics.observe_verdict(verdict, rule.name)
        return verdicts

    async def _timed(self, context: RequestContext, readings: Sequence[Reading]) -> Sequence[Verdict]:
        started = time.perf_counter()
        verdicts = await self._classify(readings, self._classify_time_s, context.runtime)
        context.record.classifier_s = (context.record.classifier_s or 0.0) + time.perf_counter() - started
        return verdicts

    def _act(self, context: RequestContext, request: Request, decision: Decision, labels: LocalAnswers) -> Reply:
        """What is answered or blocked here. Raises Blocked where a block is to be an HTTP error."""
        step = decision.step
        assert step is not None
        assert step.action is not None
        if step.action.own_label:
            made = labels.answers[step.rule.name]
            self._recorder.save(context, _size(made.content, request))
            return act.label(request, made, context.record.request_id, act.usage_of(context.record))
        self._recorder.save(context, _size(step.action.text, request))
        return act.carry_out(context.record, request, step.action)

    async def _forward(
        self,
        context: RequestContext,
        request: Request,
        targets: Sequence[Target],
        headers: Headers,
        pending: Sequence[Open],
    ) -> Answer:
        """The upstream's answer. Contracts learn from it, and from its not coming; where another model answers, as a
        rule says or as a fallback, the one that was asked for did not."""
        try:
            answer = await self._forwarder.send(context, request, targets, headers)
        except BaseException:
            await self._audits.missed(context, pending)
            raise
        if context.rerouted or answered_by(context.record) != targets[0]:
            await self._audits.missed(context, pending)
            return answer
        await self._keeping.listen(context, request, answer)
        if pending:
            ask = partial(self._repeats.ask, first=context, request=request, target=targets[0], headers=headers)
            await self._audits.listen(context, pending, answer, ask=ask)
        return answer


def _size(text: str, request: Request) -> int:
    """The bytes of an answer made here, all its choices together."""
    return len(text.encode()) * request.choices


def shown(request: Request, pairs: Pairs) -> ShownTo:
    """What a judge may see of a request: what a model would be sent of it, redacted by all rules that redact."""
    redacted = apply.as_sent(request, pairs)

    def seen(rule: Rule) -> Shown | None:
        if redacted is None:
            return None
        reading = _reading(rule, redacted)
        return None if reading is None else Shown.of(reading.texts, reading.system)

    return seen


def tried(
    rules: Sequence[Rule], readings: Sequence[Reading], proposed: Mapping[str, str]
) -> list[tuple[Rule, Reading]]:
    """The rules under a contract whose classifier has a version that is tried, and what that one is to read."""
    return [
        (rule, replace(reading, classifier=key_of_version(rule.classifier, proposed[rule.classifier])))
        for rule, reading in zip(rules, readings, strict=True)
        if rule.terms is not None and rule.classifier in proposed
    ]


def met(rules: Sequence[Rule], request: Request) -> tuple[list[Rule], list[Reading]]:
    """The rules that a request meets and that read of it, in order, and what the classifier of each is to read."""
    each = [(rule, _reading(rule, request)) for rule in matching(rules, request) if rule.roles]
    found = [(rule, reading) for rule, reading in each if reading is not None]
    return [rule for rule, _ in found], [reading for _, reading in found]


def _reading(rule: Rule, request: Request) -> Reading | None:
    """What a rule's classifier is to read of a request that the rule meets; None where nothing fits its template."""
    texts, incomplete = messages.select(request.turns, rule.roles, last=rule.last_turn)
    fitting, unknown = _inputs(rule, texts)
    if texts and not fitting:
        return None
    own, _ = _inputs(rule, messages.select(request.turns, rule.roles & messages.SYSTEM, last=False)[0])
    return rule.reading(fitting, incomplete=incomplete or unknown, system=request.system_text, alone=frozenset(own))


def _inputs(rule: Rule, texts: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """What a rule reads of texts: those that fit its template; and whether it is not known what that is of one."""
    return (tuple(texts), False) if rule.template is None else rule.template.inputs_of(texts)
