"""Rules under a contract in the request path: coins before the decision, the model's answers after it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import msgspec

from classifiers.verdict import Verdict
from gateway.answers.build import LocalAnswer, LocalAnswers, local_answers
from gateway.answers.compare import Result, Values, compare, compare_again, forms_shown
from gateway.answers.parse import Completion, label_in
from gateway.context import RequestContext
from gateway.contracts.contract import Coin, Zone
from gateway.contracts.owner import DrawnCall, Outcome, Owner
from gateway.contracts.scope import Scope, among, likeliest_of_all, scope
from gateway.contracts.threshold import ScoreRow
from gateway.drain import InFlight
from gateway.metrics.observe import Metrics
from gateway.protocols.wire import Request
from gateway.redaction.apply import restore
from gateway.routes import Routes
from gateway.rules.decide import Decision
from gateway.rules.rule import Act, Rule
from gateway.upstreams.base import Answer
from gateway.upstreams.dispatch import failed

Judged = Sequence[tuple[Rule, Verdict]]
Ask = Callable[[str], Awaitable[Completion | None]]
"""Sends a call again for a rule: the answer, if there is one."""
_OK = range(200, 300)
ASK_AGAIN = 0.02  # of the calls in shadow; shows how often the model contradicts itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A call under a contract: what would be answered here, and how its coin fell."""

    rule: Rule
    coin: Coin
    made: LocalAnswer
    label: str
    text: str | None = None  # what the classifier read, where it is kept for training
    # what the model is not shown, by the placeholder that it is shown instead
    hidden: Mapping[str, str] = field(default_factory=dict)

    @property
    def audited(self) -> bool:
        """Whether it would be answered here, had its coin not chosen it."""
        return self.coin.zone is Zone.ANSWER and self.coin.checked


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

    def scopes(self, request: Request, rules: Iterable[Rule]) -> dict[str, Scope]:
        """The contracts that a call belongs to, by the rule's name."""
        sent_to = self.routes.first(request.model)
        return {rule.name: scope(rule, request, sent_to) for rule in rules if rule.terms is not None}

    async def load(self, scopes: Mapping[str, Scope], rules: Iterable[Rule]) -> None:
        """Has the contracts at hand. Raises LedgerError."""
        for rule in rules:
            if rule.terms is not None:
                await self.owner.load(scopes[rule.name], rule.terms)

    def answers(self, request: Request, scopes: Mapping[str, Scope], pairs: Judged) -> LocalAnswers:
        """What rules would answer, in the forms that their contracts have learned."""
        return local_answers(request, pairs, {name: self.owner.form(each.key) for name, each in scopes.items()})

    async def flip(
        self,
        scopes: Mapping[str, Scope],
        pairs: Judged,
        labels: LocalAnswers,
        *,
        texts: Mapping[str, Sequence[str]],
        held_out: Callable[[str], Sequence[ScoreRow]],
    ) -> Mapping[str, Open]:
        """Flips a coin for each rule that has a label to give in the shape that is asked for, by its name. texts: what
        rules read; held_out: scores of a classifier's training. Raises LedgerError; no coin is left open then."""
        opened: dict[str, Open] = {}
        for rule, verdict in pairs:
            made = labels.answers.get(rule.name)
            if rule.terms is None or made is None:
                continue
            read = texts.get(rule.name, ())
            versions = [verdict.version, *(each.version for _, each in sorted(verdict.further.items()))]
            call = DrawnCall(
                scope=scopes[rule.name],
                terms=rule.terms,
                version=" ".join(versions),
                score=min(verdict.confidence, made.part_confidence),
                held_out=held_out(rule.classifier),
                text=hash(tuple(read)),
                again=ASK_AGAIN,
            )
            try:
                coin = await self.owner.draw(call)
            except BaseException:
                self.leave(opened.values())
                raise
            text = "\n".join(read) if rule.retrains else None
            opened[rule.name] = Open(rule=rule, coin=coin, made=made, label=verdict.labels[0], text=text)
        return opened

    def leave(self, opened: Iterable[Open]) -> None:
        """These calls are no checks."""
        self.owner.leave(*(one.coin for one in opened))

    @staticmethod
    def held(opened: Mapping[str, Open]) -> dict[str, str]:
        """The rules that must not answer this call, with the reason: `audit` where the coin chose it, `contract` where
        it is not to be answered here."""
        return {name: "audit" if one.audited else "contract" for name, one in opened.items() if not one.coin.decides}

    def answered(self, opened: Mapping[str, Open], decision: Decision) -> None:
        """Counts the call where a contract let it be answered."""
        step = decision.step
        if step is not None and decision.act is Act.ANSWER and step.rule.name in opened:
            self.owner.answered(opened[step.rule.name].coin)

    def pending(self, opened: Mapping[str, Open], decision: Decision) -> list[Open]:
        """The calls whose rule was asked and did not answer: the model's answer says what is right. The others are no
        checks."""
        revealed = {
            step.rule.name: opened[step.rule.name]
            for step in decision.steps
            if step.rule.name in opened and not (decision.step is step and decision.act is Act.ANSWER)
        }
        self.leave(one for name, one in opened.items() if name not in revealed)
        return list(revealed.values())

    async def missed(self, context: RequestContext, pending: Sequence[Open]) -> None:
        """The model was not asked, or the client did not wait for its answer: a difference."""
        await self._compare(context, pending, None)

    def void(self, pending: Sequence[Open]) -> None:
        """The model could not be reached or failed: that says nothing of what it would have answered."""
        for one in pending:
            self.metrics.observe_pair(one.rule.name, "void", audited=one.audited)
        self.leave(pending)

    async def listen(self, context: RequestContext, pending: Sequence[Open], answer: Answer, *, ask: Ask) -> None:
        """Learns from the model's answer; from a stream when it has passed. ask: sends the call again."""
        if failed(answer.status):
            self.void(pending)
        elif answer.status not in _OK:
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
            # what was made here has the values in full that the model was not shown
            revealed = completion and (restore(completion, one.hidden) or completion)
            result = _result(one, revealed)
            self.metrics.observe_pair(one.rule.name, result.value, audited=one.audited)
            self._note_text(context, one, completion)
            outcome = Outcome(
                request_id=context.record.request_id,
                result=result.value,
                label=one.label,
                model=_model(completion),
                shown=forms_shown(one.made, revealed),
            )
            await self.owner.learn(one.coin, outcome)
            if ask is not None and completion is not None and one.coin.again and result is not Result.MISSING:
                context.after_response.append(partial(self._repeat, one, completion, ask=ask))

    async def _repeat(self, one: Open, first: Completion, *, ask: Ask) -> None:
        """Holds a second answer to the same call against the first."""
        second = await ask(one.rule.name)
        result = Result.MISSING
        if second is not None:
            result = compare_again(one.made, one.rule.names, first, second, values=_values(one.rule))
        self.metrics.contract_repeats.labels(one.rule.name, result.value).inc()
        await self.owner.repeated(one.coin, result.value)

    def _note_text(self, context: RequestContext, one: Open, completion: Completion | None) -> None:
        at = one.made.label_at if one.made.further else None
        label = label_in(completion, one.rule.names, at) if completion is not None and one.text is not None else None
        if one.text is not None and label is not None and not one.coin.repeat:
            labels, weight = among(one.rule.classifier, one.rule.names.labels), 1 / one.coin.chance
            keep = partial(self.owner.keep, one.rule.name, one.text, label, among=labels, weight=weight)
            context.texts.append(keep)


def _model(completion: Completion | None) -> str:
    """The name that the model gives itself, with its date; empty where there is none."""
    with suppress(msgspec.DecodeError, RecursionError):
        return completion.meta.model or "" if completion is not None else ""
    return ""


def _result(one: Open, completion: Completion | None) -> Result:
    if completion is None:
        return Result.MISSING
    return compare(one.made, one.rule.names, completion, values=_values(one.rule))


def _values(rule: Rule) -> Values:
    return Values(slots=rule.slots, languages=rule.languages)
