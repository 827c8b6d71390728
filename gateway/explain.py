"""What the gateway would do with a request: for `offramp explain` and the page "Try it". Nothing is sent or stored."""

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Self

from classifiers.model.registry import Registry
from classifiers.policy import OTHER
from classifiers.runtime.runtime import Runtime
from classifiers.training.neighbours import KeptNeighbours
from classifiers.verdict import Passage, Reading, SlotValue, Verdict
from gateway.answers import reply
from gateway.config.load import Loaded
from gateway.context import new_context, new_request_id
from gateway.contracts.audit import Audits
from gateway.contracts.contract import Coin, Contract, Zone
from gateway.contracts.owner import Owner
from gateway.contracts.store import ContractStore
from gateway.drain import InFlight
from gateway.errors import ApiError, BadRequest
from gateway.judge.resolve import SafetyAudits
from gateway.ledger.savings import UsageRatios
from gateway.metrics.observe import Metrics
from gateway.plan import CallState, Classify, Incoming, Planner, TimedClassifiers
from gateway.protocols.json import encode
from gateway.protocols.served import wire_at, wire_of
from gateway.protocols.wire import Request
from gateway.redaction import apply
from gateway.redaction.placeholders import Placeholders
from gateway.requests.system import fingerprint
from gateway.routes import Routes
from gateway.rules.decide import Decision
from gateway.rules.rule import Act, Rule, mismatch
from gateway.serving.snapshot import CurrentSnapshot, Snapshot, build_snapshot, load_runtime
from gateway.upstreams.dispatch import KINDS, echoes, speaking

_NOT_AUDITED: Final = 0.999
"""A coin that chooses only calls that are all chosen."""
_NEAREST: Final = 5
_ZONES: Final = {
    Zone.ANSWER: "is answered here, but for audits",
    Zone.PASS: "passes without the judge, but for audits",
    Zone.FLAG: "is flagged without the judge, but for audits",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedVerdict:
    """What a classifier says. classifier: with its version; scores: by label, `other` too where a stage knows it;
    abstained: why it names none, empty where it does not abstain."""

    classifier: str
    labels: tuple[str, ...]
    confidence: float
    scores: Mapping[str, float]
    abstained: str | None
    reason: str

    @classmethod
    def of(cls, verdict: Verdict, scores: Mapping[str, float] | None = None) -> Self:
        """scores: instead of the verdict's own."""
        return cls(
            classifier=f"{verdict.classifier}@{verdict.version}",
            labels=verdict.labels,
            confidence=round(verdict.confidence, 4),
            scores={label: round(score, 4) for label, score in (scores or verdict.scores).items()},
            abstained=verdict.abstention.value if verdict.abstention else None,
            reason=verdict.reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractState:
    """The account that a call belongs to. key: the first digits of its contract's; standing: the phase of each of its
    bounds; score: of the call, if one counts; does: what is done with it."""

    key: str
    standing: str
    paused: bool
    score: float | None
    does: str

    def __str__(self) -> str:
        score = "without a score" if self.score is None else f"at {self.score:.4f}"
        paused = " (the rule is paused)" if self.paused else ""
        return f"{self.key}, {self.standing}{paused}: the call, {score}, {self.does}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NearRow:
    """A row that the classifier was trained on. similarity: cosine with the text; source: who wrote it."""

    text: str
    labels: tuple[str, ...]
    source: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRule:
    """One rule. why_not: the setting for which it reads nothing, and what does not fit it; all else is then empty.

    reads: its texts. thresholds: by label, from where on it is named, and from where on it is in doubt, for such a
    text. when: what it does about each abstention. stage: which settled the text, of `stages`. windows: read, unread.
    parts: of several classifiers that have read it; fields: of those that fill fields. nearest: the training rows most
    like its last text, if training has left their vectors. asked: whether no rule before it
    ended the matter. does: its action, for `label`; both empty where its labels call for nothing.
    """

    rule: str
    why_not: str = ""
    reads: tuple[str, ...] = ()
    verdict: ExplainedVerdict | None = None
    thresholds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    novelty: float = 0.0
    when: Mapping[str, str] = field(default_factory=dict)
    stage: str = ""
    stages: tuple[str, ...] = ()
    slots: tuple[SlotValue, ...] = ()
    missing: tuple[str, ...] = ()
    windows: tuple[int, int] = (0, 0)
    spans: tuple[Passage, ...] = ()
    parts: tuple[ExplainedVerdict, ...] = ()
    fields: Mapping[str, ExplainedVerdict] = field(default_factory=dict)
    nearest: tuple[NearRow, ...] = ()
    contract: ContractState | None = None
    asked: bool = False
    does: str = ""
    label: str = ""

    @property
    def ranked(self) -> Sequence[tuple[str, float, tuple[float, float] | None]]:
        """Each label with its score and its thresholds, the highest score first."""
        scores = self.verdict.scores if self.verdict else {}
        return [
            (label, scores[label], self.thresholds.get(label)) for label in sorted(scores, key=lambda n: -scores[n])
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalReply:
    """What a client gets from the gateway itself: whole, and as a stream. Token counts are estimates."""

    status: int
    body: str
    stream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentCall:
    """What would be sent on: where to, under which model's name, and the body, redacted where a rule does."""

    upstream: str
    model: str
    path: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """rules: all, in order. decision: the act; by_rule, label: for which; to: the model that a rule sends it to; asks:
    the judge that would decide, and is not asked here, so that neither reply nor sent is known. template: the
    fingerprint of its system prompt; left_out: messages of exchanges that were blocked. answer: a label in the
    requested format; unsupported: why a rule cannot give one. forwards: the texts that are sent on, where redacted."""

    endpoint: str
    model: str
    template: str | None
    left_out: int
    rules: tuple[ExplainedRule, ...]
    decision: str
    by_rule: str | None
    label: str | None
    to: str | None
    asks: str | None
    answer: str | None
    unsupported: Mapping[str, str]
    flags: tuple[str, ...]
    forwards: tuple[str, ...] | None
    reply: LocalReply | None
    sent: SentCall | None


class Explainer:
    """Explains requests with the rules of a gateway's file, and its classifiers, which are loaded once.

    classify: instead of the snapshot's own classifiers. One request at a time is classified, off the event loop.
    """

    def __init__(self, loaded: Loaded, snapshot: Snapshot, classify: Classify | None = None) -> None:
        self.loaded, self.snapshot = loaded, snapshot
        self._classifiers = TimedClassifiers(classify or self._classify, Metrics(), within_s=math.inf)
        self._routes = Routes(loaded.settings.models)
        self._neighbours: dict[str, KeptNeighbours | None] = {}
        self._in_turn = asyncio.Lock()

    @classmethod
    def load(cls, loaded: Loaded, before: "Explainer | None" = None) -> Self:
        """before: one whose encoders are open already. Raises ConfigError, ArtifactError and EncoderError, as
        `load_runtime` does."""
        had = before.snapshot.runtime if before else None
        opened, detector = (had.encoders.values(), had.detector) if had else ((), None)
        return cls(loaded, build_snapshot(loaded, load_runtime(loaded, opened=opened, detector=detector)))

    @property
    def outdated(self) -> bool:
        """Whether another version of a classifier is in use by now, so that it must be loaded anew."""
        registry = Registry(self.loaded.models_dir)
        return any(registry.current(name) != version for name, version in self.snapshot.versions.items())

    def written(self, text: str, *, system: str = "", model: str = "") -> bytes:
        """The body of a chat request with the message. model: by default the first that is open to clients."""
        messages = [{"role": "system", "content": system}] if system else []
        asked = model or next(iter(self._routes.public), "any")
        return encode({"model": asked, "messages": [*messages, {"role": "user", "content": text}]})

    async def explain(self, body: bytes, path: str = "") -> Explanation:
        """What would be done with a request. path: that it comes to; empty where its body says which format it has.
        Raises ApiError where it would be refused, and LedgerError."""
        call, contracts = await self.plan(body, path)
        request, decision = call.request, call.decision
        if decision.redactions:
            request, decision, _ = apply.of_request(request, decision, Placeholders())
        step, asks = decision.step, decision.act is Act.ASK
        made = call.labels.answers.get(step.rule.name) if step else None
        local, sent = await self._ends(call, request, decision)
        near = await self._nearest(call.pairs, call.readings)
        return Explanation(
            endpoint=request.wire.endpoint,
            model=request.model,
            template=fingerprint(request.system_text) if request.system_text.strip() else None,
            left_out=call.left_out,
            rules=tuple(replace(rule, nearest=near.get(rule.rule, ())) for rule in self._rules(call, contracts)),
            decision=decision.act.name.lower(),
            by_rule=step.rule.name if step else None,
            label=step.label if step else None,
            to=step.action.model if step and step.action else None,
            asks=step.rule.asks.model if step and step.rule.asks and asks else None,
            answer=made.content if made else None,
            unsupported={name: f"{why.reason}: {why.detail}" for name, why in call.labels.unsupported.items()},
            flags=tuple(f"{flag.rule.name}:{flag.label}" for flag in decision.flags),
            forwards=tuple(text for turn in request.turns for text in turn.texts) if decision.redactions else None,
            reply=local,
            sent=sent,
        )

    async def plan(self, body: bytes, path: str = "") -> tuple[CallState, Mapping[str, ContractState]]:
        """The request with its decision, and the account of each rule that has one, by the rule's name."""
        wire = wire_at(path) if path else wire_of(body)
        if wire is None:
            raise BadRequest(f"{path}: rules read no calls of this path")
        with closing(await asyncio.to_thread(self._owner)) as owner:
            metrics, in_flight = self._classifiers.metrics, InFlight()
            audits = Audits(owner=owner, routes=self._routes, metrics=metrics, in_flight=in_flight)
            bounds = SafetyAudits(owner=owner, routes=self._routes, metrics=metrics, in_flight=in_flight)
            planner = Planner(
                current=CurrentSnapshot(self.snapshot),
                routes=self._routes,
                classifiers=self._classifiers,
                audits=audits,
            )
            call = planner.parse(new_context(new_request_id(), wire.endpoint, ""), Incoming(wire, body, []))
            await planner.plan(call)
            shape = partial(audits.answers, call.request, call.scopes)
            coins, call.pairs, call.labels, call.decision = await bounds.decide(
                call.pairs, call.labels, shape=shape, held=call.held, held_out=self.snapshot.held_out
            )
            every = {**{name: one.coin for name, one in call.opened.items()}, **coins}
            return call, dict(_states(owner, every))

    async def scores(self, classifier: str, text: str) -> list[tuple[str, float]]:
        """The labels that a classifier knows with their scores for a text, the likeliest first; none where no rule
        binds it."""
        if self.snapshot.runtime is None or classifier not in self.snapshot.versions:
            return []
        reading = Reading(classifier=classifier, texts=(text,))
        [verdict] = await self._classify([reading], 0.0, self.snapshot.runtime, "")
        return sorted(verdict.scores.items(), key=lambda pair: -pair[1])

    def _owner(self) -> Owner:
        store = ContractStore(self.loaded.ledger, read_only=True)
        return Owner(store, draw=lambda: _NOT_AUDITED, alone=False, first=self._routes.first)

    async def _classify(self, readings: Sequence[Reading], _: float, runtime: Runtime | None, __: str) -> list[Verdict]:
        assert runtime is not None
        async with self._in_turn:
            return await asyncio.to_thread(runtime.classify, readings)

    async def _nearest(
        self, pairs: Sequence[tuple[Rule, Verdict]], readings: Sequence[Reading]
    ) -> Mapping[str, tuple[NearRow, ...]]:
        """The nearest training rows of what each rule has read, by the rule's name."""
        async with self._in_turn:
            each = zip(pairs, readings, strict=True)
            return {rule.name: await asyncio.to_thread(self._near, verdict, one) for (rule, verdict), one in each}

    def _near(self, verdict: Verdict, reading: Reading) -> tuple[NearRow, ...]:
        runtime, name, text = self.snapshot.runtime, verdict.classifier, reading.texts[-1] if reading.texts else ""
        if runtime is None or not text.strip() or not verdict.windows_read:
            return ()
        if name not in self._neighbours:
            self._neighbours[name] = KeptNeighbours.load(self.loaded.models_dir, name, verdict.version)
        kept = self._neighbours[name]
        found = kept.of(runtime, name, text, count=_NEAREST) if kept else ()
        return tuple(
            NearRow(text=row["text"], labels=tuple(row["labels"]), source=row["source"], similarity=row["cosine"])
            for row in found
        )

    def _rules(self, call: CallState, contracts: Mapping[str, ContractState]) -> Iterator[ExplainedRule]:
        read = {rule.name: (verdict, one) for (rule, verdict), one in zip(call.pairs, call.readings, strict=True)}
        steps = {step.rule.name: step for step in call.decision.steps}
        for rule in self.snapshot.rules:
            if rule.name not in read:
                yield ExplainedRule(rule=rule.name, why_not=_why_unread(rule, call))
                continue
            step = steps.get(rule.name)
            yield replace(
                self._explained(rule, *read[rule.name]),
                contract=contracts.get(rule.name),
                asked=step is not None,
                does=step.action.act.name.lower() if step and step.action else "",
                label=(step.label if step else None) or "",
            )

    def _explained(self, rule: Rule, verdict: Verdict, reading: Reading) -> ExplainedRule:
        """A rule with its verdict."""
        assert self.snapshot.runtime is not None
        model, scores = self.snapshot.runtime.classifiers[verdict.classifier].model, dict(verdict.scores)
        if verdict.stage and not model.policy.multi_label and model.last.head.classes[-1] == OTHER:
            scores[OTHER] = max(1 - sum(scores.values()), 0.0)
        limits = verdict.thresholds or (model.last.thresholds if model.stages else {})
        return ExplainedRule(
            rule=rule.name,
            reads=reading.texts,
            verdict=ExplainedVerdict.of(verdict, scores),
            # what is never reached stands as 1
            thresholds={
                label: (round(min(limit.act, 1.0), 4), round(min(limit.unsure, 1.0), 4))
                for label, limit in limits.items()
            },
            novelty=round(verdict.novelty, 4),
            when={kind.value: rule.otherwise[kind.value].act.name.lower() for kind in verdict.abstentions},
            stage=verdict.stage,
            stages=tuple(stage.name for stage in model.stages),
            slots=verdict.slots,
            missing=verdict.missing,
            windows=(verdict.windows_read, verdict.windows_unread),
            spans=verdict.spans,
            parts=tuple(map(ExplainedVerdict.of, verdict.parts)),
            fields={name: ExplainedVerdict.of(verdict.further[each.classifier]) for name, each in rule.further.items()},
        )

    async def _ends(
        self, call: CallState, request: Request, decision: Decision
    ) -> tuple[LocalReply | None, SentCall | None]:
        """The reply that is made here, or the call that is sent on; neither where a judge would be asked first."""
        if decision.act is Act.ASK:
            return None, None
        if decision.act in (Act.ANSWER, Act.BLOCK, Act.ERROR):
            return await _reply(call, request, decision), None
        model, upstreams = decision.step and decision.step.action and decision.step.action.model, self.loaded.settings
        targets = self._routes.for_rule(model) if model else call.targets
        kinds = {name: "echo" if echoes(one) else one.kind for name, one in upstreams.upstreams.items()}
        try:
            target = speaking(request, targets, lambda name: KINDS[kinds[name]])[0]
        except ApiError as error:
            return _refusal(call, request, error), None
        ask_usage = getattr(upstreams.upstreams[target.upstream], "ask_usage", True)
        body = request.body_for(target.model, ask_usage=ask_usage).decode()
        return None, SentCall(upstream=target.upstream, model=target.model, path=request.path, body=body)


def _states(owner: Owner, coins: Mapping[str, Coin]) -> Iterator[tuple[str, ContractState]]:
    for name, coin in coins.items():
        contract = owner.find(coin.key)
        if contract is not None:
            elsewhere = "is put to the judge" if contract.guards else "is forwarded"
            yield (
                name,
                ContractState(
                    key=coin.key[:6],
                    standing=_standing(contract),
                    paused=coin.paused,
                    score=coin.score,
                    does=_ZONES.get(coin.zone, elsewhere) if coin.decides else elsewhere,
                ),
            )


def _standing(contract: Contract) -> str:
    """Where the bounds of a contract stand, in words."""
    words = []
    for side in contract.sides:
        name = f"{side.name}: " if contract.guards else ""
        start = "" if side.threshold is None else f" from {side.threshold:.4f}"
        words.append(f"{name}{side.phase.value}{start}")
    return ", ".join(words)


def _why_unread(rule: Rule, call: CallState) -> str:
    """Why a rule reads nothing of a request: the setting, and what does not fit it."""
    part, why = mismatch(rule, call.request)
    if part:
        return f"when.{part}: {why}"
    return "reads: no text has its after, before or regex" if rule.roles else "reads.output: it reads answers alone"


async def _reply(call: CallState, request: Request, decision: Decision) -> LocalReply:
    """What the pipeline would make of the decision."""
    context, step = call.context, decision.step
    assert step is not None
    assert step.action is not None
    made = call.labels.answers[step.rule.name] if step.action.own_label else None
    text, record, ratios = made.content if made else step.action.text, context.record, UsageRatios()
    record.saved_input_tokens = ratios.input_tokens("", "", context.prompt_bytes)
    record.saved_output_tokens = ratios.output_tokens("", "", len(text.encode()) * request.choices)
    bodies, status = [], 200
    for stream in (False, True):
        asked = replace(request, stream=stream, remember=None)
        try:
            own = reply.label(record, asked, made) if made else reply.carry_out(record, asked, step.action)
        except ApiError as error:
            return _refusal(call, request, error)
        chunks = [chunk async for chunk in own.chunks] if own.chunks else []
        bodies.append((own.body or b"".join(chunks)).decode())
        status = own.status
    return LocalReply(status=status, body=bodies[0], stream=bodies[1])


def _refusal(call: CallState, request: Request, error: ApiError) -> LocalReply:
    """An error, which is the same for a stream that has not begun."""
    body = request.wire.replies.error(error, call.context.record.request_id).decode()
    return LocalReply(status=error.status, body=body, stream=body)
