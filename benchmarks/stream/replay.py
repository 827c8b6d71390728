"""A stream of calls under a contract, by the gateway's own owner of contracts, without HTTP and without waiting.

Each message comes once. The paid model answers its gold label unless the case says otherwise. What is forwarded or
checked is kept, and refits learn from it. Further coins of an order see the versions of its first one.
"""

import asyncio
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.stream.learner import FittedVersion, Messages
from gateway.contracts.owner import DrawnCall, Outcome, Owner
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore
from gateway.rules.rule import Terms
from gateway.serving.retrain import texts_needed

_AHEAD, _BLOCK = 3000, 500
"""Calls that the oracle knows, and from one of its thresholds to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayCase:
    """order: the seed of the messages' order; coin: of the draws. swapped_at: the call from which on ten labels have
    changed their meaning; noisy_at: from which on the model's answer is any label for 5 % of the texts; outage: the
    calls in which the model does not answer. first: whether the policy's own model serves before the first refit, as
    in the gateway."""

    order: int
    coin: int = 0
    target: float = 0.02
    swapped_at: int | None = None
    noisy_at: int | None = None
    outage: range = range(0)
    first: bool = True


@dataclass(slots=True, kw_only=True)
class Replayed:
    """For each call: whether it was answered here, wrongly, and whether the contract was live. moves: (call, why) of
    each phase; alarms: the calls at which one was raised; kept: how many texts were, in all."""

    target: float = 0.02
    answered: list[bool] = field(default_factory=list)
    wrong: list[bool] = field(default_factory=list)
    live: list[bool] = field(default_factory=list)
    moves: list[tuple[int, str]] = field(default_factory=list)
    alarms: list[int] = field(default_factory=list)
    versions: list[FittedVersion] = field(default_factory=list)
    stream: Sequence[int] = ()
    kept: int = 0

    def share(self, start: int = 0, end: int | None = None) -> float:
        """Answered here, of the calls in a range."""
        return float(np.mean(self.answered[start:end]))

    def wrongly(self, start: int = 0, end: int | None = None) -> float:
        """Wrong, of the answers in a range."""
        return sum(self.wrong[start:end]) / max(1, sum(self.answered[start:end]))

    def withdrawn(self, start: int) -> int | None:
        """The first call from one on before which nothing is answered any more; None where none is."""
        return next((call for call in range(start, len(self.live)) if not self.live[call]), None)

    @property
    def quarter(self) -> int:
        """The call with which the last quarter begins."""
        return 3 * len(self.answered) // 4

    def oracle(self, gold: Sequence[int], start: int = 0) -> float:
        """The share that would be answered from a call on by the versions of the stream, with thresholds by the next
        3,000 calls."""
        count, total = 0, len(self.stream)
        for block in range(start, total, _BLOCK):
            known = [one for one in self.versions if one.since <= block]
            if not known:
                continue
            version = max(known, key=lambda one: one.since)
            sure = version.confidence
            ahead = np.asarray(self.stream[block : block + _AHEAD])
            order = ahead[np.argsort(-sure[ahead])]
            wrong = np.cumsum(version.labels[order] != np.asarray(gold)[order])
            most = np.flatnonzero(wrong <= self.target * np.arange(1, len(order) + 1))
            here = np.asarray(self.stream[block : block + _BLOCK])
            if len(most):
                count += int((sure[here] >= max(sure[order[most[-1]]], 1e-9)).sum())
        return count / (total - start)


def replay(
    messages: Messages, case: ReplayCase, versions: Sequence[FittedVersion] = (), until: int | None = None
) -> Replayed:
    """versions: of another stream of the same order, to be used as they came there. until: the call from which on
    others are fitted; by default none are."""
    end = (len(messages.gold) if until is None else until) if versions else 0
    with tempfile.TemporaryDirectory() as place:
        old = [one for one in versions if one.since <= end and (one.since or case.first)]
        return asyncio.run(_replay(messages, case, old, end, Path(place) / "contracts.db"))


async def _replay(
    messages: Messages, case: ReplayCase, versions: list[FittedVersion], end: int, file: Path
) -> Replayed:
    chance = random.Random(case.order)
    stream = list(range(len(messages.gold)))
    chance.shuffle(stream)
    model, terms, clock = _Model(messages, case, chance), Terms(target=case.target, confidence=0.95), _Clock()
    seen = Replayed(target=case.target, versions=versions, stream=stream)
    draw = random.Random(f"{case.order}-{case.coin}").random
    owner = Owner(ContractStore(file), draw=draw, clock=clock, on_move=lambda _, phase: moved(phase.value))
    scope = Scope(rule="intents", model="paid", prompt="", classifier="intents", terms=terms.text)
    kept: list[tuple[int, int, float]] = []
    learned, version = 0, None

    def moved(phase: str) -> None:
        contract = owner.find(scope.key)
        assert contract is not None
        seen.moves.append((len(seen.answered), f"{phase}: {contract.sides[0].reason}"))
        if phase == "alarm":
            seen.alarms.append(len(seen.answered))

    if case.first and not versions:
        versions.append(messages.own(stream))
    for number, place in enumerate(stream):
        clock.now += 1.0
        version = max((one for one in versions if one.since <= number), key=lambda one: one.since, default=None)
        right, alarms = model.answer(number, place), len(seen.alarms)
        call = DrawnCall(
            scope=scope,
            terms=terms,
            version=f"v{version.since}" if version else "",
            score=float(version.confidence[place]) or None if version else None,
            held_out=version.held_out if version else (),
            text=number + 1,
        )
        coin = await owner.draw(call)
        local = int(version.labels[place]) if version else -1
        if coin.decides:
            owner.answered(coin)
        elif right is None:
            owner.leave(coin)
        else:
            result = "agrees" if local == right else "differs"
            await owner.learn(coin, Outcome(request_id=str(number), result=result, model="paid-2026"))
            kept.append((place, right, 1 / coin.chance))
            seen.kept += 1
        # an answer that stood ready goes out where the model fails
        here = coin.decides or (right is None and coin.zone.value == "answer")
        contract = owner.find(scope.key)
        assert contract is not None
        seen.answered.append(here)
        seen.wrong.append(here and local != model.would(number, place))
        seen.live.append(contract.sides[0].account.live)
        if len(seen.alarms) > alarms:
            kept, learned = [], 0
        due = len(kept) - learned >= texts_needed(learned)
        if any(one.since == number + 1 for one in versions) or (due and number >= end):
            learned = len(kept)
        if due and number >= end:
            versions.append(messages.fitted(kept, stream[number + 1 :], since=number + 1, seed=case.order))
    owner.close()
    return seen


class _Clock:
    now = 1e9

    def __call__(self) -> float:
        return self.now


class _Model:
    """The paid model. would: the label that it gives, or would give in an outage."""

    def __init__(self, messages: Messages, case: ReplayCase, chance: random.Random) -> None:
        count = len(messages.labels)
        chosen = chance.sample(range(count), 10)
        swap = dict(zip(chosen, [*chosen[1:], chosen[0]], strict=True))
        self._case, self._gold = case, [int(label) for label in messages.gold]
        self._swapped = [swap.get(label, label) for label in self._gold]
        self._noisy = [chance.randrange(count) if chance.random() < 0.05 else label for label in self._gold]

    def answer(self, number: int, place: int) -> int | None:
        return None if number in self._case.outage else self.would(number, place)

    def would(self, number: int, place: int) -> int:
        case = self._case
        if case.swapped_at is not None and number >= case.swapped_at:
            return self._swapped[place]
        if case.noisy_at is not None and number >= case.noisy_at:
            return self._noisy[place]
        return self._gold[place]
