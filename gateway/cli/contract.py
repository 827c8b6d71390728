"""`offramp contract show|pause|resume`, with the drift of a contract's calls since the period that certified it."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Column, Table

from gateway.cli.output import Exit, Json, fail, fields, print_json, quoted, result, stdout, table

if TYPE_CHECKING:
    from gateway.contracts.bound import Side
    from gateway.contracts.drift import Drift, Period, Share
    from gateway.contracts.safety_store import SafetyStore, StoredSafety
    from gateway.contracts.store import ContractStore, StoredContract
    from gateway.contracts.tables import Tables

_BARS: Final = "▁▂▃▄▅▆▇█"
_SHARES: "Final[Mapping[str, tuple[str, Callable[[Period], Share]]]]" = {
    "below": ("below the threshold", lambda period: period.below),
    "novel": ("unlike the certified", lambda period: period.novel),
    "disagree": ("audits that disagree", lambda period: period.differ),
    "missing": ("for want of an answer", lambda period: period.missing),
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
    from gateway.contracts.drift import drift
    from gateway.contracts.safety_store import SafetyStore
    from gateway.contracts.store import ContractStore
    from gateway.ledger.store import NoLedger
    from gateway.upstreams.base import Routes

    loaded = load_gateway(config, os.environ, secrets=False)
    ledger, first = loaded.ledger, Routes(loaded.settings.models).first
    if not ledger.is_file():
        raise NoLedger(ledger)
    with (
        closing(ContractStore(ledger, read_only=True)) as store,
        closing(SafetyStore(ledger, read_only=True)) as safety,
    ):
        paused = store.paused()
        contracts = store.contracts()
        drifts = [drift(store.pairs(stored.scope.key), store.moves(stored.scope.key)) for stored in contracts]
        rows = [_row(store, stored, paused, moved, first) for stored, moved in zip(contracts, drifts, strict=True)]
        judged = [_judge_row(safety, stored, paused, first) for stored in safety.contracts()]
    if json:
        print_json([*rows, *judged])
        return
    if not rows and not judged:
        stdout().print("no call has met a rule with a contract yet")
    if rows:
        _print(rows, drifts)
    if judged:
        _print_judged(judged)


def _print(rows: list[dict[str, Any]], drifts: list["Drift | None"]) -> None:
    # with some routes a model's name is whatever a client wrote
    rows = [{**row, **{name: quoted(row[name]) for name in ("model", "sent_to")}} for row in rows]
    names = ("rule", "model", "phase", "answers from", "pairs", "audits", "disagree", "at most")
    cells = (
        (
            row["rule"],
            row["model"],
            _standing(row["phase"], row),
            _figure(row["threshold"], ".4f"),
            f"{row['pairs']:,}",
            f"{row['audits']:,}",
            _figure(row["disagreement"], ".2%"),
            _figure(row["at_most"], ".2%"),
        )
        for row in rows
    )
    console = stdout()
    console.print(table("Contracts", [Column(name, overflow="fold") for name in names], cells))
    for row, drift in zip(rows, drifts, strict=True):
        last = row["changed"][:16].replace("T", " ")
        details = ", ".join(filter(None, [row["sent_to"], row["key"][:_KEY], f"last pair {last}"]))
        reason = f"{row['reason']}{_past(row, row['model'])}"
        console.print(f"{row['rule']} for {row['model']} ({details}): {reason}", soft_wrap=True)
        if (repeats := row["repeats"])["asked"]:
            console.print(
                f"  the model against itself: {repeats['differ']:,} of {repeats['asked']:,} calls that it was asked "
                f"twice got another answer (95 %: {repeats['low']:.1%} to {repeats['high']:.1%})",
                soft_wrap=True,
            )
        if drift is not None:
            moved = ", ".join(drift.moved()) or "nothing beyond doubt"
            console.print(_drift_table(drift, f"{row['rule']}: moved since it was certified: {moved}"))


def _print_judged(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table with a line for each side of each contract, and the reasons below it."""
    names = ("rule", "judge", "bound", "at most", "phase", "decides", "calls", "audited", "wrong")
    cells = (
        (
            row["rule"],
            row["judge"],
            what,
            f"{side['target']:.3g}",
            _standing(side["phase"], row),
            "" if side["score"] is None else f"{decides} {side['score']:.4f}",
            f"{side['calls']:,}",
            f"{side['audited']:,}",
            _figure(side["wrong"], ".2%"),
        )
        for row in rows
        for name, what, decides in _SIDES
        for side in [row[name]]
    )
    console = stdout()
    console.print(table("Contracts with a judge", names, cells))
    for row in rows:
        for name, _, _ in _SIDES:
            reason = f"{row[name]['reason']}{_past(row, row['judge'])}"
            console.print(f"{row['rule']} by {row['judge']}, {name}: {reason}", soft_wrap=True)


def _standing(phase: str, row: Mapping[str, Any]) -> str:
    """A contract's phase, and what keeps it from doing anything: its rule is paused, or it is past."""
    return phase + (" (paused)" if row["paused"] else "") + ("" if row["reached"] else " (past)")


def _past(row: Mapping[str, Any], model: str) -> str:
    """Why no call belongs to a contract any more, to follow its reason; empty where calls may."""
    return "" if row["reached"] else f"; no call belongs to it any more, for {model} is sent elsewhere now"


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _drift_table(drift: "Drift", title: str) -> Table:
    """One row for the certified period and for each window since, the latest last; bars are to the column's highest."""
    periods = (drift.certified, *drift.windows)
    highest = {name: max(share(period).value or 0.0 for period in periods) for name, (_, share) in _SHARES.items()}
    columns = ("until (UTC)", "calls chosen", *(column for column, _ in _SHARES.values()))
    cells = (
        (
            "certified" if period is drift.certified else _time(period.until),
            f"{period.below.total:,}",
            *(_bar(share(period), highest[name]) for name, (_, share) in _SHARES.items()),
        )
        for period in periods
    )
    return table(title, columns, cells)


def _bar(share: "Share", highest: float) -> str:
    if share.value is None:
        return ""
    bar = _BARS[round(share.value / highest * (len(_BARS) - 1))] if highest else _BARS[0]
    return f"{bar} {share.value:6.1%} ({share.count:,})"


@app.command("pause")
def pause(rule: str, config: Config = _DEFAULT, json: Json = False) -> None:
    """Let a rule's contracts answer nothing until they are resumed. A running gateway notices within seconds."""
    with _tables_of(rule, config) as tables:
        tables.pause(rule, time.time())
    result(
        {"rule": rule, "paused": True},
        f"{rule} answers nothing from now on; its calls are forwarded, or put to its judge, and pairs go on",
        as_json=json,
    )


@app.command("resume")
def resume(rule: str, config: Config = _DEFAULT, json: Json = False) -> None:
    """Let a paused rule's contracts answer again, as far as they are certified."""
    with _tables_of(rule, config) as tables:
        tables.resume(rule)
    result({"rule": rule, "paused": False}, f"{rule} answers again where it is certified", as_json=json)


@contextmanager
def _tables_of(rule: str, config: Path) -> Iterator["Tables"]:
    """The tables of all contracts, of a gateway's file that has a contract on that rule."""
    from gateway.config.load import load_gateway
    from gateway.config.problems import did_you_mean
    from gateway.contracts.tables import Tables

    loaded = load_gateway(config, os.environ, secrets=False)
    rules = [settings.name for settings in loaded.settings.rules if settings.contract]
    if rule not in rules:
        raise fail(f"no rule {rule!r} has a contract{did_you_mean(rule, rules)}", Exit.USAGE)
    with closing(Tables(loaded.ledger)) as tables:
        yield tables


def _scope(stored: "StoredContract | StoredSafety", model: str, first: Callable[[str], str]) -> dict[str, Any]:
    """What a contract binds. model: the key of the model's name. first: where a model is sent first now."""
    scope = stored.scope
    return {
        "key": scope.key,
        "rule": scope.rule,
        model: scope.model,
        "sent_to": scope.sent_to,
        "reached": scope.reached(first),
        "classifier": f"{scope.classifier}@{scope.version}",
        "terms": scope.terms,
    }


def _moves(moves: Iterable[tuple[float, str, str]]) -> list[dict[str, str]]:
    return [{"time": _time(at), "phase": phase, "reason": reason} for at, phase, reason in moves]


def _row(
    store: "ContractStore",
    stored: "StoredContract",
    paused: frozenset[str],
    drift: "Drift | None",
    first: Callable[[str], str],
) -> dict[str, Any]:
    from gateway.contracts.bounds import upper_at_any_time
    from gateway.contracts.consistency import MOST, RepeatedAnswers

    key, contract = stored.scope.key, stored.contract
    attempt, detector = contract.attempt, contract.detector
    audits, wrong = (detector.audits, detector.wrong) if detector else (0, 0)
    repeats = RepeatedAnswers.of(store.repeats(key, newest=MOST))
    low, high = repeats.limits
    return {
        **_scope(stored, "model", first),
        "phase": contract.phase.value,
        "paused": stored.scope.rule in paused,
        **fields(contract, "threshold", "pairs", "attempts"),
        "running": [fields(rung, "threshold", "pairs", "wrong", "proven") for rung in attempt.rungs]
        if attempt
        else None,
        "audits": audits,
        "disagreement": wrong / audits if audits else None,
        "at_most": upper_at_any_time(audits, wrong, 1 - contract.terms.confidence) if audits else None,
        "reason": contract.reason,
        "repeats": {**fields(repeats, "asked", "differ"), "low": low, "high": high, "least": repeats.least},
        "drift": _drift_data(drift) if drift else None,
        "changed": _time(stored.at),
        "results": {
            f"{'chosen' if chosen else 'not chosen'}: {result}": count
            for (chosen, result), count in store.counts(key).items()
        },
        "moves": _moves(store.moves(key)),
    }


def _judge_row(
    store: "SafetyStore", stored: "StoredSafety", paused: frozenset[str], first: Callable[[str], str]
) -> dict[str, Any]:
    key, contract = stored.scope.key, stored.contract
    return {
        **_scope(stored, "judge", first),
        "paused": stored.scope.rule in paused,
        "missing": _side(contract.missing, from_end=True),
        "flagging": _side(contract.flagging),
        "changed": _time(stored.at),
        "calls": {f"{zone}: {verdict}": count for (zone, verdict), count in store.counts(key).items()},
        "moves": _moves(store.moves(key)),
    }


def _side(side: "Side", *, from_end: bool = False) -> dict[str, Any]:
    """from_end: whether the threshold counts from a score of 1 downwards."""
    alarm, threshold = side.alarm, side.threshold
    return {
        "phase": side.phase.value,
        "score": 1 - threshold if from_end and threshold is not None else threshold,
        **fields(side, "target", "calls", "attempts"),
        "audited": alarm.calls if alarm else 0,
        "wrong": alarm.wrong / alarm.weight if alarm and alarm.weight else None,
        "reason": side.reason,
    }


def _drift_data(drift: "Drift") -> dict[str, Any]:
    """`moved` says what differs beyond doubt between the certified period and the latest pairs."""
    return {
        "threshold": drift.threshold,
        "certified": _period(drift.certified),
        "latest": [_period(period) for period in drift.latest],
        "windows": [_period(window) for window in drift.windows],
        "moved": drift.moved(),
    }


def _period(period: "Period") -> dict[str, Any]:
    shares = {name: share(period) for name, (_, share) in _SHARES.items()}
    counts = {name: {"count": each.count, "total": each.total, "share": each.value} for name, each in shares.items()}
    return {"since": _time(period.since), "until": _time(period.until), **counts}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
