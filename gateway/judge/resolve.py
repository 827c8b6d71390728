"""Decisions with the judges asked: rules are decided anew with each judge's verdict, until no judge is left to ask.

Safety rules under a contract: where each call lies, what the classifier's verdict then is, what the judge's says.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from classifiers.verdict import Abstention, Reading, Verdict
from gateway.answers.build import LocalAnswers
from gateway.context import RequestContext
from gateway.contracts.safety_contract import Zone
from gateway.contracts.safety_owner import BandPlacement, SafetyOwner
from gateway.contracts.scope import Scope, digest
from gateway.drain import InFlight
from gateway.judge.judge import Judge, JudgeAnswer, JudgeOutcome
from gateway.judge.protocol import Shown
from gateway.metrics.observe import Metrics
from gateway.rules.decide import Decision, Step, decide
from gateway.rules.rule import Act, Rule
from gateway.upstreams.base import Routes

_UNKNOWN = (Abstention.UNREAD, Abstention.BROKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """owner: of all safety contracts; routes: where judges are."""

    owner: SafetyOwner
    routes: Routes
    metrics: Metrics
    in_flight: InFlight

    def place(self, pairs: Sequence[tuple[Rule, Verdict]]) -> Mapping[str, BandPlacement]:
        """Where the call lies under each rule's contract, by the rule's name. What was not read, or held no text, is
        decided without one."""
        return {
            rule.name: self.owner.place(
                scope(rule, verdict, self.routes.first(rule.asks.model)), rule.safety, _score(rule, verdict)
            )
            for rule, verdict in pairs
            if rule.asks is not None
            and rule.safety is not None
            and verdict.abstention not in _UNKNOWN
            and verdict.windows_read
        }

    async def learn(self, context: RequestContext, rule: Rule, placed: BandPlacement, judged: JudgeAnswer) -> None:
        """Takes in what the judge said. A judge that could not be reached, or was too slow, says nothing of the text;
        what it answered and cannot be read may well be because of the text. A fallback's verdict is no word of its."""
        if judged.stood_in or (not judged.given and judged.outcome is not JudgeOutcome.UNREADABLE):
            return
        unsafe = None if not judged.given else bool(judged.labels)
        zone = placed.chosen.zone
        if zone is not Zone.ASK:
            agrees = unsafe is (zone is Zone.FLAG)
            result = "missing" if unsafe is None else "agrees" if agrees else "differs"
            self.metrics.observe_pair(rule.name, result, chosen=True)
        learning = self.owner.learn(placed, request_id=context.record.request_id, unsafe=unsafe)
        await self.in_flight.finish(learning)


def scope(rule: Rule, verdict: Verdict, sent_to: str) -> Scope:
    """The contract that a call belongs to: whoever judges, by which words, and what is read. sent_to: where the judge's
    model is sent first, as `upstream/model`."""
    assert rule.asks is not None
    assert rule.safety is not None
    reads = [*sorted(rule.roles), str(rule.last_turn), str(rule.max_windows)]
    if rule.template is None or rule.template.pattern is None:
        reads.append(repr(rule.template))
    else:
        reads += [repr(replace(rule.template, pattern=None)), rule.template.pattern.pattern]
    return Scope(
        rule=rule.name,
        model=rule.asks.model,
        prompt=digest(rule.asks.told, *(f"{label}={names}" for label, names in rule.asks.categories.items()), *reads),
        labels=tuple(rule.asks.categories),
        classifier=verdict.classifier,
        version=verdict.version,
        terms=rule.safety.text,
        sent_to=sent_to,
    )


def told(rule: Rule, verdict: Verdict, placed: BandPlacement | None) -> Verdict:
    """The verdict as the contract takes it: unsure where the judge is to be asked, whatever the classifier's own
    thresholds say. Labels told by patterns stand."""
    if placed is None:
        return verdict
    if placed.judged:
        found = tuple(dict.fromkeys(passage.label for passage in verdict.spans))
        return replace(verdict, labels=found, abstention=Abstention.UNSURE, reason="put to the judge by its contract")
    return local(rule, verdict, placed)


def local(rule: Rule, verdict: Verdict, placed: BandPlacement) -> Verdict:
    """The verdict without the judge, where the contract lets it stand."""
    found = tuple(dict.fromkeys(passage.label for passage in verdict.spans))
    if placed.chosen.zone is Zone.FLAG:
        assert rule.asks is not None
        scores = {label: verdict.scores.get(label, 0.0) for label in rule.asks.categories}
        flags = placed.chosen.flags or 0.0
        named = sorted((label for label in scores if scores[label] >= flags), key=lambda label: -scores[label])
        found = (*found, *named)
    certain = verdict.scores.get(found[0], 1.0) if found else 1 - (placed.chosen.score or 0.0)
    return replace(verdict, labels=found, confidence=certain, abstention=None)


def _score(rule: Rule, verdict: Verdict) -> float | None:
    """How likely it is that any label which is learned holds; None for a text in a language that the policy does not
    name, of which the classifier knows nothing."""
    assert rule.asks is not None
    if verdict.abstention is Abstention.LANGUAGE:
        return None
    return max((verdict.scores.get(label, 0.0) for label in rule.asks.categories), default=0.0)


_NOT_SHOWN = "its text cannot be shown to the judge"
Pairs = Sequence[tuple[Rule, Verdict]]
ShownTo = Callable[[Rule], Shown | None]
"""What a rule's classifier has read, as it may be shown to a judge; None where it may not."""
Classify = Callable[[RequestContext, Sequence[Reading]], Awaitable[Sequence[Verdict]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """judge: of all rules; classify: the classifiers, whose time is noted in the context's record; bounds: under which
    rules decide by themselves."""

    judge: Judge
    classify: Classify
    bounds: Bounds

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
        """What is decided, and what can be answered then: a contract and a judge name labels that the classifier did
        not. readings: what each rule's classifier has read; labels: what the verdicts come to in the caller's shape,
        and shape: what others would; held: rules that answer nothing; shown: what of the texts a judge may see."""
        placed = self.bounds.place(pairs)
        own = {rule.name: verdict for rule, verdict in pairs}
        if placed:
            pairs = [(rule, told(rule, verdict, placed.get(rule.name))) for rule, verdict in pairs]
            labels = shape(pairs)
        while True:
            decision = decide(pairs, {*labels.unmet, *held})
            if decision.act is not Act.ASK:
                return decision, labels
            assert decision.step is not None
            asking = decision.step
            reading = next(one for (rule, _), one in zip(pairs, readings, strict=True) if rule is asking.rule)
            seen = shown(pairs)(asking.rule)
            under = placed.get(asking.rule.name)
            if under is None:
                verdict = await self.verdict(context, asking, reading, seen)
            else:
                verdict = await self._under_contract(context, asking, own[asking.rule.name], under, seen)
            pairs = [(rule, verdict if rule is asking.rule else one) for rule, one in pairs]
            labels = shape(pairs)

    async def verdict(self, context: RequestContext, step: Step, reading: Reading, shown: Shown | None) -> Verdict:
        """The judge's verdict in place of the classifier's."""
        if shown is None:
            return _broken(step.verdict, _NOT_SHOWN)
        doubtful = await self._doubtful(context, reading, shown)
        return settled(step.verdict, await self.judge.ask(context, step.rule, doubtful))

    async def _under_contract(
        self, context: RequestContext, step: Step, own: Verdict, placed: BandPlacement, shown: Shown | None
    ) -> Verdict:
        """The judge's verdict on all that the rule reads, which the contract learns from. own: the classifier's; it
        stands where an audit brings no verdict, for without the audit it had stood as well."""
        stands = placed.chosen.zone is not Zone.ASK
        if shown is None:
            return local(step.rule, own, placed) if stands else _broken(step.verdict, _NOT_SHOWN)
        judged = await self.judge.ask(context, step.rule, shown)
        await self.bounds.learn(context, step.rule, placed, judged)
        if not judged.given and stands:
            return local(step.rule, own, placed)
        return settled(step.verdict, judged)

    async def _doubtful(self, context: RequestContext, reading: Reading, shown: Shown) -> Shown:
        """Of several texts, those that the classifier does not settle by themselves: an earlier turn that is sure is
        not paid for, and one that was judged is remembered."""
        if len(reading.texts) < 2 or len(shown.texts) != len(reading.texts):
            return shown
        each = [replace(reading, texts=(text,), incomplete=False) for text in reading.texts]
        alone = await self.classify(context, each)
        found = tuple(text for text, one in zip(shown.texts, alone, strict=True) if one.abstention is not None)
        return replace(shown, texts=found or shown.texts)


def settled(verdict: Verdict, judged: JudgeAnswer) -> Verdict:
    """A classifier's verdict with its judge's: labels that it was certain of stand, the judge says of the others
    whether they do. What was not read is not judged either. Broken where the judge gave no verdict."""
    if not judged.given:
        return _broken(verdict, f"the judge: {judged.outcome.value}")
    unread = Abstention.UNREAD if verdict.abstention is Abstention.UNREAD else None
    labels = (*verdict.labels, *(label for label in judged.labels if label not in verdict.labels))
    return replace(verdict, labels=labels, abstention=unread, doubt=None, reason="judged")


def _broken(verdict: Verdict, reason: str) -> Verdict:
    return replace(verdict, abstention=Abstention.BROKEN, doubt=None, reason=reason)
