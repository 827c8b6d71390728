"""What `offramp check` expects of the contracts in a gateway's file: calls and days to a certificate and to an alarm.

It gives days only where calls were seen for a day or more. Where no call was seen, the figures are for several rates of
disagreement.
"""

import math
import time
from contextlib import closing
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

from classifiers.model.registry import Registry
from gateway.cli.output import fields, quoted
from gateway.config.load import Loaded
from gateway.config.rules import AskJudge, RuleSettings
from gateway.contracts.bound import Side
from gateway.contracts.bounds import spend
from gateway.contracts.contract import FEWEST_TO_ORDER, Contract, Phase
from gateway.contracts.forecast import Outlook, Wait, outlook, threshold, until_alarm, until_certificate
from gateway.contracts.safety_contract import SafetyContract, SafetyTerms, Zone
from gateway.contracts.safety_forecast import Elsewhere, SideOutlook, side_outlook
from gateway.contracts.safety_store import SafetyStore, SafetyTraffic, StoredSafety
from gateway.contracts.store import ContractStore, StoredContract
from gateway.upstreams.base import Routes


def in_words(wait: Wait, what: str = "") -> str:
    """A wait in words, with the bound that nine in ten stay within."""
    if math.isinf(wait.median):
        return f"more {what} than can be told".replace("  ", " ")
    most = "" if math.isinf(wait.most) or wait.most == wait.median else f" (nine in ten within {_number(wait.most)})"
    return f"about {_number(wait.median)}{what and ' ' + what}{most}"


def as_dict(wait: Wait) -> dict[str, float | None]:
    """A wait for JSON; None where it is longer than the simulation."""
    return {name: None if math.isinf(value) else value for name, value in fields(wait, "median", "most").items()}


def _number(value: float) -> str:
    """A number with two significant digits; more is not known."""
    if value < 10:
        return f"{value:.1f}"
    places = -(len(str(round(value))) - 2)
    return f"{round(value, places):,.0f}"


_DAY_S: Final = 86400.0
LATELY_S: Final = 7 * _DAY_S
_SHOWN: Final = 3
"""Contracts shown for a rule: those with the most pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastLine:
    """One forecast in words, and as data for JSON."""

    line: str
    data: dict[str, Any]


def outlooks(loaded: Loaded) -> list[ForecastLine]:
    """Forecasts for each rule under a contract with the model, for the version in use and the challenger.

    Raises LedgerError and ArtifactError.
    """
    rules = [rule for rule in loaded.settings.rules if rule.contract and not isinstance(rule.when_unsure, AskJudge)]
    if not rules:
        return []
    registry, routes = Registry(loaded.models_dir), Routes(loaded.settings.models)
    with closing(ContractStore(loaded.ledger, read_only=True)) as store:
        return [line for rule in rules for line in _agreement_of_rule(rule, store, registry, routes)]


def _agreement_of_rule(
    rule: RuleSettings, store: ContractStore, registry: Registry, routes: Routes
) -> list[ForecastLine]:
    assert rule.contract is not None
    terms = f"{rule.contract.max_disagreement:g} at {rule.contract.confidence:g}"
    versions = (registry.current(rule.classifier), registry.proposed(rule.classifier))
    contracts = [
        stored
        for stored in store.contracts()
        if (stored.scope.rule, stored.scope.terms) == (rule.name, terms)
        and stored.scope.version in versions
        and stored.scope.reached(routes.first)
    ]
    if not contracts:
        return [_of_none(rule)]
    contracts.sort(key=lambda stored: -stored.contract.pairs)
    return [_of_contract(stored, store) for stored in contracts[:_SHOWN]]


def _of_none(rule: RuleSettings) -> ForecastLine:
    assert rule.contract is not None
    target, alpha = rule.contract.max_disagreement, spend(1 - rule.contract.confidence, 1)
    waits = {rate: until_certificate(target, rate, alpha) for rate in (0.0, target / 4, target / 2)}
    alarm = until_alarm(target, _twice(target))
    expected = ", ".join(f"{in_words(wait)} if {rate * 100:.3g} % of them disagree" for rate, wait in waits.items())
    line = (
        f"rule {rule.name}: no call under its contract yet. A certificate takes {FEWEST_TO_ORDER} calls to find a "
        f"threshold, then of the calls above it {expected}. At {target * 100:.3g} % or more there is none. "
        + _noticed(target, alarm)
    )
    data = {
        "rule": rule.name,
        "phase": None,
        "certificate": [{"rate": rate, **as_dict(wait)} for rate, wait in waits.items()],
        "alarm": as_dict(alarm),
    }
    return ForecastLine(line=line, data=data)


def _of_contract(stored: StoredContract, store: ContractStore) -> ForecastLine:
    scope, contract, now = stored.scope, stored.contract, time.time()
    since = now - LATELY_S
    traffic = store.traffic(scope.key, since=since, confidence=threshold(contract))
    days = 0.0 if traffic is None else (now - traffic.since) / _DAY_S
    waits = outlook(
        contract,
        calls=traffic.calls if traffic else 0.0,
        surer=traffic.surer if traffic else 0.0,
        days=days,
    )
    volume = f"about {waits.calls_a_day:,.0f} calls a day" if waits.calls_a_day else "under a day of calls seen lately"
    line = f"rule {scope.rule} for {quoted(scope.model)}, version {scope.version}: {contract.phase.value}, {volume}. "
    if contract.phase is not Phase.LIVE:
        line += _agreement_to_certificate(contract, waits) + " "
    line += _noticed(contract.terms.target, waits.alarm, waits.audits_a_day)
    seen = waits.seen
    data = {
        **fields(scope, "rule", "key", "model", "version"),
        "phase": contract.phase.value,
        **fields(waits, "calls_a_day", "share"),
        "disagreement": fields(seen, "pairs", "wrong", "estimate", "low", "high") if seen else None,
        "certificate": None if waits.certificate is None else as_dict(waits.certificate),
        "alarm": as_dict(waits.alarm),
        "audits_a_day": waits.audits_a_day,
    }
    return ForecastLine(line=line, data=data)


def _agreement_to_certificate(contract: Contract, waits: Outlook) -> str:
    seen = waits.seen
    if seen is None or waits.certificate is None:
        left = max(contract.next_look, contract.fresh_from + FEWEST_TO_ORDER) - contract.pairs
        return f"No attempt at a certificate runs ({contract.reason}); the next may begin in {max(left, 1):,} calls."
    disagreed = f"{seen.wrong:,} of {seen.pairs:,} calls at or above {seen.threshold:.4f} disagreed"
    limits = f"95 %: {seen.low * 100:.2g} to {seen.high * 100:.2g} %"
    days = in_words(waits.certificate.over(waits.calls_a_day), "days") if waits.calls_a_day else ""
    takes = in_words(waits.certificate, "more calls")
    return (
        f"{disagreed} ({limits}). If {seen.estimate * 100:.2g} % do, a certificate takes {takes}"
        f"{', ' + days if days else ''}; at {contract.terms.target * 100:.3g} % or more it never comes."
    )


def _noticed(target: float, alarm: Wait, audits_a_day: float | None = None) -> str:
    days = f", {in_words(alarm.over(audits_a_day), 'days')} at {audits_a_day:.3g} audits a day" if audits_a_day else ""
    return f"While live, {_twice(target) * 100:.3g} % is noticed after {in_words(alarm, 'audits')}{days}."


def _twice(target: float) -> float:
    """Twice a bound, or halfway to 1 where that is less."""
    return min(2 * target, (1 + target) / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """One bound of a safety contract in words: the calls it is measured on, the error, what certified calls do, and the
    zone in which the other bound acts."""

    side: str
    kind: str
    wrong: str
    acts: str
    elsewhere: Zone


_BOUNDS: Final = (
    _Bound(side="missing", kind="unsafe", wrong="missed", acts="others pass", elsewhere=Zone.FLAG),
    _Bound(side="flagging", kind="safe", wrong="flagged", acts="others are flagged", elsewhere=Zone.PASS),
)


def safety_outlooks(loaded: Loaded) -> list[ForecastLine]:
    """Forecasts for each bound of each rule under a contract with its judge, for the version in use.

    Raises LedgerError and ArtifactError.
    """
    rules = [rule for rule in loaded.settings.rules if rule.contract and isinstance(rule.when_unsure, AskJudge)]
    if not rules:
        return []
    with closing(SafetyStore(loaded.ledger, read_only=True)) as store:
        return [line for rule in rules for line in _safety_of_rule(rule, loaded, store)]


def _safety_of_rule(rule: RuleSettings, loaded: Loaded, store: SafetyStore) -> list[ForecastLine]:
    assert rule.contract is not None
    given = rule.contract
    terms = SafetyTerms(missed=given.max_missed, wrongly=given.max_false_alarms, confidence=given.confidence)
    stored = _stored(rule, terms, loaded, store)
    contract = stored.contract if stored else SafetyContract.new(terms)
    since = time.time() - LATELY_S
    traffic = store.traffic(stored.scope.key, contract, since=since) if stored else None
    return [_of_side(rule, stored, getattr(contract, bound.side), bound, traffic) for bound in _BOUNDS]


def _stored(rule: RuleSettings, terms: SafetyTerms, loaded: Loaded, store: SafetyStore) -> StoredSafety | None:
    """The newest contract with the rule's terms and judge and the version in use."""
    assert isinstance(rule.when_unsure, AskJudge)
    judge = rule.when_unsure.ask
    version = Registry(loaded.models_dir).current(rule.classifier)
    wanted = (rule.name, judge, Routes(loaded.settings.models).first(judge), version, terms.text)
    scopes = ((stored, stored.scope) for stored in store.contracts())
    names = attrgetter("rule", "model", "sent_to", "version", "terms")
    return next((stored for stored, scope in scopes if names(scope) == wanted), None)


def _of_side(
    rule: RuleSettings, stored: StoredSafety | None, side: Side, bound: _Bound, traffic: SafetyTraffic | None
) -> ForecastLine:
    a_day = traffic.a_day(bound.kind, now=time.time()) if traffic else None
    waits = side_outlook(side, traffic.elsewhere(bound.kind, bound.elsewhere) if traffic else Elsewhere())
    line = f"rule {rule.name}, {bound.kind} calls {bound.wrong}: {_stands(side, stored, bound, traffic, a_day)}. "
    if side.phase is not Phase.LIVE:
        line += _safety_to_certificate(side, waits, bound, a_day) + " "
    noticed = _takes(waits.alarm, f"{bound.kind} calls", a_day)
    line += f"While live, {_twice(side.target) * 100:.3g} % is noticed after {noticed}, if audited as rarely as any."
    names = ("key", "model", "version")
    data = {
        "rule": rule.name,
        **(fields(stored.scope, *names) if stored else dict.fromkeys(names)),
        "bound": bound.side,
        "phase": side.phase.value if stored else None,
        "calls_a_day": a_day,
        "ordering": waits.ordering,
        "certificate": [{"rate": rate, **as_dict(wait)} for rate, wait in waits.certificate.items()],
        "alarm": as_dict(waits.alarm),
    }
    return ForecastLine(line=line, data=data)


def _stands(
    side: Side, stored: StoredSafety | None, bound: _Bound, traffic: SafetyTraffic | None, a_day: float | None
) -> str:
    if stored is None:
        return "no call under its contract yet"
    if a_day is not None:
        volume = f"about {a_day:,.0f} {bound.kind} calls a day"
    else:
        volume = "under a day of calls seen lately" if traffic else "no call seen lately"
    return f"version {stored.scope.version}, {side.phase.value}, {volume}"


def _safety_to_certificate(side: Side, waits: SideOutlook, bound: _Bound, a_day: float | None) -> str:
    never = f"at {side.target * 100:.3g} % or more they never do"
    if waits.rung is None:
        expected = ", ".join(f"{in_words(wait)} if {rate * 100:.3g} % are" for rate, wait in waits.certificate.items())
        return (
            f"It takes {waits.ordering:,} {bound.kind} calls to find thresholds, then until {bound.acts} without the "
            f"judge {expected} {bound.wrong} at the strictest; {never}."
        )
    [(rate, wait)] = waits.certificate.items()
    return (
        f"{waits.rung.wrong:,.0f} of {waits.rung.calls:,.0f} were {bound.wrong} at the threshold to be certified next. "
        f"If {rate * 100:.2g} % are, {bound.acts} without the judge after "
        f"{_takes(wait, f'more {bound.kind} calls', a_day)}; {never}."
    )


def _takes(wait: Wait, what: str, a_day: float | None) -> str:
    return in_words(wait, what) + (f", {in_words(wait.over(a_day), 'days')}" if a_day else "")
