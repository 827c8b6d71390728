"""Pair streams through the owners of contracts: the one file of the golden tests that imports the gateway's own code.

Each stream has a seed, which says its terms, its calls, how its coins fall and in which order its answers come. The
clock goes on between calls alone. A stream's record has its moves, where its contracts stand, and digests of the
decisions and of what is stored. Floats are rounded to 9 digits, so that another processor's last bits change nothing.
"""

import asyncio
import hashlib
import json
import random
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gateway.contracts.owner import Owner
from gateway.contracts.safety_owner import SafetyOwner
from gateway.contracts.safety_store import SafetyStore
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore
from gateway.rules.terms import SafetyTerms, Terms

STREAMS = 50
SAFETY = 14
"""The last so many streams are of safety rules."""
CALLS = 500
DAY_S = 86400.0


def record(number: int, folder: Path) -> dict[str, Any]:
    """A stream's record; the file of its contracts lies in the folder."""
    return asyncio.run((answers if number < STREAMS - SAFETY else safety)(number, folder / f"{number}.db"))


def scope(rule: str, terms: str, version: str = "v1") -> Scope:
    return Scope(
        rule=rule,
        model="gpt-4o",
        prompt="p",
        labels=("a", "b"),
        classifier="bank",
        version=version,
        terms=terms,
        sent_to="paid/gpt-4o",
    )


class Clock:
    """Goes on by so much when it is told to."""

    def __init__(self, step_s: float) -> None:
        self.now, self.step_s = 1_000_000.0, step_s

    def __call__(self) -> float:
        return self.now

    def tick(self) -> None:
        self.now += self.step_s


async def answers(number: int, file: Path) -> dict[str, Any]:  # noqa: C901 - a script of what may happen
    """A rule that answers with labels; in some streams with a pause, a restart, a second version, late answers."""
    chance = random.Random(number)
    terms = Terms(target=(0.05, 0.1, 0.2, 0.3)[number % 4], confidence=(0.95, 0.8)[number // 4 % 2])
    errors = (0.0, 0.3, 0.6, 1.5)[number // 8 % 4] * terms.target
    later = errors if number % 3 else 4 * terms.target
    moves: list[str] = []
    clock, coins = Clock((1.0, 60.0, 900.0)[number % 3]), random.Random(-number).random

    def opened() -> Owner:
        def moved(at: Scope, contract: Any) -> None:
            moves.append(f"{at.version} {contract.phase.value}: {contract.reason}")

        first = lambda model: f"paid/{model}"  # noqa: E731
        return Owner(ContractStore(file), on_move=moved, draw=coins, clock=clock, first=first)

    owner, seen, waiting = opened(), [], []
    first, second = (scope("intents", str(terms), version) for version in ("v1", "v2"))
    for call in range(CALLS):
        # what nobody waits for is stored before time goes on
        await owner.ask(lambda _: None)
        clock.tick()
        if call == CALLS // 2 and number % 5 == 0:
            owner.close()
            owner = opened()
        if number % 7 == 0 and call in (CALLS * 3 // 4, CALLS * 3 // 4 + 20):
            with closing(ContractStore(file)) as store:
                store.pause("intents", clock()) if call == CALLS * 3 // 4 else store.resume("intents")
            await owner.tick()
        sure = chance.choice((0.55, 0.8, 0.9, 0.97, 0.99)) + chance.random() / 100
        wrong = chance.random() < min(1.0, (errors if call < CALLS * 0.7 else later) * (2.5 - 2 * sure))
        result = "missing" if chance.random() < 0.004 else "differs" if wrong else "agrees"
        tries = number % 6 == 0 and call > 80
        flipped = owner.flip(first, terms, notice_s=7 * DAY_S, again=0.1 * (number % 4), tried=tries)
        both = [(flipped, sure)]
        if tries:
            challenger = owner.flip(second, terms, notice_s=7 * DAY_S, tried=True, champion=flipped)
            both.append((challenger, min(0.999, sure + 0.05)))
        seen.append([flipped.coin.chosen, flipped.coin.rate, flipped.attempt, flipped.threshold, flipped.paused])
        seen[-1] += [flipped.again, flipped.share, owner.refused("intents")]
        if flipped.answers(sure):
            owner.answered(first)
            continue
        for one, confidence in both:
            owner.begin(one, confidence=confidence, sure=one.sure(confidence))
        waiting.append((both, result, f"r{call}"))
        if number % 2 and chance.random() < 0.3 and len(waiting) < 8:
            continue
        while waiting:
            every, outcome, request_id = waiting.pop(chance.randrange(len(waiting)) if number % 2 else 0)
            if number % 2 and chance.random() < 0.02:
                for one, _ in every:
                    owner.leave(one)
                continue
            for place, (one, confidence) in enumerate(every):
                better = place == 1 and outcome == "differs" and confidence > 0.9
                await owner.learn(
                    one,
                    sure=one.sure(confidence),
                    request_id=request_id,
                    label="a",
                    confidence=confidence,
                    result="agrees" if better else outcome,
                    novelty=0.25,
                )
            if every[0][0].again:
                other = chance.random() < (0.7 if number % 8 == 3 else 0.01)
                await owner.repeated(first, confidence=every[0][1], result="differs" if other else "agrees")
    standing = {f"{at.rule} {at.version}": asdict(contract) for at, contract in owner.contracts.items()}
    owner.close()
    answered = sum(not chosen and threshold is not None for chosen, _, _, threshold, *_ in seen)
    return summary(number, moves, standing, seen, file) | {"not chosen while live": answered}


async def safety(number: int, file: Path) -> dict[str, Any]:
    """A safety rule that is held against its judge."""
    chance = random.Random(number)
    terms = SafetyTerms(
        missed=(0.1, 0.2, 0.4)[number % 3], wrongly=(0.1, 0.3)[number % 2], confidence=(0.9, 0.6)[number % 2]
    )
    moves: list[str] = []
    clock, coins = Clock(30.0), random.Random(-number).random

    def opened() -> SafetyOwner:
        def moved(at: Scope, side: Any) -> None:
            moves.append(f"{at.version} {side.phase.value}: {side.reason}")

        return SafetyOwner(SafetyStore(file), on_move=moved, draw=coins, clock=clock)

    owner, seen = opened(), []
    for call in range(CALLS):
        clock.tick()
        if call == CALLS // 2 and number % 4 == 0:
            owner.close()
            owner = opened()
        at = scope("safety", terms.text, "v2" if number % 5 == 0 and call > CALLS * 0.8 else "v1")
        unsafe = chance.random() < 0.4
        score = min(1.0, max(0.0, chance.gauss(0.85 if unsafe else 0.1, 0.1)))
        if chance.random() < (0.02 if call < CALLS * 0.6 or number % 2 else 0.5):
            score = 1 - score
        placement = owner.place(at, terms, None if chance.random() < 0.03 else score)
        chosen = placement.chosen
        seen.append([chosen.zone.value, chosen.rate, chosen.passes, chosen.flags, placement.judged])
        if placement.judged:
            await owner.learn(placement, request_id=f"r{call}", unsafe=None if chance.random() < 0.01 else unsafe)
    standing = {f"{at.rule} {at.version}": asdict(contract) for at, contract in owner.contracts.items()}
    owner.close()
    zones = [zone for zone, *_ in seen]
    return summary(number, moves, standing, seen, file) | {
        "zones": {zone: zones.count(zone) for zone in sorted(set(zones))}
    }


def summary(number: int, moves: list[str], standing: dict[str, Any], seen: list[Any], file: Path) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    with closing(sqlite3.connect(file)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        for name in names:
            rows = db.execute(f"SELECT * FROM {name} ORDER BY rowid").fetchall()
            if rows:
                tables[name] = f"{len(rows)} rows {digest([[unpacked(value) for value in row] for row in rows])}"
    return {
        "name": f"stream {number}",
        "moves": moves,
        "contracts": {name: brief(contract) for name, contract in standing.items()},
        "states": digest(standing),
        "decisions": digest(seen),
        "stored": tables,
    }


def brief(contract: dict[str, Any]) -> dict[str, Any]:
    """Where a contract stands, or each side of a safety rule's."""
    sides = [name for name in ("missing", "flagging") if name in contract]
    kept = ("phase", "threshold", "attempts", "pairs", "calls", "next_look", "fresh_from")
    whole = {name: rounded(contract[name]) for name in kept if name in contract}
    return whole | {side: brief(contract[side]) for side in sides}


def unpacked(value: Any) -> Any:
    """A stored value; JSON as what it says."""
    return json.loads(value) if isinstance(value, str) and value[:1] in "{[" else value


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return {key: rounded(one) for key, one in value.items()} if isinstance(value, dict) else value


def digest(value: Any) -> str:
    """12 hex digits for a value."""
    return hashlib.sha256(json.dumps(rounded(value), default=str).encode()).hexdigest()[:12]
