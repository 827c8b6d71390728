"""Series that exist from the start, at 0, for the models and rules of a configuration.

Prometheus sees a series begin at its first value, and increase() and rate() leave that one out: the first block, the
first dollar, the first broken verdict. So each label that belongs to a closed set gets its series in advance.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Final

from prometheus_client import Counter, Histogram

from classifiers.verdict import Abstention
from gateway.answers.compare import Result
from gateway.config.load import OTHER_MODELS
from gateway.config.settings import DENY, ModelRoute
from gateway.contracts.contract import Phase
from gateway.errors import CLIENT_CLOSED, AnswerLost, UpstreamFailed, UpstreamTimeout
from gateway.judge.judge import JudgeOutcome
from gateway.metrics.observe import Metrics, flag
from gateway.protocols.served import WIRES
from gateway.protocols.wire import UnsupportedReason
from gateway.record import SavedReason
from gateway.rules.rule import Act, Action, Rule

_CALLS: Final = tuple(wire.endpoint for wire in WIRES if wire.answered)
_DIRECT: Final = ("moderations", "classify")
"""Endpoints that ask classifiers directly."""
_MOST: Final = 200
"""Pairs of a model and a rule: series that may never move cost memory too."""
_FAILURES: Final = (
    *(str(error.code) for error in (UpstreamFailed, AnswerLost, UpstreamTimeout)),
    *("401", "408", "429", "500", "502", "503", "504"),
    "broke_off",
)
_PASSED_ON: Final = (200, 400, 408, 429, 500, 502, 503, 504)
_STATUSES: Final[Mapping[str, Sequence[int]]] = {
    "forward": _PASSED_ON,
    "redact": _PASSED_ON,
    "answer": (200,),
    "block": (200, 400),
    "error": (CLIENT_CLOSED, 500, 502, 503, 504),
}
"""Statuses that a call can end with, by what was decided."""
_DECISIONS: Final[Mapping[Act, Sequence[str]]] = {
    Act.FORWARD: ("forward", "error"),
    Act.REDACT: ("forward", "error"),
    Act.ANSWER: ("answer",),
    Act.BLOCK: ("block",),
    Act.ERROR: ("error",),
}
_MISSING: Final = ("not_reported", "cut_off")
_RETRAININGS: Final = ("published", "refused", "failed")


def initialise_series(
    metrics: Metrics, models: Mapping[str, ModelRoute], rules: Sequence[Rule], notional: Mapping[str, bool]
) -> None:
    """Makes the series. notional: whether nobody is charged for an upstream's calls, by its name."""
    _make(metrics.upstream_calls, notional)
    _make(metrics.fallbacks, notional)
    _make(metrics.upstream_failures, notional, _FAILURES)
    _make(metrics.usage_missing, notional, _MISSING)
    _make(metrics.provider_seconds, notional)
    _make(metrics.first_token_seconds, notional)
    direct = _DIRECT if rules else ()
    endpoints = [*_CALLS, *direct]
    _make(metrics.gateway_seconds, endpoints)
    _make(metrics.classifier_seconds, endpoints)
    _make(metrics.requests, endpoints, [""], ["error"], [""], ["400"])
    _make(metrics.requests, direct, [""], ["error"], [""], ["500", "503"])
    _make(metrics.requests, direct, [""], ["answer"], [""], ["200"])
    _make(metrics.requests, _CALLS, [OTHER_MODELS], ["error"], [""], ["404"])
    initialise_versions(metrics, rules)
    for rule in rules:
        _rule_at_zero(metrics, rule)
    money = _Money(metrics, models, notional)
    for rule in rules:
        if rule.asks is not None:
            money.spent(rule.asks.model, rule.name, [rule.asks.model])
            money.saved("judge", rule.name, rule.asks.model, [rule.asks.model])
    asked = (name for name, route in models.items() if not route.internal and route.upstream != DENY)
    for model, decider in islice(product(asked, (None, *rules)), _MOST):
        if decider is None:
            _requests_at_zero(metrics, model, "", ("forward", "error"))
            money.spent(model, "", [model])
        elif _meets(decider, model):
            _calls_at_zero(metrics, money, model, decider, [other for other in rules if _meets(other, model)])


def initialise_versions(metrics: Metrics, rules: Sequence[Rule]) -> None:
    """Makes the series that the versions of classifiers bring: their labels, and what they redact."""
    for rule in rules:
        # a classifier that is asked directly is asked by no rule
        for name in (rule.name, ""):
            others = filter(None, (*rule.further.values(), rule.other_languages))
            for classifier, names in ((rule.classifier, rule.names), *((one.classifier, one.names) for one in others)):
                _make(metrics.verdicts, [name], [classifier], ("clean", *Abstention), [""])
                _make(metrics.verdicts, [name], [classifier], ["label"], names.labels)
        _make(metrics.redacted, [rule.name], rule.redacts)


def _rule_at_zero(metrics: Metrics, rule: Rule) -> None:
    name = [rule.name]
    if any(action.act is Act.ANSWER for action in rule.then.values()):
        _make(metrics.unsupported, name, UnsupportedReason)
    if rule.asks is not None:
        _make(metrics.judge_verdicts, name, JudgeOutcome)
        _make(metrics.judge_remembered, name)
        _make(metrics.judge_seconds, name)
    if rule.terms is not None or rule.safety is not None:
        _make(metrics.contract_pairs, name, (*Result, "void"), ("true", "false"))
        _make(metrics.contract_repeats, name, Result)
        _make(metrics.contract_moves, name, Phase)
    if rule.retrains:
        _make(metrics.retrainings, name, _RETRAININGS)


def _calls_at_zero(metrics: Metrics, money: "_Money", model: str, rule: Rule, met: Sequence[Rule]) -> None:
    """Calls of a model that a rule decides. met: all rules that they may meet."""
    acts = {action.act for action in _actions(rule)}
    others = [action for other in met for action in _actions(other)]
    decisions = {decision for act in acts for decision in _DECISIONS.get(act, ())}
    if "forward" in decisions and any(action.act is Act.REDACT for action in others):
        decisions.add("redact")
    _requests_at_zero(metrics, model, rule.name, decisions)
    if "forward" in decisions or rule.output or rule.terms:
        money.spent(model, rule.name, [model, *(action.model for action in others if action.model)])
    reasons: dict[SavedReason, bool] = {
        "local_answer": Act.ANSWER in acts,
        "block": Act.BLOCK in acts,
        "repeat": rule.terms is not None,
    }
    for reason, may_come in reasons.items():
        if may_come:
            money.saved(reason, rule.name, model, [model])
    money.saved("cheaper_route", rule.name, model, [action.model for action in _actions(rule) if action.model])


def _requests_at_zero(metrics: Metrics, model: str, rule: str, decisions: Iterable[str]) -> None:
    for decision in decisions:
        _make(metrics.requests, _CALLS, [model], [decision], [rule], map(str, _STATUSES[decision]))


class _Money:
    """Series of dollars and tokens. to: the models that the calls are sent to, fallbacks included."""

    def __init__(self, metrics: Metrics, models: Mapping[str, ModelRoute], notional: Mapping[str, bool]) -> None:
        self._metrics = metrics
        self._models = models
        self._notional = notional

    def spent(self, model: str, rule: str, to: Iterable[str]) -> None:
        metrics = self._metrics
        _make(metrics.unpriced, [model], ("no_price", *_MISSING))
        for upstream, notional in self._upstreams(to):
            for instrument in (metrics.input_tokens, metrics.output_tokens, metrics.spent):
                instrument.labels(model, upstream, rule, notional)
            for cache in ("read", "write"):
                metrics.cached_input_tokens.labels(model, upstream, rule, notional, cache)

    def saved(self, reason: SavedReason, rule: str, model: str, to: Iterable[str]) -> None:
        metrics = self._metrics
        for notional in {notional for _, notional in self._upstreams(to)}:
            labels = (reason, rule, model, notional)
            if reason in ("local_answer", "block"):
                metrics.saved_calls.labels(*labels)
                metrics.saved.labels(*labels, "true")
                for direction in ("input", "output"):
                    metrics.saved_tokens.labels(*labels, "true", direction)
            else:
                metrics.saved.labels(*labels, "false")
                metrics.overspent.labels(rule, model, notional)

    def _upstreams(self, models: Iterable[str]) -> Iterator[tuple[str, str]]:
        for route in (self._models[model] for model in models):
            for target in (route.upstream, *route.fallbacks):
                upstream = target.partition("/")[0]
                yield upstream, flag(self._notional.get(upstream, False))


def _actions(rule: Rule) -> Iterator[Action]:
    """Those that decide. A call that is forwarded because a classifier abstains is decided by no rule."""
    yield from rule.then.values()
    yield from (action for action in rule.otherwise.values() if action.act in (Act.BLOCK, Act.ERROR))


def _meets(rule: Rule, model: str) -> bool:
    return not rule.models or model in rule.models


def _make(instrument: Counter | Histogram, *labels: Iterable[str]) -> None:
    for values in product(*labels):
        instrument.labels(*values)
