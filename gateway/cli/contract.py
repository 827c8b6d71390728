"""`offramp contract show|pause|resume`, with the drift of a contract's calls since the period that certified it."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.output import Exit, Json, fail, fields, quoted, result, table

if TYPE_CHECKING:
    from rich.table import Table

    from gateway.contracts.bound import Side
    from gateway.contracts.drift import Drift, Period
    from gateway.contracts.safety_store import SafetyStore, StoredSafety
    from gateway.contracts.store import ContractStore, StoredContract

_SHARES: Final = {
    "below": "below the threshold",
    "novel": "unlike the certified",
    "disagree": "audits that disagree",
    "missing": "for want of an answer",
}
_SIDES: Final = (
    ("missing", "of what it calls unsafe, missed", "scores under"),
    ("flagging", "of what it calls safe, flagged", "scores from"),
)
_DEFAULT: Final = Path("config/gateway.yaml")
_KEY: Final = 6
"""Digits of a contract's key that are shown; JSON has all."""

app = typer.Typer(no_args_is_help=True, help="Bounds on disagreement: where they stand, and holding them.")
Config = Annotated[Path, typer.Argument(help="The gateway's file.")]


@app.command("show")
def show(config: Config = _DEFAULT, json: Json = False) -> None:
    """Where each contract stands: phase, threshold, pairs, audits, and the bound that holds now."""
    from gateway.config.load import load_gateway
    from gateway.contracts.safety_store import SafetyStore
    from gateway.contracts.store import ContractStore
    from gateway.ledger.store import NoLedger
    from gateway.routes import Routes

    loaded = load_gateway(config, os.environ, secrets=False)
    ledger, first = loaded.ledger, Routes(loaded.settings.models).first
    if not ledger.is_file():
        raise NoLedger(ledger)
    with (
        closing(ContractStore(ledger, read_only=True)) as store,
        closing(SafetyStore(ledger, read_only=True)) as safety,
    ):
        rows = [{**_scope(stored, "model", first, store), **_agreement(store, stored)} for stored in store.contracts()]
        judged = [
            {**_scope(stored, "judge", first, safety), **_judged(safety, stored)} for stored in safety.contracts()
        ]
    result([*rows, *judged], _shown(rows, judged), as_json=json)


def _scope(
    stored: "StoredContract | StoredSafety",
    model: str,
    first: Callable[[str], str],
    store: "ContractStore | SafetyStore",
) -> dict[str, Any]:
    """What a contract of either kind binds, and how it came to its phase. model: the key of the model's name. first:
    where a model is sent first now."""
    scope = stored.scope
    moves = store.moves(scope.key)
    return {
        **fields(scope, "key", "rule"),
        model: scope.model,
        "sent_to": scope.sent_to,
        "reached": scope.reached(first),
        "classifier": f"{scope.classifier}@{scope.version}",
        "terms": scope.terms,
        "paused": scope.rule in store.paused(),
        "changed": _time(stored.at),
        "moves": [{"time": _time(at), "phase": phase, "reason": reason} for at, phase, reason in moves],
    }


def _agreement(store: "ContractStore", stored: "StoredContract") -> dict[str, Any]:
    from gateway.contracts.bounds import upper_at_any_time
    from gateway.contracts.consistency import MOST, RepeatedAnswers
    from gateway.contracts.drift import drift

    key, contract = stored.scope.key, stored.contract
    attempt, detector = contract.attempt, contract.detector
    audits, wrong = (detector.audits, detector.wrong) if detector else (0, 0)
    repeats = RepeatedAnswers.of(store.repeats(key, newest=MOST))
    low, high = repeats.limits
    moved = drift(store.pairs(key), store.moves(key))
    rungs = [fields(rung, "threshold", "pairs", "wrong", "proven") for rung in attempt.rungs] if attempt else None
    return {
        "phase": contract.phase.value,
        **fields(contract, "threshold", "pairs", "attempts", "reason"),
        "running": rungs,
        "audits": audits,
        "disagreement": wrong / audits if audits else None,
        "at_most": upper_at_any_time(audits, wrong, 1 - contract.terms.confidence) if audits else None,
        "repeats": {**fields(repeats, "asked", "differ", "least"), "low": low, "high": high},
        "drift": _drift(moved) if moved else None,
        "results": {
            f"{'chosen' if chosen else 'not chosen'}: {result}": count
            for (chosen, result), count in store.counts(key).items()
        },
    }


def _judged(store: "SafetyStore", stored: "StoredSafety") -> dict[str, Any]:
    counts = store.counts(stored.scope.key)
    return {
        "missing": _side(stored.contract.missing, from_end=True),
        "flagging": _side(stored.contract.flagging),
        "calls": {f"{zone}: {verdict}": count for (zone, verdict), count in counts.items()},
    }


def _side(side: "Side", *, from_end: bool = False) -> dict[str, Any]:
    """from_end: whether the threshold counts from a score of 1 downwards."""
    alarm, threshold = side.alarm, side.threshold
    return {
        "phase": side.phase.value,
        "score": 1 - threshold if from_end and threshold is not None else threshold,
        **fields(side, "target", "calls", "attempts", "reason"),
        "audited": alarm.calls if alarm else 0,
        "wrong": alarm.wrong / alarm.weight if alarm and alarm.weight else None,
    }


def _drift(drift: "Drift") -> dict[str, Any]:
    """`moved` says what differs beyond doubt between the certified period and the latest pairs."""
    return {
        "threshold": drift.threshold,
        "certified": _period(drift.certified),
        "latest": [_period(period) for period in drift.latest],
        "windows": [_period(window) for window in drift.windows],
        "moved": drift.moved(),
    }


def _period(period: "Period") -> dict[str, Any]:
    shares = zip(_SHARES, (period.below, period.novel, period.differ, period.missing), strict=True)
    counts = {name: {"count": share.count, "total": share.total, "share": share.value} for name, share in shares}
    return {"since": _time(period.since), "until": _time(period.until), **counts}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _shown(rows: Sequence[Mapping[str, Any]], judged: Sequence[Mapping[str, Any]]) -> "Iterator[str | Table]":
    if not rows and not judged:
        yield "no call has met a rule with a contract yet"
    if rows:
        heads = ("rule", "model", "phase", "answers from", "pairs", "audits", "disagree", "at most")
        yield table("Contracts", heads, map(_cells, rows))
    for row in rows:
        yield from _details(row)
    if judged:
        names = ("rule", "judge", "bound", "at most", "phase", "decides", "calls", "audited", "wrong")
        yield table("Contracts with a judge", names, [_side_cells(row, *side) for row in judged for side in _SIDES])
    for row in judged:
        for name, _, _ in _SIDES:
            yield f"{row['rule']} by {row['judge']}, {name}: {row[name]['reason']}{_past(row, row['judge'])}"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    # with some routes a model's name is whatever a client wrote
    names = (row["rule"], quoted(row["model"]), _phase(row["phase"], row), _figure(row["threshold"], ".4f"))
    shares = (_figure(row["disagreement"], ".2%"), _figure(row["at_most"], ".2%"))
    return (*names, f"{row['pairs']:,}", f"{row['audits']:,}", *shares)


def _side_cells(row: Mapping[str, Any], name: str, bound: str, decides: str) -> tuple[str, ...]:
    side = row[name]
    score = "" if side["score"] is None else f"{decides} {side['score']:.4f}"
    counts = (f"{side['calls']:,}", f"{side['audited']:,}", _figure(side["wrong"], ".2%"))
    return row["rule"], row["judge"], bound, f"{side['target']:.3g}", _phase(side["phase"], row), score, *counts


def _details(row: Mapping[str, Any]) -> "Iterator[str | Table]":
    model, repeats, drift = quoted(row["model"]), row["repeats"], row["drift"]
    last = row["changed"][:16].replace("T", " ")
    details = ", ".join(filter(None, [quoted(row["sent_to"]), row["key"][:_KEY], f"last pair {last}"]))
    yield f"{row['rule']} for {model} ({details}): {row['reason']}{_past(row, model)}"
    if repeats["asked"]:
        yield (
            f"  the model against itself: {repeats['differ']:,} of {repeats['asked']:,} calls that it was asked "
            f"twice got another answer (95 %: {repeats['low']:.1%} to {repeats['high']:.1%})"
        )
    if drift:
        moved = ", ".join(drift["moved"]) or "nothing beyond doubt"
        names = ("until (UTC)", "calls chosen", *_SHARES.values())
        periods = ({**drift["certified"], "until": "certified"}, *drift["windows"])
        yield table(f"{row['rule']}: moved since it was certified: {moved}", names, map(_period_cells, periods))


def _period_cells(period: Mapping[str, Any]) -> tuple[str, ...]:
    shares = (period[name] for name in _SHARES)
    counts = ("" if share["share"] is None else f"{share['share']:6.1%} ({share['count']:,})" for share in shares)
    return period["until"], f"{period['below']['total']:,}", *counts


def _phase(phase: str, row: Mapping[str, Any]) -> str:
    """A contract's phase, and what keeps it from doing anything: its rule is paused, or it is past."""
    return phase + (" (paused)" if row["paused"] else "") + ("" if row["reached"] else " (past)")


def _past(row: Mapping[str, Any], model: str) -> str:
    """Why no call belongs to a contract any more, to follow its reason; empty where calls may."""
    return "" if row["reached"] else f"; no call belongs to it any more, for {model} is sent elsewhere now"


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


@app.command("pause")
def pause(rule: str, config: Config = _DEFAULT, json: Json = False) -> None:
    """Let a rule's contracts answer nothing until they are resumed. A running gateway notices within seconds."""
    done = f"{rule} answers nothing from now on; its calls are forwarded, or put to its judge, and pairs go on"
    _set_paused(rule, config, paused=True)
    result({"rule": rule, "paused": True}, [done], as_json=json)


@app.command("resume")
def resume(rule: str, config: Config = _DEFAULT, json: Json = False) -> None:
    """Let a paused rule's contracts answer again, as far as they are certified."""
    _set_paused(rule, config, paused=False)
    result({"rule": rule, "paused": False}, [f"{rule} answers again where it is certified"], as_json=json)


def _set_paused(rule: str, config: Path, *, paused: bool) -> None:
    """Pauses or resumes a rule of a gateway's file that has a contract. Raises typer.Exit where none has."""
    from gateway.config.load import load_gateway
    from gateway.config.problems import did_you_mean
    from gateway.contracts.tables import Tables

    loaded = load_gateway(config, os.environ, secrets=False)
    rules = [settings.name for settings in loaded.settings.rules if settings.contract]
    if rule not in rules:
        raise fail(f"no rule {rule!r} has a contract{did_you_mean(rule, rules)}", Exit.USAGE)
    with closing(Tables(loaded.ledger)) as tables:
        if paused:
            tables.pause(rule, time.time())
        else:
            tables.resume(rule)
