"""One request, in eight steps: receive, authenticate (both before this), parse, read, classify, decide, act, record.

No step looks back.
"""

import time
from collections.abc import Sequence
from typing import Protocol

from classifiers.verdict import Reading, Verdict
from gateway.errors import Blocked
from gateway.ledger.recorder import Recorder
from gateway.metrics import Metrics
from gateway.reading import roles
from gateway.reading.request import Request, parse_chat
from gateway.rules import act
from gateway.rules.decide import Decision, Step, apply, decide
from gateway.rules.match import matching
from gateway.rules.rule import Act, Action, Rule
from gateway.rules.shaped import Shaped, shaped
from gateway.types import Context, Headers, Reply
from gateway.upstreams.base import Answer
from gateway.upstreams.forward import Forwarder
from gateway.upstreams.hold import hold
from gateway.upstreams.relay import note_answer, relay, texts_of
from gateway.upstreams.routes import Routes, Target
from gateway.wire import chat, sse


class Classify(Protocol):
    """The classifiers, off the event loop. Never raises: a classifier that fails or is late gives a broken verdict."""

    async def __call__(self, readings: Sequence[Reading], deadline_s: float) -> list[Verdict]:
        """One verdict for each reading."""


class Pipeline:
    """The way of a chat request. Everything it needs is passed in."""

    def __init__(
        self,
        *,
        rules: Sequence[Rule],
        routes: Routes,
        classify: Classify,
        forwarder: Forwarder,
        recorder: Recorder,
        metrics: Metrics,
        classify_time_s: float,
        max_answer_bytes: int,
    ) -> None:
        self._rules = tuple(rules)
        self._routes = routes
        self._classify = classify
        self._forwarder = forwarder
        self._recorder = recorder
        self._metrics = metrics
        self._classify_time_s = classify_time_s
        self._max_answer_bytes = max_answer_bytes

    async def chat(self, context: Context, body: bytes, headers: Headers) -> Reply:
        """Answers one chat request. Raises ApiError; the record is the context's, and `record` closes it."""
        request = parse_chat(body)
        context.record.requested_model = request.model
        context.record.stream = request.stream
        context.message_bytes = len(request.messages)
        targets = self._routes.for_client(request.model)
        turns = roles.turns_of(request.messages) if self._rules else []
        rules, readings = met(self._rules, request.model, turns)
        verdicts = await self._ask(context, rules, readings)
        pairs = list(zip(rules, verdicts, strict=True))
        labels = shaped(request, turns, pairs)
        decision = decide(pairs, labels.unmet)
        self._note_decision(context, decision, labels)
        return await self._act(context, request, decision, targets, headers, met=rules, labels=labels)

    def record(self, context: Context) -> None:
        """Closes the request's record, however the request ended."""
        self._recorder.finish(context)

    async def _ask(self, context: Context, rules: Sequence[Rule], readings: Sequence[Reading]) -> Sequence[Verdict]:
        if not readings:
            return ()
        started = time.perf_counter()
        verdicts = await self._classify(readings, self._classify_time_s)
        context.record.classifier_s = (context.record.classifier_s or 0.0) + time.perf_counter() - started
        for rule, verdict in zip(rules, verdicts, strict=True):
            self._metrics.observe_verdict(verdict, rule.name)
        return verdicts

    def _note_decision(self, context: Context, decision: Decision, labels: Shaped) -> None:
        record = context.record
        if not decision.steps:
            return
        record.decision = {Act.ANSWER: "answer", Act.BLOCK: "block"}.get(decision.act, "forward")  # type: ignore[assignment]
        doubts = [
            f"{step.rule.name}:{step.verdict.abstention.value}" for step in decision.steps if step.verdict.abstention
        ]
        for rule, unmet in labels.unmet.items():
            doubts.append(f"{rule}:{unmet.reason}")
            self._metrics.unmet.labels(rule, unmet.reason).inc()
        record.abstentions = ",".join(doubts)
        _note_flags(context, decision.flags)
        if decision.step is not None:
            _note_step(context, decision.step)

    async def _act(
        self,
        context: Context,
        request: Request,
        decision: Decision,
        targets: Sequence[Target],
        headers: Headers,
        *,
        met: Sequence[Rule],
        labels: Shaped,
    ) -> Reply:
        step = decision.step
        if step is not None and step.action is not None and step.action.own_label:
            made = labels.made[step.rule.name]
            self._recorder.save(context, made.content)
            return act.label(request, made, context.record.request_id, _usage(context))
        if step is not None and step.action is not None and step.action.act in (Act.ANSWER, Act.BLOCK):
            self._recorder.save(context, step.action.text)
            return _local(context, request, step.action)
        if step is not None and step.action is not None and step.action.model is not None:
            targets = self._routes.for_rule(step.action.model)
            context.rerouted = True
        answer = await self._forwarder.send(context, request, targets, headers)
        rules = [rule for rule in met if rule.output and answer.status < 300]
        if answer.chunks is not None:
            return self._stream(context, request, answer, rules)
        note_answer(context.record, answer.body)
        return await self._whole(context, request, answer, rules)

    async def _whole(self, context: Context, request: Request, answer: Answer, rules: Sequence[Rule]) -> Reply:
        blocked = await self._check_output(context, rules, answer.body, stream=False)
        if blocked is not None:
            return _local(context, request, blocked)
        return Reply(status=answer.status, headers=answer.headers, body=answer.body)

    def _stream(self, context: Context, request: Request, answer: Answer, rules: Sequence[Rule]) -> Reply:
        assert answer.chunks is not None
        chunks = relay(
            context,
            answer.chunks,
            strip_usage=not request.wants_usage,
            max_bytes=self._max_answer_bytes if rules else None,
        )
        if rules:

            async def check(body: bytes) -> Reply | None:
                blocked = await self._check_output(context, rules, body, stream=True)
                try:
                    return None if blocked is None else _local(context, request, blocked)
                except Blocked as error:
                    return act.broken_off(error)

            chunks = hold(chunks, check)
        return Reply(headers=[*sse.HEADERS, *_but_content_type(answer.headers)], chunks=chunks)

    async def _check_output(
        self, context: Context, rules: Sequence[Rule], body: bytes, *, stream: bool
    ) -> Action | None:
        """The block that output rules ask for, if any."""
        if not rules:
            return None
        texts, incomplete = texts_of(body, stream=stream)
        readings = [_reading(rule, texts, incomplete) for rule in rules]
        verdicts = await self._ask(context, rules, readings)
        for rule, verdict in zip(rules, verdicts, strict=True):
            step = apply(rule, verdict)
            if step.action is not None and step.action.act is Act.FLAG:
                _note_flags(context, (step,))
            if step.action is not None and step.action.act is Act.BLOCK:
                _note_step(context, step)
                context.record.decision = "block"
                return step.action
        return None


def met(rules: Sequence[Rule], model: str, turns: Sequence[roles.Turn]) -> tuple[list[Rule], list[Reading]]:
    """The rules that a request meets, in order, and what the classifier of each is to read of it."""
    found: list[tuple[Rule, Reading]] = []
    for rule in matching(rules, model, turns):
        texts, incomplete = roles.select(turns, rule.roles, last=rule.last_turn)
        inputs = texts if rule.template is None else tuple(map(rule.template.input_of, texts))
        fitting = tuple(text for text in inputs if text is not None)
        if fitting or not texts:
            found.append((rule, _reading(rule, fitting, incomplete)))
    return [rule for rule, _ in found], [reading for _, reading in found]


def _reading(rule: Rule, texts: tuple[str, ...], incomplete: bool) -> Reading:
    return Reading(classifier=rule.classifier, texts=texts, max_windows=rule.max_windows, incomplete=incomplete)


def _local(context: Context, request: Request, action: Action) -> Reply:
    make = act.block if action.act is Act.BLOCK else act.answer
    return make(request, action, context.record.request_id, _usage(context))


def _usage(context: Context) -> chat.Usage:
    """Of an answer made here: what the call used, or would have."""
    record = context.record
    given, taken = record.input_tokens or record.saved_input_tokens, record.output_tokens or record.saved_output_tokens
    return chat.Usage(given, taken, given + taken)


def _note_step(context: Context, step: Step) -> None:
    record = context.record
    record.rule = step.rule.name
    record.label = step.label or (step.verdict.abstention.value if step.verdict.abstention else "")
    record.confidence = step.verdict.scores.get(step.label or "", step.verdict.confidence)
    record.classifier = step.verdict.classifier
    record.classifier_version = step.verdict.version


def _note_flags(context: Context, flags: Sequence[Step]) -> None:
    names = [f"{step.rule.name}:{step.label}" for step in flags]
    context.record.flags = ",".join(filter(None, [context.record.flags, *names]))


def _but_content_type(headers: Headers) -> Headers:
    return [(name, value) for name, value in headers if name != b"content-type"]
