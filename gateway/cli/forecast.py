"""What `offramp check` expects of a gateway's file: of contracts, calls and days until they go live; of judges, what
their questions cost.

It gives days only where calls were seen for a day or more. Where nothing is known of a contract's calls yet, the
figures are for several rates of difference.
"""

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

from classifiers.judge_prompt import instructions
from classifiers.policy import Policy
from gateway.cli.output import fields, quoted
from gateway.config.load import Loaded
from gateway.config.prices import load_prices
from gateway.config.rules import AskJudge, RuleSettings
from gateway.contracts.account import growth
from gateway.contracts.contract import Contract, Phase, Side
from gateway.contracts.memory import KNOWN
from gateway.contracts.store import ContractStore, StoredContract
from gateway.contracts.threshold import ScoreRow
from gateway.routes import Routes
from gateway.rules.rule import SafetyTerms, Terms

_BYTES_A_TOKEN: Final = 4
_ANSWER_TOKENS: Final = 12
"""Of `{"labels": ["self_harm"]}`."""
_DAY_S: Final = 86400.0
_LATELY_S: Final = 7 * _DAY_S
_SHOWN: Final = 3
"""Contracts shown for a rule: those with the most pairs."""
_RATES: Final = (0.0, 0.25, 0.5)
"""Rates of wrong ones, as shares of the target, where none was seen."""
_PRIOR: Final = 50.0
"""Calls that an estimate begins with, at half of the target."""
_AUDITED: Final = 0.05
_KINDS: Final = {
    "differ": ("calls", "differ"),
    "missed": ("unsafe calls", "are missed"),
    "flagged": ("safe calls", "are flagged"),
}
"""The calls that each bound is of, and the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastLine:
    """One forecast in words, and as data for JSON."""

    line: str
    data: dict[str, Any]


def outlooks(loaded: Loaded) -> list[ForecastLine]:
    """Forecasts for each rule under a contract. Raises LedgerError."""
    rules = [rule for rule in loaded.settings.rules if rule.contract]
    if not rules:
        return []
    first = Routes(loaded.settings.models).first
    with closing(ContractStore(loaded.ledger, read_only=True)) as store:
        every = [one for one in store.contracts() if one.scope.reached(first)]
        return [line for rule in rules for line in _of_rule(rule, every, store)]


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
        what = "about every call until it is live" if terms else what
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


def _of_rule(rule: RuleSettings, every: Sequence[StoredContract], store: ContractStore) -> Iterator[ForecastLine]:
    terms = _terms(rule)
    stored = [one for one in every if (one.scope.rule, one.scope.terms) == (rule.name, terms.text)]
    stored.sort(key=lambda one: -one.contract.known)
    for one in stored[:_SHOWN]:
        a_day = store.calls_a_day(one.scope.key, now=time.time(), lately_s=_LATELY_S)
        known = store.known(one.scope.key, one.contract.version, newest=KNOWN)
        for side in one.contract.sides:
            yield _of_side(rule.name, side, one, known, a_day)
    if not stored:
        for side in Contract.new(terms).sides:
            yield _of_side(rule.name, side, None, (), None)


def _terms(rule: RuleSettings) -> Terms | SafetyTerms:
    given = rule.contract
    assert given is not None
    if rule.judge is None:
        return Terms(target=given.max_disagreement, confidence=given.confidence)
    return SafetyTerms(missed=given.max_missed, wrongly=given.max_false_alarms, confidence=given.confidence)


def _of_side(
    rule: str, side: Side, stored: StoredContract | None, known: Sequence[ScoreRow], a_day: float | None
) -> ForecastLine:
    """stored: None where no call came yet; known: calls with their right answers; a_day: calls, where that is known."""
    kind, does = _KINDS[side.name]
    target = side.account.target
    waits = _waits(side, known)
    where = f" for {quoted(stored.scope.model)}" if stored else ""
    state = f"{side.phase.value}, {_volume(a_day)}" if stored else "no call under its contract yet"
    line = f"rule {rule}{where}, {kind} that {does}: {state}. "
    if side.phase is not Phase.LIVE:
        takes = ", ".join(f"{_takes(calls, kind, a_day)} if {100 * rate:.3g} % {does}" for rate, calls in waits.items())
        line += f"It goes live after {takes}; at {target * 100:.3g} % or more it never does. "
    data = {
        "rule": rule,
        **(fields(stored.scope, "key", "model") if stored else dict.fromkeys(("key", "model"))),
        "bound": side.name,
        "phase": side.phase.value if stored else None,
        "calls_a_day": a_day,
        "live": [{"rate": rate, "calls": None if math.isinf(n) else n} for rate, n in waits.items()],
    }
    return ForecastLine(line=line + f"While live, {_AUDITED:.0%} of what it decides is checked.", data=data)


def _waits(side: Side, known: Sequence[ScoreRow]) -> dict[float, float]:
    """By the rate of wrong ones, about how many more calls of the kind it takes until the account goes live: what is
    missing of the evidence over what a call adds. By what is known at the threshold, or else for some rates."""
    account = side.account
    missing = max(0.0, account.enough - account.promise.evidence())
    threshold = side.threshold
    share, rates = 1.0, [part * account.target for part in _RATES]
    if threshold is not None and known and side.name == "differ":
        above = [(weight, wrong) for score, weight, wrong in known if score >= threshold]
        weights = math.fsum(weight for weight, _ in above)
        share = weights / math.fsum(weight for _, weight, _ in known)
        differ = math.fsum(weight for weight, wrong in above if wrong)
        rates = [(differ + _PRIOR * account.target) / (weights + 2 * _PRIOR)]
    waits = {rate: growth(account.target, rate) * share for rate in rates}
    return {rate: math.inf if not gain else missing / gain for rate, gain in waits.items()}


def _volume(a_day: float | None) -> str:
    return f"about {a_day:,.0f} calls a day" if a_day else "under a day of calls seen lately"


def _takes(calls: float, kind: str, a_day: float | None) -> str:
    """A wait in words; in days as well where the volume is known."""
    if math.isinf(calls):
        return f"more {kind} than can be told"
    days = f", {_number(calls / a_day)} days," if a_day and kind == "calls" else ""
    return f"about {_number(calls)} more {kind}{days}"


def _number(value: float) -> str:
    """A number with two significant digits; more is not known."""
    return f"{value:.1f}" if value < 10 else f"{round(value, 2 - len(str(round(value)))):,.0f}"
