"""Rules under a contract in the request path: coins before the decision, the reference's answers after it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from classifiers.verdict import Verdict
from gateway.answers.build import LocalAnswer, LocalAnswers, local_answers
from gateway.answers.compare import Result, Values, compare, compare_again, forms_shown
from gateway.answers.parse import Completion, label_in
from gateway.context import RequestContext
from gateway.contracts.audit_scope import likeliest_of_all, scope
from gateway.contracts.contract import Flipped
from gateway.contracts.owner import Owner
from gateway.contracts.scope import among
from gateway.drain import InFlight
from gateway.metrics.observe import Metrics
from gateway.protocols.wire import Request
from gateway.redaction.apply import restore
from gateway.routes import Routes
from gateway.rules.decide import Decision
from gateway.rules.rule import Act, Rule
from gateway.upstreams.base import Answer

Judged = Sequence[tuple[Rule, Verdict]]
Ask = Callable[[str], Awaitable[Completion | None]]
"""Sends a call again for a rule: the answer, if there is one."""
_OK = range(200, 300)
ASK_AGAIN = 0.02  # of the calls that certify; shows how often the model contradicts itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A call that may become a pair: what would be answered here, and how its coin fell."""

    rule: Rule
    flipped: Flipped
    sure: bool  # answered here, unless its coin chose it
    made: LocalAnswer
    label: str
    confidence: float  # 0..1, of the label, or of the answer's least certain part
    novelty: float  # 0..1
    tried: "Open | None" = None  # the same by the challenger
    in_use: bool = True  # False where the version in use has no label, and this is the challenger's
    without: Flipped | None = None  # the other version's coin, where only that one has no label
    text: str | None = None  # what the classifier read, where it is kept for training
    # what the reference is not shown, by the placeholder that it is shown instead
    hidden: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audits:
    """What contracts say of calls, and what they learn from them. routes: where models are sent."""

    owner: Owner
    routes: Routes
    metrics: Metrics
    in_flight: InFlight

    @staticmethod
    def resolve(pairs: Judged) -> Judged:
        """The verdicts that count under contracts: a rule with one takes the likeliest label."""
        return [(rule, verdict if rule.terms is None else likeliest_of_all(verdict)) for rule, verdict in pairs]

    def answers(self, request: Request, pairs: Judged) -> LocalAnswers:
        """What rules would answer, in the forms that their contracts have learned."""
        scope_of = partial(scope, request=request, sent_to=self.routes.first(request.model))
        forms = {rule.name: self.owner.form(scope_of(rule, verdict)) for rule, verdict in pairs if rule.terms}
        return local_answers(request, pairs, forms)

    def flip(
        self,
        request: Request,
        pairs: Judged,
        labels: LocalAnswers,
        *,
        tried: Judged = (),
        texts: Mapping[str, str] | None = None,
    ) -> Mapping[str, Open]:
        """Flips a coin for each rule that has a label to give in the shape that is asked for, by its name; also where
        only the version that is tried has one, for it would answer such calls, too. tried: verdicts of challengers;
        texts: what rules read that retrain, by name."""
        scope_of = partial(scope, request=request, sent_to=self.routes.first(request.model))
        resolved = self.resolve(tried)
        also, made_also = {rule.name: verdict for rule, verdict in resolved}, self.answers(request, resolved).answers
        open_audits: dict[str, Open] = {}
        for rule, verdict in pairs:
            made = labels.answers.get(rule.name)
            other, made_other = also.get(rule.name), made_also.get(rule.name)
            if rule.terms is None or (made is None and made_other is None):
                continue
            challenger = None if other is None else scope_of(rule, other)
            flip = partial(self.owner.flip, terms=rule.terms, again=ASK_AGAIN)
            needs = challenger is not None and self.owner.needs_pairs(challenger)
            flipped = flip(scope_of(rule, verdict), tried=needs)
            first = None if made is None else _open(rule, verdict, flipped, made)
            second = None
            coin = None if challenger is None else flip(challenger, champion=flipped)
            if other is not None and made_other is not None and coin is not None:
                # it is seen as often as the version in use lets it
                sure = first is not None and first.sure
                second = replace(_open(rule, other, coin, made_other), sure=sure)
            if first is not None:
                text, without = (texts or {}).get(rule.name), coin if second is None else None
                open_audits[rule.name] = replace(first, tried=second, without=without, text=text)
            elif second is not None:
                open_audits[rule.name] = replace(second, in_use=False, without=flipped)
            for one in (first, second):
                if one is not None:
                    self.owner.begin(one.flipped, confidence=one.confidence, sure=one.sure)
        return open_audits

    def leave(self, opened: Iterable[Open]) -> None:
        """These calls become no pairs."""
        for one in opened:
            self.owner.leave(one.flipped)
            if one.tried is not None:
                self.owner.leave(one.tried.flipped)

    @staticmethod
    def held(opened: Mapping[str, Open]) -> dict[str, str]:
        """The rules that must not answer this call, with the reason: `audit` where the coin chose it, `contract` where
        nothing is certified for it."""
        return {
            name: "audit" if one.flipped.threshold is not None and one.flipped.coin.chosen else "contract"
            for name, one in opened.items()
            if one.in_use and not one.flipped.answers(one.confidence)
        }

    def answered(self, opened: Mapping[str, Open], decision: Decision) -> None:
        """Counts the call where a contract let it be answered."""
        step = decision.step
        if step is not None and decision.act is Act.ANSWER and step.rule.name in opened:
            self.owner.answered(opened[step.rule.name].flipped.scope)

    def pending(self, opened: Mapping[str, Open], decision: Decision) -> list[Open]:
        """The calls whose rule was asked and did not answer: the reference's answer makes them pairs. The others become
        none."""
        revealed = {
            step.rule.name: opened[step.rule.name]
            for step in decision.steps
            if step.rule.name in opened and not (decision.step is step and decision.act is Act.ANSWER)
        }
        self.leave(one for name, one in opened.items() if name not in revealed)
        return list(revealed.values())

    async def missed(self, context: RequestContext, pending: Sequence[Open]) -> None:
        """No reference answered: a disagreement for the calls that a coin chose."""
        await self._compare(context, pending, None)

    async def listen(self, context: RequestContext, pending: Sequence[Open], answer: Answer, *, ask: Ask) -> None:
        """Learns from the reference's answer; from a stream when it has passed. ask: sends the call again."""
        if answer.status not in _OK:
            await self.missed(context, pending)
        else:
            await answer.listen(partial(self._compare, context, pending, ask=ask))

    @staticmethod
    def over(context: RequestContext) -> None:
        """The request is over: its texts are kept, unless a rule has redacted it or its answer."""
        if not context.record.redacted:
            for keep in context.texts:
                keep()

    async def _compare(
        self, context: RequestContext, pending: Sequence[Open], completion: Completion | None, *, ask: Ask | None = None
    ) -> None:
        """A client that leaves meanwhile stops none of it: a call that has begun is to end."""
        if pending:
            await self.in_flight.finish(self._compare_all(context, pending, completion, ask=ask))

    async def _compare_all(
        self, context: RequestContext, pending: Sequence[Open], completion: Completion | None, *, ask: Ask | None
    ) -> None:
        for one in pending:
            revealed = _revealed(completion, one.hidden)
            result = _result(one, revealed)
            if one.in_use:
                self.metrics.observe_pair(one.rule.name, result.value, chosen=one.flipped.coin.chosen)
            self._note_text(context, one, completion)
            await self._learn(context, one, result, revealed)
            if one.tried is not None:
                await self._learn(context, one.tried, _result(one.tried, revealed), revealed)
            if one.without is not None:
                self.owner.unlabelled(one.without)
            if ask is not None and completion is not None and one.flipped.again and result is not Result.MISSING:
                context.after_response.append(partial(self._repeat, one, completion, ask=ask))

    async def _repeat(self, one: Open, first: Completion, *, ask: Ask) -> None:
        """Holds a second answer to the same call against the first."""
        second = await ask(one.rule.name)
        result = Result.MISSING
        if second is not None:
            result = compare_again(one.made, one.rule.names, first, second, values=_values(one.rule))
        self.metrics.contract_repeats.labels(one.rule.name, result.value).inc()
        for each in (one, one.tried):
            if each is not None:
                await self.owner.repeated(each.flipped.scope, confidence=each.confidence, result=result.value)

    def _note_text(self, context: RequestContext, one: Open, completion: Completion | None) -> None:
        at = one.made.label_at if one.made.further else None
        label = label_in(completion, one.rule.names, at) if completion is not None and one.text is not None else None
        if one.text is not None and label is not None:
            labels = among(one.rule.classifier, one.rule.names.labels)
            context.texts.append(partial(self.owner.keep, one.rule.name, one.text, label, among=labels))

    async def _learn(self, context: RequestContext, one: Open, result: Result, completion: Completion | None) -> None:
        await self.owner.learn(
            one.flipped,
            sure=one.sure,
            request_id=context.record.request_id,
            label=one.label,
            confidence=one.confidence,
            result=result.value,
            novelty=one.novelty,
            shown=forms_shown(one.made, completion),
        )


def _open(rule: Rule, verdict: Verdict, flipped: Flipped, made: LocalAnswer) -> Open:
    certain = min(verdict.confidence, made.part_confidence)
    return Open(
        rule=rule,
        flipped=flipped,
        sure=flipped.sure(certain),
        made=made,
        label=verdict.labels[0],
        confidence=certain,
        novelty=verdict.novelty,
    )


def _revealed(completion: Completion | None, hidden: Mapping[str, str]) -> Completion | None:
    """The completion with the values that the reference was not shown: what was made here has them in full."""
    return completion and (restore(completion, hidden) or completion)


def _result(one: Open, completion: Completion | None) -> Result:
    if completion is None:
        return Result.MISSING
    return compare(one.made, one.rule.names, completion, values=_values(one.rule))


def _values(rule: Rule) -> Values:
    return Values(slots=rule.slots, languages=rule.languages)
