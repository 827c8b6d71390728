"""Resolves decisions that need a judge: rules are decided again with each judge's verdict, until none is to be asked.

A rule with a safety contract takes its verdict as the contract places the call: put to the judge, flagged or passed.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from classifiers.verdict import Abstention, Reading, Verdict
from gateway.answers.build import LocalAnswers
from gateway.context import JudgeVerdict, RequestContext
from gateway.contracts.safety_contract import Zone
from gateway.contracts.safety_owner import BandPlacement, SafetyOwner
from gateway.contracts.scope import Scope, digest
from gateway.drain import InFlight
from gateway.judge.judge import Judge, JudgeAnswer, JudgeOutcome
from gateway.judge.protocol import Shown
from gateway.metrics.observe import Metrics
from gateway.routes import Routes
from gateway.rules.decide import Decision, Step, decide
from gateway.rules.rule import Act, Rule

_UNKNOWN = (Abstention.UNREAD, Abstention.LATE, Abstention.BROKEN)

Pairs = Sequence[tuple[Rule, Verdict]]
ShownTo = Callable[[Rule], Shown | None]
"""What a rule's classifier has read, as its judge may see it; None where it may not."""
Classify = Callable[[RequestContext, Sequence[Reading]], Awaitable[Sequence[Verdict]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyAudits:
    """Places calls under safety contracts, and learns from judges. routes: where judges' models are sent."""

    owner: SafetyOwner
    routes: Routes
    metrics: Metrics
    in_flight: InFlight

    def place(self, pairs: Pairs) -> Mapping[str, BandPlacement]:
        """The call's placement under each rule's contract, by rule; none where the text was not read or is empty."""
        return {
            rule.name: self.owner.place(
                scope(rule, verdict, self.routes.first(rule.asks.model)), rule.safety, _score(rule, verdict)
            )
            for rule, verdict in pairs
            if rule.asks is not None
            and rule.safety is not None
            and verdict.abstention not in _UNKNOWN
            and (verdict.abstention is not Abstention.LANGUAGE or _is_asked(rule, Abstention.LANGUAGE))
            and verdict.windows_read
        }

    def decide(
        self, pairs: Pairs, labels: LocalAnswers, *, shape: Callable[[Pairs], LocalAnswers], held: Collection[str]
    ) -> tuple[Mapping[str, BandPlacement], Pairs, LocalAnswers, Decision]:
        """The placements, the verdicts and local answers under them, and the decision before any judge is asked."""
        placements = self.place(pairs)
        if placements:
            pairs = [(rule, under_contract(rule, verdict, placements.get(rule.name))) for rule, verdict in pairs]
            labels = shape(pairs)
        return placements, pairs, labels, decide(pairs, {*labels.unsupported, *held})

    async def learn(self, context: RequestContext, rule: Rule, placement: BandPlacement, answer: JudgeAnswer) -> None:
        """Counts the judge's answer. An unreadable answer counts, since the text may be the reason. A judge that was
        late or not reached, and a fallback in its place, say nothing about the text."""
        if answer.stood_in or (not answer.given and answer.outcome is not JudgeOutcome.UNREADABLE):
            return
        unsafe = None if not answer.given else bool(answer.labels)
        zone = placement.chosen.zone
        if zone is not Zone.ASK:
            agrees = unsafe is (zone is Zone.FLAG)
            result = "missing" if unsafe is None else "agrees" if agrees else "differs"
            self.metrics.observe_pair(rule.name, result, chosen=True)
        learning = self.owner.learn(placement, request_id=context.record.request_id, unsafe=unsafe)
        await self.in_flight.finish(learning)


def scope(rule: Rule, verdict: Verdict, sent_to: str) -> Scope:
    """The contract that a call belongs to: judge, instructions, and what is read. sent_to: where the judge's model is
    sent first, as `upstream/model`."""
    assert rule.asks is not None
    assert rule.safety is not None
    reads = [*sorted(rule.roles), str(rule.last_turn)]
    pattern = rule.template.pattern if rule.template else None
    reads.append(repr(replace(rule.template, pattern=None) if rule.template else None))
    reads += [pattern.pattern] if pattern else []
    categories = (f"{label}={names}" for label, names in rule.asks.categories.items())
    return Scope(
        rule=rule.name,
        model=rule.asks.model,
        prompt=digest(rule.asks.instructions, *categories, *reads),
        labels=tuple(rule.asks.categories),
        classifier=verdict.classifier,
        version=verdict.version,
        terms=rule.safety.text,
        sent_to=sent_to,
    )


def under_contract(rule: Rule, verdict: Verdict, placement: BandPlacement | None, *, alone: bool = False) -> Verdict:
    """The verdict as the contract takes it, whatever the classifier's own thresholds are. Labels from patterns stand.
    It is unsure where the judge is to be asked; alone: by the contract's bounds alone, though a judge was to be
    asked."""
    if placement is None or rule.asks is None:
        return verdict
    labels = tuple(dict.fromkeys(passage.label for passage in verdict.spans))
    if placement.judged and not alone:
        reason = "put to the judge by its contract"
        return replace(verdict, labels=labels, abstention=Abstention.UNSURE, reason=reason)
    if placement.chosen.zone is Zone.FLAG:
        scores = {label: verdict.scores.get(label, 0.0) for label in rule.asks.categories}
        flagged = [label for label, score in scores.items() if score >= (placement.chosen.flags or 0.0)]
        labels = (*labels, *sorted(flagged, key=scores.__getitem__, reverse=True))
    confidence = verdict.scores.get(labels[0], 1.0) if labels else 1 - (placement.chosen.score or 0.0)
    return replace(verdict, labels=labels, confidence=confidence, abstention=None)


def _score(rule: Rule, verdict: Verdict) -> float | None:
    """The highest score of a learned label; None in a language that the classifier does not know."""
    assert rule.asks is not None
    if verdict.abstention is Abstention.LANGUAGE:
        return None
    return max((verdict.scores.get(label, 0.0) for label in rule.asks.categories), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """Decides requests with judges. classify: the classifiers, whose time is noted in the context's record."""

    judge: Judge
    classify: Classify
    audits: SafetyAudits

    async def decide(
        self,
        context: RequestContext,
        pairs: Pairs,
        readings: Sequence[Reading],
        *,
        labels: LocalAnswers,
        shape: Callable[[Pairs], LocalAnswers],
        held: Collection[str],
        shown: Callable[[Pairs], ShownTo],
    ) -> tuple[Decision, LocalAnswers]:
        """The decision, and the local answers for the verdicts that led to it. readings: what each rule's classifier
        has read. labels: the local answers for the verdicts, and shape: those for others, since contracts and judges
        change labels. held: rules that must not answer. shown: what a judge may see."""
        own = {rule.name: verdict for rule, verdict in pairs}
        placements, pairs, labels, decision = self.audits.decide(pairs, labels, shape=shape, held=held)
        while decision.act is Act.ASK:
            assert decision.step is not None
            step = decision.step
            reading = next(reading for (rule, _), reading in zip(pairs, readings, strict=True) if rule is step.rule)
            seen = shown(pairs)(step.rule)
            name = step.rule.name
            judged = await self.verdict(context, step, reading, seen, placement=placements.get(name), own=own[name])
            pairs = [(rule, judged if rule is step.rule else verdict) for rule, verdict in pairs]
            labels = shape(pairs)
            decision = decide(pairs, {*labels.unsupported, *held})
        return decision, labels

    async def verdict(
        self,
        context: RequestContext,
        step: Step,
        reading: Reading,
        shown: Shown | None,
        *,
        placement: BandPlacement | None = None,
        own: Verdict | None = None,
    ) -> Verdict:
        """The judge's verdict in place of the classifier's. Under a contract the judge reads all that the rule reads,
        and the contract learns from it. own: the classifier's verdict, which stands where an audit brings none, as it
        would have without the audit."""
        answer, asks = None, step.rule.asks
        if shown is not None and asks is not None:
            asked = shown if placement else await self._doubtful(context, step.rule, reading, shown)
            answer = await self.judge.ask(context, step.rule, asked)
            if answer.given and not answer.stood_in and not (asks.reads_system and asked.system):
                context.judged[step.rule.name] = JudgeVerdict(asked.texts, answer.labels)
            if placement:
                await self.audits.learn(context, step.rule, placement, answer)
        if own and placement and placement.chosen.zone is not Zone.ASK and not (answer and answer.given):
            return under_contract(step.rule, own, placement, alone=True)
        return _joined(step.rule, step.verdict, answer)

    async def _doubtful(self, context: RequestContext, rule: Rule, reading: Reading, shown: Shown) -> Shown:
        """Of several texts, those that the judge is to be asked about alone: it is not paid for the others."""
        if len(reading.texts) < 2 or len(shown.texts) != len(reading.texts):
            return shown
        each = [replace(reading, texts=(text,), incomplete=False, cut=False) for text in reading.texts]
        alone = await self.classify(context, each)
        own = zip(shown.texts, alone, strict=True)
        asked = tuple(text for text, verdict in own if any(_is_asked(rule, kind) for kind in verdict.abstentions))
        return replace(shown, texts=asked or shown.texts)


def _is_asked(rule: Rule, kind: Abstention) -> bool:
    """Whether the judge is asked where the classifier abstains so. What could not be read alone it may read."""
    return kind in _UNKNOWN or rule.otherwise[kind.value].act is Act.ASK


def _joined(rule: Rule, verdict: Verdict, answer: JudgeAnswer | None) -> Verdict:
    """A classifier's verdict with its judge's: certain labels stand, and the judge adds its own. What was not read, and
    what the judge is not asked about, stays so. Broken where the judge gave no verdict, or could not be asked
    (None)."""
    if answer is None or not answer.given:
        reason = f"the judge: {answer.outcome.value}" if answer else "its text cannot be shown to the judge"
        return replace(verdict, abstention=Abstention.BROKEN, doubts=(), reason=reason)
    left = [kind for kind in verdict.abstentions if kind in _UNKNOWN or not _is_asked(rule, kind)]
    labels = tuple(dict.fromkeys((*verdict.labels, *answer.labels)))
    first, rest = (left[0], tuple(left[1:])) if left else (None, ())
    return replace(verdict, labels=labels, abstention=first, doubts=rest, reason="judged")
