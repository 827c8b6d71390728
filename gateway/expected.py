"""Which requests a configuration can bring, so that their series stand at 0 before the first one comes.

Without that, Prometheus sees a series begin at its first value, and increase() and rate() leave that one out: the
first block, the first dollar, the first broken verdict.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Literal

from gateway.config.schema import DENY, ModelRoute
from gateway.errors import AnswerLost, Blocked, InternalError, UpstreamFailed, UpstreamTimeout
from gateway.judge.judge import Outcome
from gateway.ledger.record import Decided, Record
from gateway.metrics import Metrics
from gateway.rules.rule import Act, Action, Rule

_ENDPOINT: Final = "chat.completions"
_MOST: Final = 2000
"""Series that may never move cost memory too: a configuration of many models and rules gets the first ones only."""
_FAILURES: Final = (
    *(str(error.code) for error in (UpstreamFailed, AnswerLost, UpstreamTimeout)),
    *("401", "429", "500", "502", "503", "504"),
)
_PASSED_ON: Final = (429, 500, 502, 503, 504)
"""Statuses of upstreams that clients get as well."""


def stand_at_zero(
    metrics: Metrics, models: Mapping[str, ModelRoute], rules: Sequence[Rule], notional: Mapping[str, bool]
) -> None:
    """Makes the series. notional: whether an upstream's dollars are, by its name."""
    for upstream in notional:
        metrics.expect_calls(upstream, _FAILURES)
    for rule in rules:
        metrics.expect_verdicts(rule.name, rule.classifier, rule.taxonomy)
        metrics.expect_redacted(rule.name, rule.redacts)
        if any(action.own_label for action in rule.then.values()):
            metrics.expect_unmet(rule.name)
        if rule.asks is not None:
            metrics.expect_judge(rule.name, (outcome.value for outcome in Outcome))
        if rule.terms is not None or rule.safety is not None:
            metrics.expect_pairs(rule.name)
        if rule.retrains:
            metrics.expect_retrainings(rule.name)
    metrics.expect(islice(_records(models, rules, notional), _MOST))


def _records(
    models: Mapping[str, ModelRoute], rules: Sequence[Rule], notional: Mapping[str, bool]
) -> Iterator[tuple[Record, str]]:
    asked = [name for name, route in models.items() if not route.internal and route.upstream != DENY]
    for model in asked:
        yield from _forwarded(model, models[model], notional)
        yield from _failed(model)
    for rule in rules:
        if rule.asks is not None:
            yield from _aside("judge", rule, rule.asks.model, models[rule.asks.model], notional)
        if rule.ask_again:
            for model in asked:
                if not rule.models or model in rule.models:
                    yield from _aside("repeat", rule, model, models[model], notional)
        for action in {(action.act, action.model, action.shape): action for action in _actions(rule)}.values():
            for model in asked:
                if not rule.models or model in rule.models:
                    yield from _decided(model, rule, action, models, notional)


def _actions(rule: Rule) -> Iterator[Action]:
    yield from rule.then.values()
    yield from (action for action in rule.otherwise.values() if action.act is not Act.ASK)


def _forwarded(
    model: str, route: ModelRoute, notional: Mapping[str, bool], rule: str = ""
) -> Iterator[tuple[Record, str]]:
    upstreams = dict.fromkeys((route.upstream, *(fallback.partition("/")[0] for fallback in route.fallbacks)))
    for upstream in upstreams:
        record = Record(request_id="", at=0.0, endpoint=_ENDPOINT, upstream=upstream, notional=notional[upstream])
        if rule:
            record.rule, record.saved_reason = rule, "cheaper_route"
        yield record, model


def _aside(
    what: Literal["judge", "repeat"], rule: Rule, model: str, route: ModelRoute, notional: Mapping[str, bool]
) -> Iterator[tuple[Record, str]]:
    for record, asked in _forwarded(model, route, notional, rule.name):
        record.endpoint, record.decision, record.saved_reason = what, what, what
        yield record, asked


def _failed(
    model: str, rule: str = "", decision: Literal["forward", "redact"] = "forward"
) -> Iterator[tuple[Record, str]]:
    for error in (InternalError, UpstreamFailed, UpstreamTimeout):
        yield _of_status(error.status, "error", rule), model
    for status in _PASSED_ON:
        yield _of_status(status, decision, rule), model


def _of_status(status: int, decision: Decided, rule: str) -> Record:
    return Record(request_id="", at=0.0, endpoint=_ENDPOINT, decision=decision, rule=rule, status=status)


def _decided(
    model: str, rule: Rule, action: Action, models: Mapping[str, ModelRoute], notional: Mapping[str, bool]
) -> Iterator[tuple[Record, str]]:
    if action.act is Act.FORWARD and action.model is not None:
        yield from _forwarded(model, models[action.model], notional, rule.name)
        yield from _failed(model, rule.name)
    if action.act is Act.REDACT and model in models:
        for record, asked in _forwarded(model, models[model], notional):
            record.decision, record.rule = "redact", rule.name
            yield record, asked
        yield from _failed(model, rule.name, "redact")
    if action.act not in (Act.ANSWER, Act.BLOCK):
        return
    blocks = action.act is Act.BLOCK
    record = Record(
        request_id="",
        at=0.0,
        endpoint=_ENDPOINT,
        decision="block" if blocks else "answer",
        rule=rule.name,
        status=Blocked.status if blocks and action.shape == "error" else 200,
        notional=_asked_is_notional(model, models, notional),
        saved_reason="block" if blocks else "local_answer",
        saved_estimated=True,
    )
    yield record, model


def _asked_is_notional(model: str, models: Mapping[str, ModelRoute], notional: Mapping[str, bool]) -> bool:
    """Whether nobody would have been charged for the call that the client asked for."""
    return model in models and notional.get(models[model].upstream, False)
