"""What `offramp check` expects of the contracts in a gateway's file: calls and days to a certificate and to an alarm.

Days are told only where calls were seen for a day or more. Where no call was seen, the figures are for several rates
of disagreement, and say so.
"""

import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from classifiers.registry import Registry
from gateway.cli.output import quoted
from gateway.cli.waits import as_dict, in_words
from gateway.config.load import Loaded
from gateway.config.rules import Ask, Rule
from gateway.contract.bounds import spend
from gateway.contract.outlook import Outlook, Wait, outlook, threshold, until_alarm, until_certificate
from gateway.contract.state import FEWEST_TO_ORDER, Contract, Phase
from gateway.contract.store import ContractStore, Stored
from gateway.upstreams.routes import Routes

_DAY_S: Final = 86400.0
LATELY_S: Final = 7 * _DAY_S
_SHOWN: Final = 3
"""Contracts of a rule, those with the most pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """line: in words; data: the same for JSON."""

    line: str
    data: dict[str, Any]


def outlooks(loaded: Loaded) -> list[Told]:
    """Of each rule under a contract with the model that is asked for: what is to be expected with the version in use,
    and with one that is tried.

    Raises LedgerError and ArtifactError.
    """
    rules = [rule for rule in loaded.settings.rules if rule.contract and not isinstance(rule.when_unsure, Ask)]
    if not rules:
        return []
    registry, routes = Registry(loaded.models_dir), Routes(loaded.settings.models)
    with closing(ContractStore(loaded.ledger, read_only=True)) as store:
        return [told for rule in rules for told in _of_rule(rule, store, registry, routes)]


def _of_rule(rule: Rule, store: ContractStore, registry: Registry, routes: Routes) -> list[Told]:
    assert rule.contract is not None
    terms = f"{rule.contract.max_disagreement:g} at {rule.contract.confidence:g}"
    versions = (registry.current(rule.classifier), registry.proposed(rule.classifier))
    own = [
        one
        for one in store.contracts()
        if (one.scope.rule, one.scope.terms) == (rule.name, terms)
        and one.scope.version in versions
        and one.scope.reached(routes.first)
    ]
    if not own:
        return [_of_none(rule)]
    own.sort(key=lambda one: -one.contract.pairs)
    return [_of_contract(rule, one, store) for one in own[:_SHOWN]]


def _of_none(rule: Rule) -> Told:
    assert rule.contract is not None
    target, alpha = rule.contract.max_disagreement, spend(1 - rule.contract.confidence, 1)
    waits = {rate: until_certificate(target, rate, alpha) for rate in (0.0, target / 4, target / 2)}
    alarm = until_alarm(target, min(2 * target, (1 + target) / 2))
    told = ", ".join(f"{in_words(wait)} if {rate * 100:.3g} % of them disagree" for rate, wait in waits.items())
    line = (
        f"rule {rule.name}: no call under its contract yet. A certificate takes {FEWEST_TO_ORDER} calls to find a "
        f"threshold, then of the calls above it {told}. At {target * 100:.3g} % or more there is none. "
        + _noticed(target, alarm)
    )
    data = {
        "rule": rule.name,
        "phase": None,
        "certificate": [{"rate": rate, **as_dict(wait)} for rate, wait in waits.items()],
        "alarm": as_dict(alarm),
    }
    return Told(line=line, data=data)


def _of_contract(rule: Rule, stored: Stored, store: ContractStore) -> Told:
    assert rule.contract is not None
    scope, contract, now = stored.scope, stored.contract, time.time()
    since = now - LATELY_S
    traffic = store.traffic(scope.key, since=since, confidence=threshold(contract))
    days = 0.0 if traffic is None else (now - traffic.since) / _DAY_S
    found = outlook(
        contract,
        calls=traffic.calls if traffic else 0.0,
        surer=traffic.surer if traffic else 0.0,
        days=days,
        notice_s=rule.contract.notice_within,
    )
    volume = f"about {found.calls_a_day:,.0f} calls a day" if found.calls_a_day else "under a day of calls seen lately"
    line = f"rule {scope.rule} for {quoted(scope.model)}, version {scope.version}: {contract.phase.value}, {volume}. "
    if contract.phase is not Phase.LIVE:
        line += _to_certificate(contract, found) + " "
    line += _noticed(contract.terms.target, found.alarm, found.audits_a_day)
    return Told(line=line, data=_data(stored, found))


def _to_certificate(contract: Contract, found: Outlook) -> str:
    seen = found.seen
    if seen is None or found.certificate is None:
        left = max(contract.next_look, contract.fresh_from + FEWEST_TO_ORDER) - contract.pairs
        return f"No attempt at a certificate runs ({contract.reason}); the next may begin in {max(left, 1):,} calls."
    of = f"{seen.wrong:,} of {seen.pairs:,} calls at or above {seen.threshold:.4f} disagreed"
    limits = f"95 %: {seen.low * 100:.2g} to {seen.high * 100:.2g} %"
    days = in_words(found.certificate.over(found.calls_a_day), "days") if found.calls_a_day else ""
    takes = in_words(found.certificate, "more calls")
    return (
        f"{of} ({limits}). If {seen.estimate * 100:.2g} % do, a certificate takes {takes}"
        f"{', ' + days if days else ''}; at {contract.terms.target * 100:.3g} % or more it never comes."
    )


def _noticed(target: float, alarm: Wait, audits_a_day: float | None = None) -> str:
    twice = min(2 * target, (1 + target) / 2) * 100
    days = f", {in_words(alarm.over(audits_a_day), 'days')} at {audits_a_day:.3g} audits a day" if audits_a_day else ""
    return f"While live, {twice:.3g} % is noticed after {in_words(alarm, 'audits')}{days}."


def _data(stored: Stored, found: Outlook) -> dict[str, Any]:
    seen = found.seen
    return {
        "rule": stored.scope.rule,
        "key": stored.scope.key,
        "model": stored.scope.model,
        "version": stored.scope.version,
        "phase": stored.contract.phase.value,
        "calls_a_day": found.calls_a_day,
        "share": found.share,
        "disagreement": None
        if seen is None
        else {"pairs": seen.pairs, "wrong": seen.wrong, "estimate": seen.estimate, "low": seen.low, "high": seen.high},
        "certificate": None if found.certificate is None else as_dict(found.certificate),
        "alarm": as_dict(found.alarm),
        "audits_a_day": found.audits_a_day,
    }
