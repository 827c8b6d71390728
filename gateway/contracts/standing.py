"""Where contracts stand, for `offramp contract show` and the page Rules; and holding them."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Final

from classifiers.report.markup import moment
from gateway.config.load import Loaded
from gateway.config.problems import ConfigError, did_you_mean
from gateway.contracts.consistency import MOST, RepeatedAnswers
from gateway.contracts.contract import Contract, Side
from gateway.contracts.memory import KNOWN
from gateway.contracts.store import ContractStore, StoredContract
from gateway.contracts.tables import Tables
from gateway.contracts.threshold import for_answers, score_groups

_BOUNDS: Final = {
    "differ": "answers that differ",
    "missed": "unsafe calls missed",
    "flagged": "safe calls flagged",
}
_OTHER_TARGETS: Final = (0.02, 0.05, 0.1)
_KEY: Final = 6
"""Digits of a contract's key that are shown; JSON has all."""
HEADS: Final = ("rule", "model", "bound", "target", "phase", "from", "calls", "checks", "differ", "at most, here alone")


def standings(store: ContractStore, first: Callable[[str], str], *, most: int | None = None) -> list[dict[str, Any]]:
    """Each contract, by rules, the busiest first; of more than `most` those that changed last. first: where a model is
    sent first now. Raises LedgerError."""
    paused = store.paused()
    rows = [_row(stored, first, store, paused) for stored in islice(store.contracts(), most)]
    return sorted(rows, key=lambda row: (row["rule"], -row["calls"]))


def set_paused(loaded: Loaded, rule: str, *, paused: bool) -> None:
    """Pauses or resumes the contracts of a rule, which a running gateway notices. Raises ConfigError where it has none,
    and LedgerError."""
    rules = [settings.name for settings in loaded.settings.rules if settings.contract]
    if rule not in rules:
        what = f"no rule {rule!r} has a contract{did_you_mean(rule, rules)}"
        raise ConfigError([loaded.document.problem(("rules",), what)])
    with closing(Tables(loaded.ledger)) as tables:
        if paused:
            tables.pause(rule, time.time())
        else:
            tables.resume(rule)


def _row(
    stored: StoredContract, first: Callable[[str], str], store: ContractStore, paused: Collection[str]
) -> dict[str, Any]:
    """What a contract binds, where it stands, and how it came there."""
    scope, contract, key = stored.scope, stored.contract, stored.scope.key
    repeats = RepeatedAnswers.of(store.repeats(key, newest=MOST))
    moves = store.moves(key)
    return {
        "key": key,
        **{name: getattr(scope, name) for name in ("rule", "model", "sent_to", "terms")},
        "prompt": scope.shown,
        "reached": scope.reached(first),
        "classifier": f"{scope.classifier}@{contract.version}",
        "paused": scope.rule in paused,
        "changed": moment(stored.at),
        "calls": contract.known,
        "bounds": [_bound(side, moves, f"{side.name}: " if contract.guards else "") for side in contract.sides],
        "other_targets": [] if contract.guards else _other_targets(contract, store, key),
        "repeats": {name: getattr(repeats, name) for name in ("asked", "differ", "least")}
        | dict(zip(("low", "high"), repeats.limits, strict=True)),
        "refused": "" if contract.guards else repeats.refusal(contract.sides[0].account.target),
        "results": {f"{zone}: {verdict}": count for (zone, verdict), count in store.counts(key).items()},
        "moves": [{"time": moment(at), "phase": phase, "reason": reason} for at, phase, reason in moves],
    }


def _bound(side: Side, moves: Sequence[tuple[float, str, str]], own: str) -> dict[str, Any]:
    """One of a contract's bounds. own: what the reasons of its moves begin with. at_most: of the calls that are decided
    here alone; stand_for: the calls that the wrong ones of these stand for."""
    account, answered = side.account, side.account.answered
    moved = [at for at, phase, why in moves if (phase == "live") is account.live and why.startswith(own)]
    return {
        "name": side.name,
        "phase": side.phase.value,
        "since": moment(max(moved)) if moved else None,
        "target": account.target,
        "threshold": side.threshold,
        "decided": side.decided,
        "checks": account.seen.checks,
        "wrong": account.seen.wrong,
        "evidence": account.promise.evidence(),
        "enough": account.enough,
        "audits": answered.checks,
        "audits_wrong": answered.wrong,
        "stand_for": round(answered.stand_for),
        "estimate": answered.weight_wrong / answered.weight if answered.weight else None,
        "at_most": account.bound,
        "alarms": account.alarms,
        "reason": side.reason,
    }


def _other_targets(contract: Contract, store: ContractStore, key: str) -> list[dict[str, float]]:
    """What share of the calls other targets would let through, by the latest calls of the version in use."""
    known = store.known(key, contract.version, newest=KNOWN)
    tried = for_answers(score_groups(known), len(known)) if known else []
    return [
        {"target": target, "share": max((one.share for one in tried if one.rate <= target), default=0.0)}
        for target in _OTHER_TARGETS
    ]


def cells(row: Mapping[str, Any], bound: Mapping[str, Any]) -> tuple[str, ...]:
    """A bound of a contract, as HEADS name its parts. With some routes a model's name is whatever a client wrote."""
    names = (row["rule"], row["model"], _BOUNDS[bound["name"]], f"{bound['target']:.3g}", _phase(bound, row))
    counts = (f"{row['calls']:,}", f"{bound['checks']:,}", f"{bound['wrong']:,}")
    return (*names, _figure(bound["threshold"], ".4f"), *counts, _figure(bound["at_most"], ".2%"))


def details(row: Mapping[str, Any]) -> Iterator[str]:
    """Lines about a contract, those after the first indented. Names and prompt are as clients wrote them."""
    model, repeats = row["model"], row["repeats"]
    prompt = f"prompt {row['prompt']}" if row["prompt"] else "no system prompt"
    last = row["changed"][:16].replace("T", " ")
    yield f"{row['rule']} for {model} ({row['sent_to']}, {prompt}, {row['key'][:_KEY]}, last call {last})"
    for bound in row["bounds"]:
        yield f"  {_BOUNDS[bound['name']]}: {bound['reason']}"
        if bound["phase"] == "live":
            yield "  " + _answers_alone(bound)
    if not row["reached"]:
        yield f"  no call belongs to it any more, for {model} is sent elsewhere now"
    if others := row["other_targets"]:
        targets = " / ".join(f"{one['target'] * 100:g}" for one in others)
        shares = " / ".join(f"{one['share']:.0%}" for one in others)
        yield f"  at {targets} % it would answer {shares} of the calls"
    if row["refused"]:
        yield f"  it stays in shadow: {row['refused']}"
    elif repeats["asked"]:
        yield (
            f"  the model against itself: {repeats['differ']:,} of {repeats['asked']:,} calls that it was asked "
            f"twice got another answer (95 %: {repeats['low']:.1%} to {repeats['high']:.1%})"
        )


def _answers_alone(bound: Mapping[str, Any]) -> str:
    """What is known of the calls that were decided here, without those of the shadow."""
    since = (bound["since"] or "")[:10]
    audits = f"{bound['audits']:,} calls checked, {bound['audits_wrong']:,} differed"
    if bound["audits_wrong"]:
        audits += f", which stand for {bound['stand_for']:,} calls"
    line = f"decided here since {since}: {bound['decided']:,} calls; {audits}"
    if bound["estimate"] is not None:
        line += f"; about {bound['estimate']:.2%} differ"
    return line + (f", at most {bound['at_most']:.2%}" if bound["at_most"] else ", too few checks for a bound")


def _phase(bound: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """A bound's phase, and what keeps it from doing anything: its rule is paused, or it is past."""
    return str(bound["phase"]) + (" (paused)" if row["paused"] else "") + ("" if row["reached"] else " (past)")


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
