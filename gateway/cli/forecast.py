"""What `offramp check` expects of a gateway's file: of contracts, calls and days to a certificate and to an alarm; of
judges, what their questions cost.

It gives days only where calls were seen for a day or more. Where no attempt runs, the figures are for several rates of
disagreement.
"""

import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from classifiers.judge_prompt import instructions
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from gateway.cli.output import fields, quoted
from gateway.config.load import Loaded
from gateway.config.prices import load_prices
from gateway.config.rules import AskJudge, RuleSettings
from gateway.contracts.bound import Side
from gateway.contracts.bounds import spend
from gateway.contracts.contract import FEWEST_TO_ORDER, Phase
from gateway.contracts.forecast import Wait, outlook, threshold, until_certificate, until_noticed
from gateway.contracts.safety_contract import SafetyContract, Zone
from gateway.contracts.safety_forecast import Elsewhere, side_outlook
from gateway.contracts.safety_store import SafetyStore, SafetyTraffic, StoredSafety
from gateway.contracts.store import ContractStore, StoredContract
from gateway.routes import Routes
from gateway.rules.terms import SafetyTerms

_BYTES_A_TOKEN: Final = 4
_ANSWER_TOKENS: Final = 12
"""Of `{"labels": ["self_harm"]}`."""
_DAY_S: Final = 86400.0
_LATELY_S: Final = 7 * _DAY_S
_SHOWN: Final = 3
"""Contracts shown for a rule: those with the most pairs."""
_RATES: Final = (0.0, 0.25, 0.5)
"""Rates of disagreement, as shares of the target, where none was seen."""
_SIDES: Final = (("missing", "unsafe", "missed", Zone.FLAG), ("flagging", "safe", "flagged", Zone.PASS))
"""Each bound of a safety contract: the calls it is measured on, the error, and the zone in which the other one acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastLine:
    """One forecast in words, and as data for JSON."""

    line: str
    data: dict[str, Any]


def outlooks(loaded: Loaded) -> list[ForecastLine]:
    """Forecasts for each rule under a contract, for the version in use and the challenger.

    Raises LedgerError and ArtifactError.
    """
    rules = [rule for rule in loaded.settings.rules if rule.contract]
    judged = [rule for rule in rules if rule.judge is not None]
    lines: list[ForecastLine] = []
    if others := [rule for rule in rules if rule not in judged]:
        with closing(ContractStore(loaded.ledger, read_only=True)) as store:
            lines += [line for rule in others for line in _agreement_of_rule(rule, loaded, store)]
    if judged:
        with closing(SafetyStore(loaded.ledger, read_only=True)) as safety:
            lines += [line for rule in judged for line in _safety_of_rule(rule, loaded, safety)]
    return lines


def costs(loaded: Loaded, policies: Mapping[str, Policy]) -> Iterator[ForecastLine]:
    """For each rule with a judge whose policy is at hand, what a thousand questions cost beside the texts themselves;
    under a contract, how many are needed. Raises ConfigError where the prices cannot be read."""
    prices = load_prices(loaded.prices, os.environ)
    for rule in loaded.settings.rules:
        judge, policy = rule.judge, policies.get(rule.classifier)
        if judge is None or policy is None:
            continue
        route = loaded.settings.models[judge]
        model = route.model or judge
        tokens = 0 if route.endpoint == "moderations" else len(instructions(policy).encode()) // _BYTES_A_TOKEN
        price = prices.find(model)
        answer = _ANSWER_TOKENS if route.endpoint == "chat" else 0
        usd = None if price is None else 1000 * price.cost(input_tokens=tokens, output_tokens=answer)
        terms = rule.contract and fields(rule.contract, "max_missed", "max_false_alarms", "confidence")
        unsure = isinstance(rule.when_unsure, AskJudge)
        what = "what its classifier is unsure of" if unsure else "about text in languages that its policy does not name"
        what = "about every call until it is certified" if terms else what
        cost = "It has no known price"
        if usd is not None:
            cost = f"A thousand questions of {tokens:,} tokens cost about ${usd:.2f}, and their texts' tokens"
        yield ForecastLine(
            line=f"rule {rule.name} asks {judge} ({model}) {what}. {cost}.",
            data={
                "rule": rule.name,
                "judge": model,
                "instruction_tokens": tokens,
                "usd_a_thousand": usd,
                "contract": terms,
            },
        )


def _agreement_of_rule(rule: RuleSettings, loaded: Loaded, store: ContractStore) -> Iterator[ForecastLine]:
    assert rule.contract is not None
    registry, routes = Registry(loaded.models_dir), Routes(loaded.settings.models)
    terms = f"{rule.contract.max_disagreement:g} at {rule.contract.confidence:g}"
    version = registry.current(rule.classifier)
    contracts = [
        stored
        for stored in store.contracts()
        if (stored.scope.rule, stored.scope.terms) == (rule.name, terms)
        and stored.scope.version == version
        and stored.scope.reached(routes.first)
    ]
    if not contracts:
        yield _of_none(rule.name, rule.contract.max_disagreement, rule.contract.confidence)
    contracts.sort(key=lambda stored: -stored.contract.pairs)
    yield from (_of_contract(stored, store) for stored in contracts[:_SHOWN])


def _of_none(rule: str, target: float, confidence: float) -> ForecastLine:
    alpha = spend(1 - confidence, 1)
    rates = {share * target: until_certificate(target, share * target, alpha) for share in _RATES}
    alarm = until_noticed(target)
    takes = _at_rates(rates, "disagree", target, "calls above it")
    line = f"rule {rule}: no call under its contract yet. A certificate takes {FEWEST_TO_ORDER} calls to find a "
    line += f"threshold, then {takes} "
    data = {"rule": rule, "phase": None, "certificate": _rates(rates), "alarm": _wait(alarm)}
    return ForecastLine(line=line + _noticed(target, alarm, "audits", None), data=data)


def _of_contract(stored: StoredContract, store: ContractStore) -> ForecastLine:
    scope, contract, now = stored.scope, stored.contract, time.time()
    traffic = store.traffic(scope.key, since=now - _LATELY_S, confidence=threshold(contract))
    calls, surer, days = (traffic.calls, traffic.surer, (now - traffic.since) / _DAY_S) if traffic else (0.0, 0.0, 0.0)
    waits = outlook(contract, calls=calls, surer=surer, days=days)
    line = f"rule {scope.rule} for {quoted(scope.model)}, version {scope.version}: {contract.phase.value}, "
    line += f"{_volume(waits.calls_a_day, 'calls')}. "
    if (seen := waits.seen) is not None and waits.certificate is not None:
        line += f"{seen.wrong:,} of {seen.pairs:,} calls at or above {seen.threshold:.4f} disagreed. A certificate "
        takes = {seen.estimate: waits.certificate}
        line += f"takes {_at_rates(takes, 'disagree', contract.terms.target, 'more calls', waits.calls_a_day)} "
    elif contract.phase is not Phase.LIVE:
        left = max(contract.next_look, contract.fresh_from + FEWEST_TO_ORDER) - contract.pairs
        line += f"No attempt at a certificate runs ({contract.reason}); the next may begin in {max(left, 1):,} calls. "
    data = {
        **fields(scope, "rule", "key", "model", "version"),
        "phase": contract.phase.value,
        **fields(waits, "calls_a_day", "share", "audits_a_day"),
        "disagreement": fields(seen, "pairs", "wrong", "estimate", "low", "high") if seen else None,
        "certificate": None if waits.certificate is None else _wait(waits.certificate),
        "alarm": _wait(waits.alarm),
    }
    line += _noticed(contract.terms.target, waits.alarm, "audits", waits.audits_a_day)
    return ForecastLine(line=line, data=data)


def _safety_of_rule(rule: RuleSettings, loaded: Loaded, store: SafetyStore) -> Iterator[ForecastLine]:
    assert rule.contract is not None
    given = rule.contract
    terms = SafetyTerms(missed=given.max_missed, wrongly=given.max_false_alarms, confidence=given.confidence)
    stored = _stored(rule, terms, loaded, store)
    contract = stored.contract if stored else SafetyContract.new(terms)
    traffic = store.traffic(stored.scope.key, contract, since=time.time() - _LATELY_S) if stored else None
    for name, kind, error, other in _SIDES:
        elsewhere = traffic.elsewhere(kind, other) if traffic else Elsewhere()
        yield _of_side(rule.name, stored, traffic, getattr(contract, name), (name, kind, error), elsewhere)


def _stored(rule: RuleSettings, terms: SafetyTerms, loaded: Loaded, store: SafetyStore) -> StoredSafety | None:
    """The newest contract with the rule's terms and judge and the version in use."""
    assert rule.judge is not None
    judge = rule.judge
    version = Registry(loaded.models_dir).current(rule.classifier)
    wanted = (rule.name, judge, Routes(loaded.settings.models).first(judge), version, terms.text)
    names = attrgetter("rule", "model", "sent_to", "version", "terms")
    return next((stored for stored in store.contracts() if names(stored.scope) == wanted), None)


def _of_side(
    rule: str,
    stored: StoredSafety | None,
    traffic: SafetyTraffic | None,
    side: Side,
    bound: tuple[str, str, str],
    elsewhere: Elsewhere,
) -> ForecastLine:
    """bound: its name, the kind of call and the error."""
    name, kind, error = bound
    a_day = traffic.a_day(kind, now=time.time()) if traffic else None
    waits = side_outlook(side, elsewhere)
    state = f"version {stored.scope.version}, {side.phase.value}, {_volume(a_day, f'{kind} calls')}" if stored else ""
    line = f"rule {rule}, {kind} calls {error}: {state or 'no call under its contract yet'}. "
    if waits.rung is not None:
        line += f"{waits.rung.wrong:,.0f} of {waits.rung.calls:,.0f} were {error} at the next threshold. "
    if side.phase is not Phase.LIVE:
        order = f"{waits.ordering:,} {kind} calls to find thresholds, then " if waits.rung is None else ""
        takes = _at_rates(waits.certificate, f"are {error}", side.target, f"more {kind} calls", a_day)
        line += f"A certificate takes {order}{takes} "
    names = ("key", "model", "version")
    data = {
        "rule": rule,
        **(fields(stored.scope, *names) if stored else dict.fromkeys(names)),
        "bound": name,
        "phase": side.phase.value if stored else None,
        "calls_a_day": a_day,
        "ordering": waits.ordering,
        "certificate": _rates(waits.certificate),
        "alarm": _wait(waits.alarm),
    }
    return ForecastLine(line=line + _noticed(side.target, waits.alarm, f"{kind} calls", a_day), data=data)


def _volume(a_day: float | None, what: str) -> str:
    return f"about {a_day:,.0f} {what} a day" if a_day else "under a day of calls seen lately"


def _at_rates(waits: Mapping[float, Wait], does: str, target: float, what: str, a_day: float | None = None) -> str:
    rates = ", ".join(f"{_takes(wait, what, a_day)} if {rate * 100:.3g} % {does}" for rate, wait in waits.items())
    return f"{rates}; at {target * 100:.3g} % or more it never comes."


def _noticed(target: float, alarm: Wait, what: str, a_day: float | None) -> str:
    twice = min(2 * target, (1 + target) / 2)
    return f"While live, {twice * 100:.3g} % is noticed after {_takes(alarm, what, a_day)}."


def _takes(wait: Wait, what: str, a_day: float | None) -> str:
    """A wait in words, with the bound that nine in ten stay within; in days as well where the volume is known."""
    if math.isinf(wait.median):
        return f"more {what.removeprefix('more ')} than can be told"
    most = "" if math.isinf(wait.most) or wait.most == wait.median else f" (nine in ten within {_number(wait.most)})"
    days = f", {_takes(wait.over(a_day), 'days', None)}" if a_day else ""
    return f"about {_number(wait.median)} {what}{most}{days}"


def _number(value: float) -> str:
    """A number with two significant digits; more is not known."""
    return f"{value:.1f}" if value < 10 else f"{round(value, 2 - len(str(round(value)))):,.0f}"


def _rates(waits: Mapping[float, Wait]) -> list[dict[str, float | None]]:
    return [{"rate": rate, **_wait(wait)} for rate, wait in waits.items()]


def _wait(wait: Wait) -> dict[str, float | None]:
    """A wait for JSON; None where it is longer than the simulation."""
    return {name: None if math.isinf(value) else value for name, value in fields(wait, "median", "most").items()}
