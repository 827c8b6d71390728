"""`offramp contract show|pause|resume`."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from gateway.cli.inputs import GATEWAY, GatewayFile, gateway
from gateway.cli.output import Exit, Json, fail, fields, moment, quoted, result, table

if TYPE_CHECKING:
    from rich.table import Table

    from gateway.contracts.contract import Contract, Side
    from gateway.contracts.store import ContractStore, StoredContract

_BOUNDS: Final = {
    "differ": "answers that differ",
    "missed": "unsafe calls missed",
    "flagged": "safe calls flagged",
}
_OTHER_TARGETS: Final = (0.02, 0.05, 0.1)
_KEY: Final = 6
"""Digits of a contract's key that are shown; JSON has all."""

app = typer.Typer(no_args_is_help=True, help="Bounds on disagreement: where they stand, and holding them.")


@app.command("show")
def show(config: GatewayFile = GATEWAY, json: Json = False) -> None:
    """Where each contract stands: phase, threshold, checks, and the bounds that hold now. The busiest come first."""
    from gateway.contracts.store import ContractStore
    from gateway.ledger.store import NoLedger
    from gateway.routes import Routes

    loaded = gateway(config)
    ledger, first = loaded.ledger, Routes(loaded.settings.models).first
    if not ledger.is_file():
        raise NoLedger(ledger)
    with closing(ContractStore(ledger, read_only=True)) as store:
        rows = [_row(stored, first, store) for stored in store.contracts()]
    rows.sort(key=lambda row: (row["rule"], -row["calls"]))
    result(rows, _shown(rows), as_json=json)


def _row(stored: "StoredContract", first: Callable[[str], str], store: "ContractStore") -> dict[str, Any]:
    """What a contract binds, where it stands, and how it came there. first: where a model is sent first now."""
    from gateway.contracts.consistency import MOST, RepeatedAnswers

    scope, contract, key = stored.scope, stored.contract, stored.scope.key
    repeats = RepeatedAnswers.of(store.repeats(key, newest=MOST))
    low, high = repeats.limits
    moves = store.moves(key)
    return {
        "key": key,
        **fields(scope, "rule", "model", "sent_to", "terms"),
        "prompt": scope.shown,
        "reached": scope.reached(first),
        "classifier": f"{scope.classifier}@{contract.version}",
        "paused": scope.rule in store.paused(),
        "changed": moment(stored.at),
        "calls": contract.known,
        "bounds": [_bound(side, moves, f"{side.name}: " if contract.guards else "") for side in contract.sides],
        "other_targets": [] if contract.guards else _other_targets(contract, store, key),
        "repeats": {**fields(repeats, "asked", "differ", "least"), "low": low, "high": high},
        "refused": "" if contract.guards else repeats.refusal(contract.sides[0].account.target),
        "results": {f"{zone}: {verdict}": count for (zone, verdict), count in store.counts(key).items()},
        "moves": [{"time": moment(at), "phase": phase, "reason": reason} for at, phase, reason in moves],
    }


def _bound(side: "Side", moves: Sequence[tuple[float, str, str]], own: str) -> dict[str, Any]:
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


def _other_targets(contract: "Contract", store: "ContractStore", key: str) -> list[dict[str, float]]:
    """What share of the calls other targets would let through, by the latest calls of the version in use."""
    from gateway.contracts.memory import KNOWN
    from gateway.contracts.threshold import for_answers, score_groups

    known = store.known(key, contract.version, newest=KNOWN)
    tried = for_answers(score_groups(known), len(known)) if known else []
    return [
        {"target": target, "share": max((one.share for one in tried if one.rate <= target), default=0.0)}
        for target in _OTHER_TARGETS
    ]


def _shown(rows: Sequence[Mapping[str, Any]]) -> "Iterator[str | Table]":
    if not rows:
        yield "no call has met a rule with a contract yet"
        return
    heads = ("rule", "model", "bound", "target", "phase", "from", "calls", "checks", "differ", "at most, here alone")
    yield table("Contracts", heads, [_cells(row, bound) for row in rows for bound in row["bounds"]])
    for row in rows:
        yield from _details(row)


def _cells(row: Mapping[str, Any], bound: Mapping[str, Any]) -> tuple[str, ...]:
    # with some routes a model's name is whatever a client wrote
    names = (row["rule"], quoted(row["model"]), _BOUNDS[bound["name"]], f"{bound['target']:.3g}", _phase(bound, row))
    counts = (f"{row['calls']:,}", f"{bound['checks']:,}", f"{bound['wrong']:,}")
    return (*names, _figure(bound["threshold"], ".4f"), *counts, _figure(bound["at_most"], ".2%"))


def _details(row: Mapping[str, Any]) -> Iterator[str]:
    model, repeats = quoted(row["model"]), row["repeats"]
    prompt = f"prompt {quoted(row['prompt'])}" if row["prompt"] else "no system prompt"
    last = row["changed"][:16].replace("T", " ")
    yield f"{row['rule']} for {model} ({quoted(row['sent_to'])}, {prompt}, {row['key'][:_KEY]}, last call {last})"
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


@app.command("pause")
def pause(rule: str, config: GatewayFile = GATEWAY, json: Json = False) -> None:
    """Let a rule's contracts decide nothing until they are resumed. A running gateway notices within seconds."""
    done = f"{rule} decides nothing from now on; its calls are forwarded, or put to its judge, and checks go on"
    _set_paused(rule, config, paused=True)
    result({"rule": rule, "paused": True}, [done], as_json=json)


@app.command("resume")
def resume(rule: str, config: GatewayFile = GATEWAY, json: Json = False) -> None:
    """Let a paused rule's contracts decide again, as far as they are live."""
    _set_paused(rule, config, paused=False)
    result({"rule": rule, "paused": False}, [f"{rule} decides again where it is live"], as_json=json)


def _set_paused(rule: str, config: Path, *, paused: bool) -> None:
    """Pauses or resumes a rule of a gateway's file that has a contract. Raises typer.Exit where none has."""
    from gateway.config.problems import did_you_mean
    from gateway.contracts.tables import Tables

    loaded = gateway(config)
    rules = [settings.name for settings in loaded.settings.rules if settings.contract]
    if rule not in rules:
        raise fail(f"no rule {rule!r} has a contract{did_you_mean(rule, rules)}", Exit.USAGE)
    with closing(Tables(loaded.ledger)) as tables:
        if paused:
            tables.pause(rule, time.time())
        else:
            tables.resume(rule)
