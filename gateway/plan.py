"""What rules make of a request before anything is sent: it is parsed, read, classified; audit coins are flipped.

Shared by the pipeline, which acts on it, and `offramp explain`, which prints it.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from msgspec import Struct

from classifiers.runtime.classifier import broken
from classifiers.runtime.runtime import Runtime
from classifiers.verdict import Abstention, Reading, Verdict
from gateway.answers.build import LocalAnswers
from gateway.context import Headers, RequestContext
from gateway.contracts.audit import Audits, Open
from gateway.contracts.scope import Scope
from gateway.ledger.store import LedgerError
from gateway.metrics.observe import Metrics
from gateway.protocols.json import LARGE_BYTES
from gateway.protocols.wire import SYSTEM, Request, Wire
from gateway.redaction.placeholders import Placeholders
from gateway.requests.memory import Continued, ResponseMemory
from gateway.requests.turns import passed_over, select
from gateway.routes import Routes, Target
from gateway.rules.decide import TOO_LONG, Decision
from gateway.rules.rule import Act, Rule, failing_part
from gateway.serving.snapshot import CurrentSnapshot, Snapshot

_log = logging.getLogger(__name__)
_FORWARD: Final = Decision(act=Act.FORWARD, step=None, flags=(), steps=())
_NO_LABELS: Final = LocalAnswers()


_DOUBLED_CHARS: Final = 20_000
"""A text of so many characters has twice the time of a short one."""
_MOST_CHARS: Final = 200_000
_BROKEN: Final = Abstention.BROKEN.value


class Classify(Protocol):
    """The classifiers, off the event loop. Never raises: one that fails or is late says so in its verdict."""

    async def __call__(
        self, readings: Sequence[Reading], deadline_s: float, runtime: Runtime | None, client: str, /
    ) -> list[Verdict]:
        """One verdict for each reading. runtime: of the snapshot that the request began with. client: who asks."""


class Incoming(Struct, frozen=True):
    """A request as it came in. headers: those that may be sent on; query: of its path, likewise. owner: a digest of the
    keys that it came with, where later requests may name it."""

    wire: Wire
    body: bytes
    headers: Headers
    query: str = ""
    owner: bytes = b""


class CallState(Struct, kw_only=True):
    """One request on its way. Each step fills in what the later ones read.

    targets: where it is forwarded to. continued: the conversation that it goes on with. left_out: messages of exchanges
    that were blocked. matched: the rules whose `when` holds; failing: of the others, the part of it that does not;
    rules: those that read something of it, each with its reading. pairs: these rules with their verdicts; resolved:
    with those of contracts and judges. scopes: the contracts of these, by rule. labels: answers in the requested
    format. opened: calls under a contract, by rule; held: why a rule must not answer; pending: opened calls that the
    model's answer tells of.
    """

    context: RequestContext
    request: Request
    headers: Headers
    targets: Sequence[Target]
    snapshot: Snapshot
    continued: Continued = Continued()
    left_out: int = 0
    matched: Sequence[Rule] = ()
    failing: Mapping[str, str] = {}
    rules: Sequence[Rule] = ()
    readings: Sequence[Reading] = ()
    pairs: Sequence[tuple[Rule, Verdict]] = ()
    resolved: Sequence[tuple[Rule, Verdict]] = ()
    scopes: Mapping[str, Scope] = {}
    labels: LocalAnswers = _NO_LABELS
    opened: Mapping[str, Open] = {}
    held: Mapping[str, str] = {}
    decision: Decision = _FORWARD
    placeholders: Placeholders | None = None
    pending: Sequence[Open] = ()


@dataclass(eq=False)
class TimedClassifiers:
    """The classifiers as requests ask them: timed in the record, verdicts counted. within_s: the time for a short text.
    longest: characters of a text; one that has more is not read. wait_s: how long their queue is."""

    classify: Classify
    metrics: Metrics
    within_s: float
    longest: int = 200_000
    wait_s: Callable[[], float] = lambda: 0.0

    async def verdicts(
        self, context: RequestContext, readings: Sequence[Reading], *, blocking: Collection[int] = ()
    ) -> Sequence[Verdict]:
        """One verdict for each reading. Where texts are too long it is broken, but for what the others show. blocking:
        the places of readings that are blocked for it, whatever the other texts show."""
        started = time.perf_counter()
        cut = {place: short for place, reading in enumerate(readings) if (short := self._cut(reading)) is not reading}
        at_once = {place for place, reading in cut.items() if place in blocking or not any(reading.texts)}
        asked = {place: cut.get(place, reading) for place, reading in enumerate(readings) if place not in at_once}
        within_s = self.within_s * (1 + min(_chars(asked.values()), _MOST_CHARS) / _DOUBLED_CHARS)
        answers = await self.classify([*asked.values()], within_s, context.runtime, context.client) if asked else []
        if any(verdict.abstention is Abstention.LATE for verdict in answers):
            # clients that are refused together do not come again together
            context.wait_s = self.wait_s() * random.uniform(0.7, 1.3)  # noqa: S311 - nothing hangs on it
        context.record.classifier_s = (context.record.classifier_s or 0.0) + time.perf_counter() - started
        known = dict(zip(asked, answers, strict=True))
        known |= {place: _too_long(known.get(place), readings[place], context.runtime) for place in cut}
        return [known[place] for place in range(len(readings))]

    def _cut(self, reading: Reading) -> Reading:
        """The reading without the texts that are too long, whose places stay; itself where none is."""
        texts = tuple(["" if len(text) > self.longest else text for text in reading.texts])
        return reading if texts == reading.texts else replace(reading, texts=texts, cut=True)

    async def of_rules(
        self, context: RequestContext, rules: Sequence[Rule], readings: Sequence[Reading]
    ) -> Sequence[Verdict]:
        """One verdict for each reading; those of the rules, which come first, are counted."""
        if not readings:
            return ()
        blocking = [place for place, rule in enumerate(rules) if rule.otherwise[_BROKEN].act is Act.BLOCK]
        verdicts = await self.verdicts(context, readings, blocking=blocking)
        for rule, verdict in zip(rules, verdicts, strict=False):
            self.metrics.observe_verdict(verdict, rule.name)
        return verdicts


def _chars(readings: Iterable[Reading]) -> int:
    return sum(map(len, {text for reading in readings for text in reading.texts}))


def _too_long(verdict: Verdict | None, reading: Reading, runtime: Runtime | None) -> Verdict:
    """The verdict on a reading with texts that are too long. verdict: on the others; None where they were not read."""
    if verdict is None:
        classifier = None if runtime is None else runtime.classifiers.get(reading.classifier)
        return broken(reading.classifier, TOO_LONG, "" if classifier is None else classifier.version)
    return replace(verdict, reason=TOO_LONG) if verdict.abstention is Abstention.BROKEN else verdict


@dataclass(kw_only=True, eq=False)
class Planner:
    """The first four steps of a request."""

    current: CurrentSnapshot
    routes: Routes
    classifiers: TimedClassifiers
    audits: Audits
    memory: ResponseMemory = field(default_factory=ResponseMemory)

    def __post_init__(self) -> None:
        self._large = asyncio.Lock()

    async def begin(self, context: RequestContext, incoming: Incoming) -> CallState:
        """As `parse`, with the messages read where rules need them. A large body is read in a thread, one at a time, so
        that the event loop goes on. Raises BadRequest and ModelNotFound."""
        if len(incoming.body) <= LARGE_BYTES:
            return self.parse(context, incoming)
        async with self._large:
            return await asyncio.to_thread(self._read_whole, context, incoming)

    def _read_whole(self, context: RequestContext, incoming: Incoming) -> CallState:
        call = self.parse(context, incoming)
        if call.snapshot.rules:
            self.read(call)
        return call

    def parse(self, context: RequestContext, incoming: Incoming) -> CallState:
        """Raises BadRequest and ModelNotFound."""
        request, continued = self.memory.begin(incoming.wire.parse(incoming.body), incoming.owner)
        if incoming.query:
            request.path = f"{request.path}?{incoming.query}"
        context.record.requested_model = request.model
        context.record.stream = request.stream
        context.prompt_bytes, context.attaches = request.prompt_size()
        targets = self.routes.for_client(request.model)
        if continued.upstream:
            # the conversation so far lies there
            targets = [one for one in targets if one.upstream == continued.upstream] or targets
        snapshot = self.current.snapshot
        context.runtime = snapshot.runtime
        return CallState(
            context=context,
            request=request,
            headers=incoming.headers,
            targets=targets,
            snapshot=snapshot,
            continued=continued,
        )

    async def plan(self, call: CallState) -> None:
        """All that comes between parsing and the decision. Raises BadRequest where messages cannot be read."""
        if not call.matched:
            self.read(call)
        await self.classify(call)
        await self.flip_audits(call)

    def read(self, call: CallState) -> None:
        """Finds the rules that the request meets, and what the classifier of each is to read. What was blocked before
        is taken out first: rules would block it again, and a model could go on from it."""
        rules, request = call.snapshot.rules, call.request
        call.failing = {rule.name: part for rule in rules if (part := failing_part(rule, request))}
        call.matched = [rule for rule in rules if rule.name not in call.failing]
        blocks = frozenset[str]().union(*[rule.blocks for rule in call.matched if rule.roles])
        places = passed_over(call.request.turns, blocks) if blocks else ()
        if places:
            call.request, call.left_out = call.request.without(places), len(places)
            call.context.prompt_bytes, call.context.attaches = call.request.prompt_size()
        call.rules, call.readings = read_by(call.matched, call.request)
        call.context.matched_rules = {rule.name: 0 for rule in call.rules}

    async def classify(self, call: CallState) -> None:
        """Asks the classifiers of rules, and those of their fields."""
        own = list(zip(call.rules, call.readings, strict=True))
        further = _further(own)
        asked = [*own, *further]
        verdicts = await self.classifiers.of_rules(
            call.context, [rule for rule, _ in asked], [reading for _, reading in asked]
        )
        parts = iter(verdicts)
        pairs = list(zip(call.rules, parts, strict=False))
        fields = [(rule.name, verdict) for (rule, _), verdict in zip(further, parts, strict=False)]
        call.pairs = self.audits.resolve([_joined(rule, verdict, fields) for rule, verdict in pairs])

    async def flip_audits(self, call: CallState) -> None:
        """Builds the answers in the requested format, and flips a coin for each that a contract is about. Without its
        contracts' store the call is forwarded."""
        scopes = call.scopes = self.audits.scopes(call.request, call.rules)
        try:
            await self.audits.load(scopes, call.rules)
            call.labels = self.audits.answers(call.request, scopes, call.pairs)
            if scopes:
                texts = {rule.name: one.texts for rule, one in zip(call.rules, call.readings, strict=True)}
                held_out = call.snapshot.held_out
                call.opened = await self.audits.flip(scopes, call.pairs, call.labels, texts=texts, held_out=held_out)
                call.held = self.audits.held(call.opened)
        except LedgerError as error:
            _log.error("%s; the call is forwarded", error)
            call.labels = self.audits.answers(call.request, scopes, call.pairs)
            call.held = dict.fromkeys(scopes, "contract")


def _further(own: Sequence[tuple[Rule, Reading]]) -> list[tuple[Rule, Reading]]:
    """What the classifiers of rules' fields are to read: the same as the rules' own."""
    return [
        (rule, replace(reading, classifier=name, other_languages=""))
        for rule, reading in own
        for name in dict.fromkeys(each.classifier for each in rule.further.values())
    ]


def _joined(rule: Rule, verdict: Verdict, fields: Sequence[tuple[str, Verdict]]) -> tuple[Rule, Verdict]:
    further = {each.classifier: each for name, each in fields if name == rule.name}
    return rule, replace(verdict, further=further) if further else verdict


def read_by(rules: Sequence[Rule], request: Request) -> tuple[list[Rule], list[Reading]]:
    """Those of the rules that read something of the request, in order, and what the classifier of each is to read."""
    each = [(rule, reading_of(rule, request)) for rule in rules if rule.roles]
    kept = [(rule, reading) for rule, reading in each if reading is not None]
    return [rule for rule, _ in kept], [reading for _, reading in kept]


def reading_of(rule: Rule, request: Request) -> Reading | None:
    """What a rule's classifier is to read of a request; None where no text fits the rule's template."""
    texts, incomplete = select(request.turns, rule.roles, last=rule.last_turn)
    fitting, unknown = _inputs(rule, texts)
    if texts and not fitting:
        return None
    own, _ = _inputs(rule, select(request.turns, rule.roles & SYSTEM, last=False)[0])
    return rule.reading(fitting, incomplete=incomplete, cut=unknown, system=request.system_text, alone=frozenset(own))


def _inputs(rule: Rule, texts: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """The inputs of texts that fit the rule's template; and whether the input of one of them is unknown."""
    return (tuple(texts), False) if rule.template is None else rule.template.inputs_of(texts)
