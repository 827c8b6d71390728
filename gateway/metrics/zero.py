"""Which requests a configuration can bring, so that their series stand at 0 before the first one comes.

Without that, Prometheus sees a series begin at its first value, and increase() and rate() leave that one out: the
first block, the first dollar, the first broken verdict.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Literal

from gateway.config.load import OTHER_MODELS
from gateway.config.settings import DENY, ModelRoute
from gateway.context import CLIENT_CLOSED
from gateway.errors import (
    AnswerLost,
    BadRequest,
    Blocked,
    InternalError,
    ModelNotFound,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from gateway.judge.judge import JudgeOutcome
from gateway.ledger.record import Decided, Record, SavedReason
from gateway.metrics.observe import Metrics
from gateway.rules.rule import Act, Action, Rule

_ENDPOINT: Final = "chat.completions"
_DIRECT: Final = ("moderations", "classify")
"""Endpoints that put questions to classifiers directly."""
_MOST: Final = 2000
"""Series that may never move cost memory too: a configuration of many models and rules gets the first ones only."""
_FAILURES: Final = (
    *(str(error.code) for error in (UpstreamFailed, AnswerLost, UpstreamTimeout)),
    *("401", "408", "429", "500", "502", "503", "504"),
)
_PASSED_ON: Final = (400, 408, 429, 500, 502, 503, 504)
"""Statuses of upstreams that clients get as well."""
_Forwarded = Literal["forward", "redact"]


def stand_at_zero(
    metrics: Metrics, models: Mapping[str, ModelRoute], rules: Sequence[Rule], notional: Mapping[str, bool]
) -> None:
    """Makes the series. notional: whether an upstream's dollars are, by its name."""
    for upstream in notional:
        metrics.expect_calls(upstream, _FAILURES)
    versions_at_zero(metrics, rules)
    for rule in rules:
        if any(action.act is Act.ANSWER for action in rule.then.values()):
            metrics.expect_unmet(rule.name)
        if rule.asks is not None:
            metrics.expect_judge(rule.name, (outcome.value for outcome in JudgeOutcome))
        if rule.terms is not None or rule.safety is not None:
            metrics.expect_pairs(rule.name)
        if rule.retrains:
            metrics.expect_retrainings(rule.name)
    metrics.expect(islice(_records(models, rules, notional), _MOST))


def versions_at_zero(metrics: Metrics, rules: Sequence[Rule]) -> None:
    """Makes the series that the versions of classifiers bring: their labels, and what they redact."""
    for rule in rules:
        for name in (rule.name, ""):
            # a classifier that is asked directly is asked by no rule
            metrics.expect_verdicts(name, rule.classifier, rule.names.labels)
        metrics.expect_redacted(rule.name, rule.redacts)


def _records(
    models: Mapping[str, ModelRoute], rules: Sequence[Rule], notional: Mapping[str, bool]
) -> Iterator[tuple[Record, str]]:
    asked = [name for name, route in models.items() if not route.internal and route.upstream != DENY]
    yield _record(BadRequest.status, "error"), ""
    yield _record(ModelNotFound.status, "error"), OTHER_MODELS
    for model in asked:
        yield from _forwarded(model, models[model], notional)
        yield from _failed(model)
        for status in (CLIENT_CLOSED, Unavailable.status):
            yield _record(status, "error"), model
    if rules:
        yield from _asked_directly()
    met = {model: [rule for rule in rules if not rule.models or model in rule.models] for model in asked}
    for rule in rules:
        if rule.asks is not None:
            yield from _aside("judge", rule, rule.asks.model, models[rule.asks.model], notional)
        for model in asked:
            if rule not in met[model]:
                continue
            if rule.ask_again:
                yield from _aside("repeat", rule, model, models[model], notional)
            for action in {(action.act, action.model, action.shape): action for action in _actions(rule)}.values():
                yield from _decided(model, rule, action, met=met[model], models=models, notional=notional)


def _actions(rule: Rule) -> Iterator[Action]:
    """Those that decide. What is forwarded since a classifier abstains is decided by no rule."""
    yield from rule.then.values()
    yield from (action for action in rule.otherwise.values() if action.act is Act.BLOCK)


def _upstreams(*routes: ModelRoute) -> Iterable[str]:
    return dict.fromkeys(
        upstream
        for route in routes
        for upstream in (route.upstream, *(fallback.partition("/")[0] for fallback in route.fallbacks))
    )


def _forwarded(
    model: str,
    route: ModelRoute,
    notional: Mapping[str, bool],
    *,
    rule: str = "",
    decision: Decided = "forward",
    saved_reason: SavedReason | None = None,
) -> Iterator[tuple[Record, str]]:
    for upstream in _upstreams(route):
        record = _record(200, decision, rule)
        record.upstream, record.notional, record.saved_reason = upstream, notional[upstream], saved_reason
        yield record, model


def _aside(
    what: Literal["judge", "repeat"], rule: Rule, model: str, route: ModelRoute, notional: Mapping[str, bool]
) -> Iterator[tuple[Record, str]]:
    for record, asked in _forwarded(model, route, notional, rule=rule.name, decision=what, saved_reason=what):
        record.endpoint = what
        yield record, asked


def _failed(model: str, rule: str = "", decisions: Sequence[_Forwarded] = ("forward",)) -> Iterator[tuple[Record, str]]:
    for error in (InternalError, UpstreamFailed, UpstreamTimeout):
        yield _record(error.status, "error", rule), model
    for decision in decisions:
        for status in _PASSED_ON:
            yield _record(status, decision, rule), model


def _asked_directly() -> Iterator[tuple[Record, str]]:
    for endpoint in _DIRECT:
        yield _record(200, "answer", endpoint=endpoint), ""
        for error in (BadRequest, InternalError, Unavailable):
            yield _record(error.status, "error", endpoint=endpoint), ""


def _record(status: int, decision: Decided, rule: str = "", endpoint: str = _ENDPOINT) -> Record:
    return Record(request_id="", at=0.0, endpoint=endpoint, decision=decision, rule=rule, status=status)


def _decided(
    model: str,
    rule: Rule,
    action: Action,
    *,
    met: Sequence[Rule],
    models: Mapping[str, ModelRoute],
    notional: Mapping[str, bool],
) -> Iterator[tuple[Record, str]]:
    """met: the rules that the model's calls may meet."""
    if action.act in (Act.FORWARD, Act.REDACT):
        redacted = any(one.act is Act.REDACT for other in met for one in _actions(other))
        decisions: Sequence[_Forwarded] = ("forward", "redact") if redacted else ("forward",)
        route = models[action.model or model]
        reason: SavedReason | None = "cheaper_route" if action.model else None
        for decision in decisions:
            yield from _forwarded(model, route, notional, rule=rule.name, decision=decision, saved_reason=reason)
        yield from _failed(model, rule.name, decisions)
    elif action.act in (Act.ANSWER, Act.BLOCK):
        yield _instead(rule, action, notional=notional.get(models[model].upstream, False)), model
    if action.act is Act.BLOCK and rule.output:
        forwards = (one.model for other in met for one in _actions(other) if one.act is Act.FORWARD)
        ways = (models[model], *(models[name] for name in forwards if name))
        yield from _blocked_answers(model, rule, action, _upstreams(*ways), notional)


def _instead(rule: Rule, action: Action, *, notional: bool) -> Record:
    """notional: whether nobody would have been charged for the call that the client asked for."""
    blocks = action.act is Act.BLOCK
    record = _record(
        Blocked.status if blocks and action.shape == "error" else 200, "block" if blocks else "answer", rule.name
    )
    record.notional, record.saved_estimated = notional, True
    record.saved_reason = "block" if blocks else "local_answer"
    return record


def _blocked_answers(
    model: str, rule: Rule, action: Action, upstreams: Iterable[str], notional: Mapping[str, bool]
) -> Iterator[tuple[Record, str]]:
    """Of answers that were paid for. A stream that ends with an error has begun with 200."""
    for upstream in upstreams:
        for status in (200, Blocked.status) if action.shape == "error" else (200,):
            record = _record(status, "block", rule.name)
            record.upstream, record.notional = upstream, notional[upstream]
            yield record, model
