"""`offramp contract show|pause|resume`, with the drift of a contract's calls since the period that certified it."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from gateway.cli.output import Exit, Json, fail, print_json, quoted, stdout

if TYPE_CHECKING:
    from gateway.contracts.drift import Drift, Period, Share
    from gateway.contracts.store import ContractStore, StoredContract
    from gateway.contracts.tables import Tables


_BARS = "▁▂▃▄▅▆▇█"
_SHARES: "Sequence[tuple[str, Callable[[Period], Share]]]" = (
    ("below", lambda period: period.below),
    ("novel", lambda period: period.novel),
    ("disagree", lambda period: period.differ),
    ("missing", lambda period: period.missing),
)
_COLUMNS = ("below the threshold", "unlike the certified", "audits that disagree", "for want of an answer")


def drift_table(drift: "Drift", title: str) -> Table:
    """One row for the certified period and for each window since, the latest last; bars are to the column's highest."""
    made = Table(title=title, title_justify="left")
    periods = (drift.certified, *drift.windows)
    for name in ("until (UTC)", "calls chosen", *_COLUMNS):
        made.add_column(name)
    highest = {name: max((of(period).value or 0.0 for period in periods), default=0.0) for name, of in _SHARES}
    for period in periods:
        cells = [_cell(of(period), highest[name]) for name, of in _SHARES]
        when = "certified" if period is drift.certified else _time(period.until)
        made.add_row(when, f"{period.below.of:,}", *cells)
    return made


def drift_data(drift: "Drift") -> dict[str, Any]:
    """For JSON. `moved` says what differs beyond doubt between the certified period and the latest pairs."""
    return {
        "threshold": drift.threshold,
        "certified": _as_dict(drift.certified),
        "latest": [_as_dict(period) for period in drift.latest],
        "windows": [_as_dict(window) for window in drift.windows],
        "moved": drift.moved(),
    }


def _as_dict(period: "Period") -> dict[str, Any]:
    shares = {name: {"count": share.count, "of": share.of, "share": share.value} for name, share in _named(period)}
    return {"since": _time(period.since), "until": _time(period.until), **shares}


def _named(period: "Period") -> "list[tuple[str, Share]]":
    return [(name, of(period)) for name, of in _SHARES]


def _cell(share: "Share", highest: float) -> str:
    if share.value is None:
        return ""
    bar = _BARS[round(share.value / highest * (len(_BARS) - 1))] if highest else _BARS[0]
    return f"{bar} {share.value:6.1%} ({share.count:,})"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


app = typer.Typer(no_args_is_help=True, help="Bounds on disagreement: where they stand, and holding them.")
Config = Annotated[Path, typer.Argument(help="The gateway's file.")]
_DEFAULT = Path("config/gateway.yaml")
_KEY = 6
"""Digits of a contract's key that are shown; JSON has all."""


@app.command("show")
def show(config: Config = _DEFAULT, json: Json = False) -> None:
    """Where each contract stands: phase, threshold, pairs, audits, and the bound that holds now."""
    from gateway.config.load import load_gateway
    from gateway.contracts.store import ContractStore
    from gateway.ledger.store import NoLedger
    from gateway.upstreams.base import Routes

    loaded = load_gateway(config, os.environ, secrets=False)
    ledger, first = loaded.ledger, Routes(loaded.settings.models).first
    if not ledger.is_file():
        raise NoLedger(ledger)
    store = ContractStore(ledger, read_only=True)
    try:
        paused = store.paused()
        contracts = [(stored, _drift(store, stored.scope.key)) for stored in store.contracts()]
        rows = [_row(store, stored, paused, drift, first) for stored, drift in contracts]
        judged = _judged(store, paused, first)
    finally:
        store.close()
    if json:
        print_json([*rows, *judged])
        return
    if not rows and not judged:
        stdout().print("no call has met a rule with a contract yet")
        return
    if rows:
        _print(rows, [drift for _, drift in contracts])
    if judged:
        from gateway.cli import judges

        stdout().print(judges.table(judged))
        for row in judged:
            for side in ("missing", "flagging"):
                line = f"{row['rule']} by {row['judge']}, {side}: {row[side]['reason']}{judges.past(row)}"
                stdout().print(line, soft_wrap=True)


def _judged(store: "ContractStore", paused: frozenset[str], first: Callable[[str], str]) -> list[dict[str, Any]]:
    from gateway.cli import judges
    from gateway.contracts.safety_store import SafetyStore

    safety = SafetyStore(store.path, read_only=True)
    try:
        return judges.rows(safety, paused, first)
    finally:
        safety.close()


def _print(rows: list[dict[str, Any]], drifts: list["Drift | None"]) -> None:
    from gateway.cli import judges

    # with some routes a model's name is whatever a client wrote
    rows = [{**row, **{name: quoted(row[name]) for name in ("model", "sent_to")}} for row in rows]
    table = Table(title="Contracts", title_justify="left")
    for name in ("rule", "model", "phase", "answers from", "pairs", "audits", "disagree", "at most"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            row["rule"],
            row["model"],
            judges.stands(row["phase"], row),
            "" if row["threshold"] is None else f"{row['threshold']:.4f}",
            f"{row['pairs']:,}",
            f"{row['audits']:,}",
            "" if row["disagreement"] is None else f"{row['disagreement']:.2%}",
            "" if row["at_most"] is None else f"{row['at_most']:.2%}",
        )
    stdout().print(table)
    for row, drift in zip(rows, drifts, strict=True):
        last = row["changed"][:16].replace("T", " ")
        details = [row["sent_to"], row["key"][:_KEY], f"last pair {last}"]
        line = (
            f"{row['rule']} for {row['model']} ({', '.join(filter(None, details))}): {row['reason']}{judges.past(row)}"
        )
        stdout().print(line, soft_wrap=True)
        if row["repeats"]["asked"]:
            stdout().print(_against_itself(row["repeats"]), soft_wrap=True)
        if drift is not None:
            moved = ", ".join(drift.moved()) or "nothing beyond doubt"
            stdout().print(drift_table(drift, f"{row['rule']}: moved since it was certified: {moved}"))


@app.command("pause")
def pause(rule: str, config: Config = _DEFAULT, json: Json = False) -> None:
    """Let a rule's contracts answer nothing until they are resumed. A running gateway notices within seconds."""
    with _tables_of(rule, config) as tables:
        tables.pause(rule, time.time())
    done = "its calls are forwarded, or put to its judge, and pairs go on"
    _say(rule, f"{rule} answers nothing from now on; {done}", paused=True, as_json=json)


@app.command("resume")
def resume(rule: str, config: Config = _DEFAULT, json: Json = False) -> None:
    """Let a paused rule's contracts answer again, as far as they are certified."""
    with _tables_of(rule, config) as tables:
        tables.resume(rule)
    _say(rule, f"{rule} answers again where it is certified", paused=False, as_json=json)


def _say(rule: str, line: str, *, paused: bool, as_json: bool) -> None:
    if as_json:
        print_json({"rule": rule, "paused": paused})
    else:
        stdout().print(line)


@contextmanager
def _tables_of(rule: str, config: Path) -> Iterator["Tables"]:
    """What all contracts share, of a gateway's file that has a contract on that rule; its other tables stay as they
    are."""
    from gateway.config.load import load_gateway
    from gateway.contracts.tables import Tables

    loaded = load_gateway(config, os.environ, secrets=False)
    _known(rule, [settings.name for settings in loaded.settings.rules if settings.contract])
    with closing(Tables(loaded.ledger)) as tables:
        yield tables


def _known(rule: str, rules: list[str]) -> None:
    from gateway.config.problems import did_you_mean

    if rule not in rules:
        raise fail(f"no rule {rule!r} has a contract{did_you_mean(rule, rules)}", Exit.USAGE)


def _drift(store: "ContractStore", key: str) -> "Drift | None":
    from gateway.contracts.drift import drift

    return drift(store.pairs(key), store.moves(key))


def _row(
    store: "ContractStore",
    stored: "StoredContract",
    paused: frozenset[str],
    drift: "Drift | None",
    first: Callable[[str], str],
) -> dict[str, Any]:
    from gateway.contracts.bounds import upper_at_any_time

    scope, contract = stored.scope, stored.contract
    attempt, detector = contract.attempt, contract.detector
    wrong = pairs = None
    if detector is not None:
        pairs, wrong = detector.audits, detector.wrong
    alpha = 1 - contract.terms.confidence
    return {
        "key": scope.key,
        "rule": scope.rule,
        "model": scope.model,
        "sent_to": scope.sent_to,
        "reached": scope.reached(first),
        "classifier": f"{scope.classifier}@{scope.version}",
        "terms": scope.terms,
        "phase": contract.phase.value,
        "paused": scope.rule in paused,
        "threshold": contract.threshold,
        "pairs": contract.pairs,
        "attempts": contract.attempts,
        "running": None
        if attempt is None
        else [
            {"threshold": rung.threshold, "pairs": rung.pairs, "wrong": rung.wrong, "proven": rung.proven}
            for rung in attempt.rungs
        ],
        "audits": pairs or 0,
        "disagreement": wrong / pairs if pairs and wrong is not None else None,
        "at_most": upper_at_any_time(pairs, wrong, alpha) if pairs and wrong is not None else None,
        "reason": contract.reason,
        "repeats": _repeats(store, scope.key),
        "drift": drift_data(drift) if drift else None,
        "changed": datetime.fromtimestamp(stored.at, UTC).isoformat(timespec="seconds"),
        "results": {
            f"{'chosen' if chosen else 'not chosen'}: {result}": count
            for (chosen, result), count in store.counts(scope.key).items()
        },
        "moves": [
            {"at": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"), "phase": phase, "reason": reason}
            for at, phase, reason in store.moves(scope.key)
        ],
    }


def _repeats(store: "ContractStore", key: str) -> dict[str, Any]:
    """How the model's second answers to the latest calls compared to its first."""
    from gateway.contracts.consistency import MOST, RepeatedAnswers

    repeats = RepeatedAnswers.of(store.repeats(key, newest=MOST))
    low, high = repeats.limits
    return {"asked": repeats.asked, "differ": repeats.differ, "low": low, "high": high, "least": repeats.least}


def _against_itself(repeats: dict[str, Any]) -> str:
    return (
        f"  the model against itself: {repeats['differ']:,} of {repeats['asked']:,} calls that it was asked twice got "
        f"another answer (95 %: {repeats['low']:.1%} to {repeats['high']:.1%})"
    )
