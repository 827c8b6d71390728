"""One request planned by the gateway's own planner, with its contracts read only: for `offramp explain`."""

import asyncio
import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from gateway.context import new_context
from gateway.contracts.audit import Audits
from gateway.contracts.contract import Coin, Contract, Zone
from gateway.contracts.owner import Owner
from gateway.contracts.store import ContractStore
from gateway.drain import InFlight
from gateway.judge.resolve import SafetyAudits
from gateway.metrics.observe import Metrics
from gateway.plan import CallState, Classify, Incoming, Planner, TimedClassifiers
from gateway.protocols.served import wire_of
from gateway.routes import Routes
from gateway.serving.snapshot import CurrentSnapshot, Snapshot

_NOT_AUDITED: Final = 0.999
"""A coin that chooses only calls that are all chosen."""
_ZONES: Final = {
    Zone.ANSWER: "is answered here, but for audits",
    Zone.PASS: "passes without the judge, but for audits",
    Zone.FLAG: "is flagged without the judge, but for audits",
}


def dry_run(
    ledger: Path, routes: Routes, snapshot: Snapshot, classify: Classify, body: bytes
) -> tuple[CallState, Mapping[str, str]]:
    """The request with its decision, no judge asked; and what each rule's contract says of it, by the rule's name.

    Nothing is stored. Raises ApiError and LedgerError.
    """
    return asyncio.run(_dry_run(ledger, routes, snapshot, classify, body))


async def _dry_run(
    ledger: Path, routes: Routes, snapshot: Snapshot, classify: Classify, body: bytes
) -> tuple[CallState, Mapping[str, str]]:
    metrics, in_flight = Metrics(), InFlight()
    store = ContractStore(ledger, read_only=True)
    with closing(Owner(store, draw=lambda: _NOT_AUDITED, alone=False)) as owner:
        audits = Audits(owner=owner, routes=routes, metrics=metrics, in_flight=in_flight)
        bounds = SafetyAudits(owner=owner, routes=routes, metrics=metrics, in_flight=in_flight)
        classifiers = TimedClassifiers(classify, metrics, within_s=math.inf)
        planner = Planner(current=CurrentSnapshot(snapshot), routes=routes, classifiers=classifiers, audits=audits)
        call = planner.parse(new_context("", "explain", ""), Incoming(wire_of(body), body, []))
        await planner.plan(call)
        shape = partial(audits.answers, call.request, call.scopes)
        coins, call.pairs, call.labels, call.decision = await bounds.decide(
            call.pairs, call.labels, shape=shape, held=call.held, held_out=snapshot.held_out
        )
        every = {**{name: one.coin for name, one in call.opened.items()}, **coins}
        return call, dict(_described(owner, every))


def _described(owner: Owner, coins: Mapping[str, Coin]) -> Iterator[tuple[str, str]]:
    for name, coin in coins.items():
        contract = owner.find(coin.key)
        if contract is not None:
            score = "without a score" if coin.score is None else f"at {coin.score:.4f}"
            elsewhere = "is put to the judge" if contract.guards else "is forwarded"
            paused = " (the rule is paused)" if coin.paused else ""
            does = _ZONES.get(coin.zone, elsewhere) if coin.decides else elsewhere
            yield name, f"{coin.key[:6]}, {standing(contract)}{paused}: the call, {score}, {does}"


def standing(contract: Contract) -> str:
    """Where the bounds of a contract stand, in words."""
    words = []
    for side in contract.sides:
        name = f"{side.name}: " if contract.guards else ""
        start = "" if side.threshold is None else f" from {side.threshold:.4f}"
        words.append(f"{name}{side.phase.value}{start}")
    return ", ".join(words)
