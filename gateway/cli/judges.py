"""The cost of rules' judges, and the state of safety contracts, for `check` and `contract show`."""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from classifiers.judge_prompt import instructions
from classifiers.policy import Policy
from gateway.cli.forecast import ForecastLine
from gateway.config.load import Loaded
from gateway.config.rules import AskJudge, RuleSettings
from gateway.ledger.prices import Price, load_prices

if TYPE_CHECKING:
    from gateway.contracts.bound import Side
    from gateway.contracts.safety_store import SafetyStore, StoredSafety

_BYTES_A_TOKEN: Final = 4
_ANSWER: Final = 12
"""Tokens of `{"labels": ["self_harm"]}`."""
_SIDES: Final = (("missing", "of what it calls unsafe, missed"), ("flagging", "of what it calls safe, flagged"))


def costs(loaded: Loaded, policies: Mapping[str, Policy]) -> Iterator[ForecastLine]:
    """For each rule with a judge whose policy is at hand, what a thousand questions cost beside the texts themselves;
    under a contract, how many are needed. Raises ConfigError where the prices cannot be read."""
    rules = [(rule, rule.when_unsure) for rule in loaded.settings.rules if isinstance(rule.when_unsure, AskJudge)]
    prices = load_prices(loaded.prices, os.environ) if rules else None
    for rule, ask in rules:
        policy = policies.get(rule.classifier)
        if policy is None or prices is None:
            continue
        route = loaded.settings.models[ask.ask]
        model = route.model or ask.ask
        tokens = 0 if route.endpoint == "moderations" else len(instructions(policy).encode()) // _BYTES_A_TOKEN
        usd = _thousand(prices.find(model), tokens, answered=route.endpoint == "chat")
        yield ForecastLine(
            line=f"rule {rule.name} asks {ask.ask} ({model}) {_what(rule)} {_money(usd, tokens)}",
            data={
                "rule": rule.name,
                "judge": model,
                "instruction_tokens": tokens,
                "usd_a_thousand": usd,
                "contract": None if rule.contract is None else _terms(rule),
            },
        )


def _what(rule: RuleSettings) -> str:
    return "what its classifier is unsure of." if rule.contract is None else "about every call until it is certified."


def _thousand(price: Price | None, tokens: int, *, answered: bool) -> float | None:
    return None if price is None else 1000 * price.cost(input_tokens=tokens, output_tokens=_ANSWER if answered else 0)


def _money(usd: float | None, tokens: int) -> str:
    if usd is None:
        return "It has no price in the price file, so what it costs is in no figure."
    return f"A thousand questions cost about ${usd:.2f} and their texts' tokens (instructions of {tokens:,} tokens)."


def _terms(rule: RuleSettings) -> dict[str, float]:
    assert rule.contract is not None
    given = rule.contract
    return {
        "max_missed": given.max_missed,
        "max_false_alarms": given.max_false_alarms,
        "confidence": given.confidence,
    }


def rows(store: "SafetyStore", paused: frozenset[str], first: Callable[[str], str]) -> list[dict[str, Any]]:
    """Where each safety contract stands, for JSON. first: where a model is sent first now, as `upstream/model`."""
    return [_row(store, stored, paused, first) for stored in store.contracts()]


def stands(phase: str, row: Mapping[str, Any]) -> str:
    """A contract's phase, and what keeps it from doing anything: its rule is paused, or it is past."""
    return phase + (" (paused)" if row["paused"] else "") + ("" if row["reached"] else " (past)")


def past(row: Mapping[str, Any]) -> str:
    """Why no call belongs to a contract any more, to be said after its reason; empty where calls may."""
    model = row["model"] if "model" in row else row["judge"]
    return "" if row["reached"] else f"; no call belongs to it any more, for {model} is sent elsewhere now"


def _row(
    store: "SafetyStore", stored: "StoredSafety", paused: frozenset[str], first: Callable[[str], str]
) -> dict[str, Any]:
    scope = stored.scope
    return {
        "key": scope.key,
        "rule": scope.rule,
        "judge": scope.model,
        "sent_to": scope.sent_to,
        "reached": scope.reached(first),
        "classifier": f"{scope.classifier}@{scope.version}",
        "terms": scope.terms,
        "paused": scope.rule in paused,
        **{name: _side(getattr(stored.contract, name), name) for name, _ in _SIDES},
        "changed": datetime.fromtimestamp(stored.at, UTC).isoformat(timespec="seconds"),
        "calls": {f"{zone}: {verdict}": count for (zone, verdict), count in store.counts(scope.key).items()},
        "moves": [
            {"at": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"), "phase": phase, "reason": reason}
            for at, phase, reason in store.moves(scope.key)
        ],
    }


def _side(side: "Side", name: str) -> dict[str, Any]:
    alarm, threshold = side.alarm, side.threshold
    return {
        "phase": side.phase.value,
        "score": None if threshold is None else 1 - threshold if name == "missing" else threshold,
        "target": side.target,
        "calls": side.calls,
        "attempts": side.attempts,
        "audited": alarm.calls if alarm else 0,
        "wrong": alarm.wrong / alarm.weight if alarm and alarm.weight else None,
        "reason": side.reason,
    }


def table(rows: list[dict[str, Any]]) -> Table:
    """One line for each side of each contract."""
    shown = Table(title="Contracts with a judge", title_justify="left")
    for name in ("rule", "judge", "bound", "at most", "phase", "decides", "calls", "audited", "wrong"):
        shown.add_column(name)
    for row in rows:
        for name, what in _SIDES:
            side = row[name]
            sign = "scores under" if name == "missing" else "scores from"
            shown.add_row(
                row["rule"],
                row["judge"],
                what,
                f"{side['target']:.3g}",
                stands(side["phase"], row),
                "" if side["score"] is None else f"{sign} {side['score']:.4f}",
                f"{side['calls']:,}",
                f"{side['audited']:,}",
                "" if side["wrong"] is None else f"{side['wrong']:.2%}",
            )
    return shown
