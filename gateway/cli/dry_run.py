"""One request planned by the gateway's own planner, with its contracts read only: for `offramp explain`."""

import asyncio
import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from gateway.context import new_context
from gateway.contracts.audit import Audits, Open
from gateway.contracts.owner import Owner
from gateway.contracts.safety_contract import Zone
from gateway.contracts.safety_owner import BandPlacement, SafetyOwner
from gateway.contracts.safety_store import SafetyStore
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
    Zone.PASS: "passes without the judge, but for audits",
    Zone.FLAG: "is flagged without the judge, but for audits",
    Zone.ASK: "is put to the judge",
}


def dry_run(
    ledger: Path, routes: Routes, snapshot: Snapshot, classify: Classify, body: bytes
) -> tuple[CallState, Mapping[str, str]]:
    """The request with its decision, no judge asked; and what each rule's contract says of it, by the rule's name.

    Nothing is stored. Raises ApiError and LedgerError.
    """
    metrics, in_flight = Metrics(), InFlight()
    with (
        closing(Owner(ContractStore(ledger, read_only=True), draw=lambda: _NOT_AUDITED, alone=False)) as owner,
        closing(SafetyOwner(SafetyStore(ledger, read_only=True), draw=lambda: _NOT_AUDITED)) as safety,
    ):
        audits = Audits(owner=owner, routes=routes, metrics=metrics, in_flight=in_flight)
        bounds = SafetyAudits(owner=safety, routes=routes, metrics=metrics, in_flight=in_flight)
        classifiers = TimedClassifiers(classify, metrics, within_s=math.inf)
        planner = Planner(current=CurrentSnapshot(snapshot), routes=routes, classifiers=classifiers, audits=audits)
        call = planner.parse(new_context("", "explain", ""), Incoming(wire_of(body), body, []))
        asyncio.run(planner.plan(call))
        bands, call.pairs, call.labels, call.decision = bounds.decide(
            call.pairs, call.labels, shape=partial(audits.answers, call.request), held=call.held
        )
        return call, {**dict(_of_labels(owner, call.opened)), **dict(_of_judges(bands))}


def _of_labels(owner: Owner, opened: Mapping[str, Open]) -> Iterator[tuple[str, str]]:
    for name, audit in opened.items():
        contract = owner.contracts[audit.flipped.scope]
        where = f"{audit.flipped.scope.key[:6]}, {contract.phase.value}"
        if audit.flipped.paused:
            yield name, f"{where} and paused: the call is forwarded"
        elif contract.threshold is None:
            yield name, f"{where}: the call is forwarded ({contract.reason})"
        else:
            does = "is answered here, but for audits" if contract.answers(audit.confidence) else "is forwarded"
            yield name, f"{where}, answers from {contract.threshold:.4f}: the call, at {audit.confidence:.4f}, {does}"


def _of_judges(bands: Mapping[str, BandPlacement]) -> Iterator[tuple[str, str]]:
    for name, band in bands.items():
        score = "without a score" if band.chosen.score is None else f"at {band.chosen.score:.4f}"
        yield name, f"{band.scope.key[:6]}: the call, {score}, {_ZONES[band.chosen.zone]}"
