"""Decisions with the judges asked: rules are decided anew with each judge's verdict, until no judge is left to ask."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace

from classifiers.verdict import Abstention, Reading, Verdict
from gateway.contract.safety import Zone
from gateway.contract.safety_owner import Placed
from gateway.judge.contracted import Bounds, local, told
from gateway.judge.judge import Judge, Judged
from gateway.judge.question import Shown
from gateway.rules.decide import Decision, Step, decide
from gateway.rules.rule import Act, Rule
from gateway.rules.shaped import Shaped
from gateway.types import Context

_NOT_SHOWN = "its text cannot be shown to the judge"
Pairs = Sequence[tuple[Rule, Verdict]]
ShownTo = Callable[[Rule], Shown | None]
"""What a rule's classifier has read, as it may be shown to a judge; None where it may not."""
Classify = Callable[[Context, Sequence[Reading]], Awaitable[Sequence[Verdict]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """judge: of all rules; classify: the classifiers, whose time is noted in the context's record; bounds: under which
    rules decide by themselves."""

    judge: Judge
    classify: Classify
    bounds: Bounds

    async def decide(
        self,
        context: Context,
        pairs: Pairs,
        readings: Sequence[Reading],
        *,
        labels: Shaped,
        shape: Callable[[Pairs], Shaped],
        held: Collection[str],
        shown: Callable[[Pairs], ShownTo],
    ) -> tuple[Decision, Shaped]:
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

    async def verdict(self, context: Context, step: Step, reading: Reading, shown: Shown | None) -> Verdict:
        """The judge's verdict in place of the classifier's."""
        if shown is None:
            return _broken(step.verdict, _NOT_SHOWN)
        doubtful = await self._doubtful(context, reading, shown)
        return settled(step.verdict, await self.judge.ask(context, step.rule, doubtful))

    async def _under_contract(
        self, context: Context, step: Step, own: Verdict, placed: Placed, shown: Shown | None
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

    async def _doubtful(self, context: Context, reading: Reading, shown: Shown) -> Shown:
        """Of several texts, those that the classifier does not settle by themselves: an earlier turn that is sure is
        not paid for, and one that was judged is remembered."""
        if len(reading.texts) < 2 or len(shown.texts) != len(reading.texts):
            return shown
        each = [replace(reading, texts=(text,), incomplete=False) for text in reading.texts]
        alone = await self.classify(context, each)
        found = tuple(text for text, one in zip(shown.texts, alone, strict=True) if one.abstention is not None)
        return replace(shown, texts=found or shown.texts)


def settled(verdict: Verdict, judged: Judged) -> Verdict:
    """A classifier's verdict with its judge's: labels that it was certain of stand, the judge says of the others
    whether they do. What was not read is not judged either. Broken where the judge gave no verdict."""
    if not judged.given:
        return _broken(verdict, f"the judge: {judged.outcome.value}")
    unread = Abstention.UNREAD if verdict.abstention is Abstention.UNREAD else None
    labels = (*verdict.labels, *(label for label in judged.labels if label not in verdict.labels))
    return replace(verdict, labels=labels, abstention=unread, doubt=None, reason="judged")


def _broken(verdict: Verdict, reason: str) -> Verdict:
    return replace(verdict, abstention=Abstention.BROKEN, doubt=None, reason=reason)
