"""Resolves decisions that need a judge: rules are decided again with each judge's verdict, until none is to be asked.

A rule with a safety contract takes its verdict as the contract places the call: put to the judge, flagged or passed.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from classifiers.verdict import Abstention, Reading, Verdict
from gateway.answers.build import LocalAnswers
from gateway.context import JudgeVerdict, RequestContext
from gateway.contracts.contract import Coin, Zone
from gateway.contracts.owner import DrawnCall, Outcome, Owner
from gateway.contracts.scope import Scope, digest
from gateway.contracts.threshold import ScoreRow
from gateway.drain import InFlight
from gateway.judge.judge import Judge, JudgeAnswer, JudgeOutcome
from gateway.judge.protocol import Shown
from gateway.ledger.store import LedgerError
from gateway.metrics.observe import Metrics
from gateway.routes import Routes
from gateway.rules.decide import Decision, Step, decide
from gateway.rules.rule import Act, Rule

_log = logging.getLogger(__name__)
_UNKNOWN = (Abstention.UNREAD, Abstention.LATE, Abstention.BROKEN)

Pairs = Sequence[tuple[Rule, Verdict]]
ShownTo = Callable[[Rule], Shown | None]
"""What a rule's classifier has read, as its judge may see it; None where it may not."""
Classify = Callable[[RequestContext, Sequence[Reading]], Awaitable[Sequence[Verdict]]]
HeldOut = Callable[[str], Sequence[ScoreRow]]
"""Scores of a classifier's training, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyAudits:
    """Flips coins of calls under safety contracts, and learns from judges. routes: where judges' models are sent."""

    owner: Owner
    routes: Routes
    metrics: Metrics
    in_flight: InFlight

    async def flip(
        self, pairs: Pairs, *, held_out: HeldOut, known: Callable[[Rule], bool] = lambda _: False
    ) -> Mapping[str, Coin]:
        """The call's coin under each rule's contract, by rule; none where the text was not read or is empty. known:
        whether a rule's judge has judged the text before. Raises LedgerError; no coin is left open then."""
        coins: dict[str, Coin] = {}
        for rule, verdict in pairs:
            if rule.asks is None or rule.safety is None or not _is_drawn(rule, verdict):
                continue
            call = DrawnCall(
                scope=scope(rule, self.routes.first(rule.asks.model)),
                terms=rule.safety,
                version=verdict.version,
                score=_score(rule, verdict),
                held_out=held_out(rule.classifier),
                known=known(rule),
            )
            try:
                coins[rule.name] = await self.owner.draw(call)
            except BaseException:
                self.owner.leave(*coins.values())
                raise
        return coins

    async def decide(
        self,
        pairs: Pairs,
        labels: LocalAnswers,
        *,
        shape: Callable[[Pairs], LocalAnswers],
        held: Collection[str],
        held_out: HeldOut,
        known: Callable[[Rule], bool] = lambda _: False,
    ) -> tuple[Mapping[str, Coin], Pairs, LocalAnswers, Decision]:
        """The coins, the verdicts and local answers under them, and the decision before any judge is asked. Without
        the contracts' store the judge decides."""
        try:
            coins = await self.flip(pairs, held_out=held_out, known=known)
        except LedgerError as error:
            _log.error("%s; the judge is asked", error)
            coins = {rule.name: Coin(key="") for rule, verdict in pairs if _is_drawn(rule, verdict)}
        if coins:
            pairs = [(rule, under_contract(rule, verdict, coins.get(rule.name))) for rule, verdict in pairs]
            labels = shape(pairs)
        decision = decide(pairs, {*labels.unsupported, *held})
        for step in decision.steps:
            if step.rule.name in coins and coins[step.rule.name].decides:
                self.owner.answered(coins[step.rule.name])
        return coins, pairs, labels, decision

    async def learn(self, context: RequestContext, rule: Rule, coin: Coin, answer: JudgeAnswer | None) -> None:
        """Counts the judge's answer. An unreadable answer counts, since the text may be the reason. A judge that was
        late, not reached or not to be shown the text, and a fallback in its place, say nothing about the text."""
        unreadable = answer is not None and answer.outcome is JudgeOutcome.UNREADABLE
        audited = coin.zone is not Zone.ASK
        if answer is None or answer.stood_in or not (answer.given or unreadable):
            self.owner.leave(coin)
            self.metrics.observe_pair(rule.name, "void", audited=audited)
            return
        verdict = "missing" if unreadable else "unsafe" if answer.labels else "safe"
        if audited:
            agrees = (verdict == "unsafe") is (coin.zone is Zone.FLAG)
            result = "missing" if unreadable else "agrees" if agrees else "differs"
            self.metrics.observe_pair(rule.name, result, audited=True)
        outcome = Outcome(request_id=context.record.request_id, result=verdict, label=",".join(answer.labels))
        await self.in_flight.finish(self.owner.learn(coin, outcome))


def scope(rule: Rule, sent_to: str) -> Scope:
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
        classifier=rule.classifier,
        terms=rule.safety.text,
        sent_to=sent_to,
    )


def _is_drawn(rule: Rule, verdict: Verdict) -> bool:
    """Whether a rule's contract says what becomes of a verdict, and not the rule itself."""
    foreign = verdict.abstention is Abstention.LANGUAGE and not _is_asked(rule, Abstention.LANGUAGE)
    under = rule.safety is not None and bool(verdict.windows_read)
    return under and not foreign and verdict.abstention not in _UNKNOWN


def under_contract(rule: Rule, verdict: Verdict, coin: Coin | None, *, alone: bool = False) -> Verdict:
    """The verdict as the contract takes it, whatever the classifier's own thresholds are. Labels from patterns stand.
    It is unsure where the judge is to be asked; alone: by the contract alone, though a judge was to be asked."""
    if coin is None or rule.asks is None:
        return verdict
    labels = tuple(dict.fromkeys(passage.label for passage in verdict.spans))
    if not coin.decides and not alone:
        reason = "put to the judge by its contract"
        return replace(verdict, labels=labels, abstention=Abstention.UNSURE, reason=reason)
    if coin.zone is Zone.FLAG:
        scores = {label: verdict.scores.get(label, 0.0) for label in rule.asks.categories}
        flagged = [label for label, score in scores.items() if score >= coin.threshold]
        labels = (*labels, *sorted(flagged, key=scores.__getitem__, reverse=True))
    confidence = verdict.scores.get(labels[0], 1.0) if labels else 1 - (coin.score or 0.0)
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
        held_out: HeldOut,
        shown: Callable[[Pairs], ShownTo],
    ) -> tuple[Decision, Pairs, LocalAnswers]:
        """The decision, the verdicts that led to it, and the local answers for these. readings: what each rule's
        classifier has read. labels: the local answers for the verdicts, and shape: those for others, since contracts
        and judges change labels. held: rules that must not answer. shown: what a judge may see."""
        own = {rule.name: verdict for rule, verdict in pairs}
        see = shown(pairs)
        coins, pairs, labels, decision = await self.audits.decide(
            pairs,
            labels,
            shape=shape,
            held=held,
            held_out=held_out,
            known=lambda rule: self.judge.knows(rule, see(rule)),
        )
        waiting = {name: coin for name, coin in coins.items() if coin.checked}
        try:
            while decision.act is Act.ASK:
                assert decision.step is not None
                step, name = decision.step, decision.step.rule.name
                reading = next(reading for (rule, _), reading in zip(pairs, readings, strict=True) if rule is step.rule)
                seen, coin = shown(pairs)(step.rule), waiting.pop(name, None)
                judged = await self.verdict(context, step, reading, seen, coin=coin, own=own[name])
                pairs = [(rule, judged if rule is step.rule else verdict) for rule, verdict in pairs]
                labels = shape(pairs)
                decision = decide(pairs, {*labels.unsupported, *held})
        finally:
            # their judges were not asked: another rule has decided, or the client has left
            self.audits.owner.leave(*waiting.values())
        return decision, pairs, labels

    async def verdict(
        self,
        context: RequestContext,
        step: Step,
        reading: Reading,
        shown: Shown | None,
        *,
        coin: Coin | None = None,
        own: Verdict | None = None,
    ) -> Verdict:
        """The judge's verdict in place of the classifier's. Under a contract the judge reads all that the rule reads,
        and the contract learns from it. own: the classifier's verdict, which stands where an audit brings none, as it
        would have without the audit."""
        asks, rule = step.rule.asks, step.rule
        asked = await self._doubtful(context, rule, reading, shown) if shown and not coin else shown
        asking = self._ask(context, rule, asked, coin)
        # a client that leaves where no fast answer comes would hide what its coin chose
        audited = coin is not None and coin.zone is not Zone.ASK
        answer = await (self.audits.in_flight.finish(asking) if audited else asking)
        alone = asked is not None and not (asks and asks.reads_system and asked.system)
        if alone and asked and answer and answer.given and not answer.stood_in:
            context.judged[rule.name] = JudgeVerdict(asked.texts, answer.labels)
        if own and coin and coin.zone is not Zone.ASK and not (answer and answer.given):
            return under_contract(rule, own, coin, alone=True)
        return _joined(rule, step.verdict, answer)

    async def _ask(
        self, context: RequestContext, rule: Rule, shown: Shown | None, coin: Coin | None
    ) -> JudgeAnswer | None:
        answer = None
        try:
            if shown is not None:
                answer = await self.judge.ask(context, rule, shown)
        finally:
            if coin:
                await self.audits.learn(context, rule, coin, answer)
        return answer

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
