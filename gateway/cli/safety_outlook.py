"""What `offramp check` expects of safety contracts: calls and days until a bound is certified, and until an alarm."""

import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from classifiers.registry import Registry
from gateway.cli.outlook import LATELY_S, Told
from gateway.cli.waits import as_dict, in_words
from gateway.config.load import Loaded
from gateway.config.rules import Ask, Rule
from gateway.contract.outlook import Wait
from gateway.contract.safety import SafetyContract, SafetyTerms, Zone
from gateway.contract.safety_outlook import Elsewhere, SideOutlook, side_outlook
from gateway.contract.safety_store import SafetyStore, Stored, Traffic
from gateway.contract.side import Side
from gateway.contract.state import Phase
from gateway.upstreams.routes import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """A side's name, the calls that it is measured among, what it is wrong to do with them, what it does with the
    others, and where the other side acts."""

    side: str
    kind: str
    wrong: str
    acts: str
    elsewhere: Zone


_BOUNDS: Final = (
    _Bound(side="missing", kind="unsafe", wrong="missed", acts="others pass", elsewhere=Zone.FLAG),
    _Bound(side="flagging", kind="safe", wrong="flagged", acts="others are flagged", elsewhere=Zone.PASS),
)


def safety_outlooks(loaded: Loaded) -> list[Told]:
    """Of each bound of each rule under a contract with its judge: what is to be expected with the version in use.

    Raises LedgerError and ArtifactError.
    """
    rules = [rule for rule in loaded.settings.rules if rule.contract and isinstance(rule.when_unsure, Ask)]
    if not rules:
        return []
    with closing(SafetyStore(loaded.ledger, read_only=True)) as store:
        return [told for rule in rules for told in _of_rule(rule, loaded, store)]


def _of_rule(rule: Rule, loaded: Loaded, store: SafetyStore) -> list[Told]:
    assert rule.contract is not None
    given = rule.contract
    terms = SafetyTerms(missed=given.max_missed, wrongly=given.max_false_alarms, confidence=given.confidence)
    stored = _stored(rule, terms, loaded, store)
    contract = stored.contract if stored else SafetyContract.new(terms)
    traffic = None
    if stored is not None:
        traffic = store.traffic(stored.scope.key, contract, since=time.time() - LATELY_S)
    return [_of_side(rule, stored, getattr(contract, bound.side), bound, traffic) for bound in _BOUNDS]


def _stored(rule: Rule, terms: SafetyTerms, loaded: Loaded, store: SafetyStore) -> Stored | None:
    """The contract that was changed last, of those with the rule's terms and judge and the version in use."""
    assert isinstance(rule.when_unsure, Ask)
    judge = rule.when_unsure.ask
    version = Registry(loaded.models_dir).current(rule.classifier)
    wanted = (rule.name, judge, Routes(loaded.settings.models).first(judge), version, terms.text)
    scopes = ((one, one.scope) for one in store.contracts())
    return next((one for one, of in scopes if (of.rule, of.model, of.sent_to, of.version, of.terms) == wanted), None)


def _of_side(rule: Rule, stored: Stored | None, side: Side, bound: _Bound, traffic: Traffic | None) -> Told:
    a_day = traffic.a_day(bound.kind, now=time.time()) if traffic else None
    found = side_outlook(side, traffic.elsewhere(bound.kind, bound.elsewhere) if traffic else Elsewhere())
    line = f"rule {rule.name}, {bound.kind} calls {bound.wrong}: {_stands(side, stored, bound, traffic, a_day)}. "
    if side.phase is not Phase.LIVE:
        line += _to_certificate(side, found, bound, a_day) + " "
    twice = min(2 * side.target, (1 + side.target) / 2)
    noticed = _takes(found.alarm, f"{bound.kind} calls", a_day)
    line += f"While live, {twice * 100:.3g} % is noticed after {noticed}, if audited as rarely as any."
    return Told(line=line, data=_data(rule, stored, side, bound, found, a_day))


def _stands(side: Side, stored: Stored | None, bound: _Bound, traffic: Traffic | None, a_day: float | None) -> str:
    if stored is None:
        return "no call under its contract yet"
    if a_day is not None:
        volume = f"about {a_day:,.0f} {bound.kind} calls a day"
    else:
        volume = "under a day of calls seen lately" if traffic else "no call seen lately"
    return f"version {stored.scope.version}, {side.phase.value}, {volume}"


def _to_certificate(side: Side, found: SideOutlook, bound: _Bound, a_day: float | None) -> str:
    never = f"at {side.target * 100:.3g} % or more they never do"
    if found.rung is None:
        told = ", ".join(f"{in_words(wait)} if {rate * 100:.3g} % are" for rate, wait in found.certificate.items())
        return (
            f"It takes {found.ordering:,} {bound.kind} calls to find thresholds, then until {bound.acts} without the "
            f"judge {told} {bound.wrong} at the strictest; {never}."
        )
    [(rate, wait)] = found.certificate.items()
    return (
        f"{found.rung.wrong:,.0f} of {found.rung.calls:,.0f} were {bound.wrong} at the threshold to be certified next. "
        f"If {rate * 100:.2g} % are, {bound.acts} without the judge after "
        f"{_takes(wait, f'more {bound.kind} calls', a_day)}; {never}."
    )


def _takes(wait: Wait, what: str, a_day: float | None) -> str:
    return in_words(wait, what) + (f", {in_words(wait.over(a_day), 'days')}" if a_day else "")


def _data(
    rule: Rule, stored: Stored | None, side: Side, bound: _Bound, found: SideOutlook, a_day: float | None
) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "key": stored.scope.key if stored else None,
        "model": stored.scope.model if stored else None,
        "version": stored.scope.version if stored else None,
        "bound": bound.side,
        "phase": side.phase.value if stored else None,
        "calls_a_day": a_day,
        "ordering": found.ordering,
        "certificate": [{"rate": rate, **as_dict(wait)} for rate, wait in found.certificate.items()],
        "alarm": as_dict(found.alarm),
    }
