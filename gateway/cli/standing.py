"""Where contracts stand on one request, for `offramp explain`: by the gateway's own owners; nothing is stored."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from classifiers.verdict import Verdict
from gateway.answers.build import LocalAnswers, local_answers
from gateway.contracts.audit import Audits, Open
from gateway.contracts.owner import Owner
from gateway.contracts.safety_contract import Zone
from gateway.contracts.safety_owner import BandPlacement, SafetyOwner
from gateway.contracts.safety_store import SafetyStore
from gateway.contracts.store import ContractStore
from gateway.drain import InFlight
from gateway.judge.resolve import SafetyAudits, under_contract
from gateway.metrics.observe import Metrics
from gateway.requests.parse import Request
from gateway.rules.rule import Rule
from gateway.upstreams.base import Routes

_NOT_AUDITED: Final = 0.999
"""A coin that chooses only calls that are all chosen."""
_ZONES: Final = {
    Zone.PASS: "passes without the judge, but for audits",
    Zone.FLAG: "is flagged without the judge, but for audits",
    Zone.ASK: "is put to the judge",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractStanding:
    """pairs: the verdicts as the contracts take them; labels: in the caller's shape; held: rules that must not answer;
    says: by rule, what its contract says."""

    pairs: Sequence[tuple[Rule, Verdict]]
    labels: LocalAnswers
    held: frozenset[str]
    says: Mapping[str, str]


def standing(ledger: Path, routes: Routes, request: Request, pairs: Sequence[tuple[Rule, Verdict]]) -> ContractStanding:
    """pairs: the classifiers' own verdicts. Raises LedgerError."""
    metrics = Metrics()
    with (
        closing(Owner(ContractStore(ledger, read_only=True), draw=lambda: _NOT_AUDITED, alone=False)) as owner,
        closing(SafetyOwner(SafetyStore(ledger, read_only=True), draw=lambda: _NOT_AUDITED)) as safety,
    ):
        in_flight = InFlight()
        audits = Audits(owner=owner, routes=routes, metrics=metrics, in_flight=in_flight)
        placed = SafetyAudits(owner=safety, routes=routes, metrics=metrics, in_flight=in_flight).place(pairs)
        resolved = audits.resolve(pairs)
        taken = [(rule, under_contract(rule, verdict, placed.get(rule.name))) for rule, verdict in resolved]
        labels = local_answers(request, taken)
        opened = audits.flip(request, taken, labels)
        says = {**dict(_of_labels(owner, opened)), **dict(_of_judges(placed))}
        return ContractStanding(pairs=taken, labels=labels, held=frozenset(audits.held(opened)), says=says)


def _of_labels(owner: Owner, opened: Mapping[str, Open]) -> Iterator[tuple[str, str]]:
    for name, one in opened.items():
        contract = owner.contracts[one.flipped.scope]
        where = f"{one.flipped.scope.key[:6]}, {contract.phase.value}"
        if one.flipped.paused:
            yield name, f"{where} and paused: the call is forwarded"
        elif contract.threshold is None:
            yield name, f"{where}: the call is forwarded ({contract.reason})"
        else:
            does = "is answered here, but for audits" if contract.answers(one.confidence) else "is forwarded"
            yield name, f"{where}, answers from {contract.threshold:.4f}: the call, at {one.confidence:.4f}, {does}"


def _of_judges(placed: Mapping[str, BandPlacement]) -> Iterator[tuple[str, str]]:
    for name, one in placed.items():
        score = "without a score" if one.chosen.score is None else f"at {one.chosen.score:.4f}"
        yield name, f"{one.scope.key[:6]}: the call, {score}, {_ZONES[one.chosen.zone]}"
