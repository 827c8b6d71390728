"""Many safety rules at once, each with both of its accounts, on streams of judged calls; as its neighbour `ledgers`.
`_replay` asserts that the gateway's own class comes to the same on some of the streams."""

import math
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from benchmarks.contract.ledgers import REPLAYED, Flags, Floats, Ledgers
from gateway.contracts.account import SLACK
from gateway.contracts.contract import Coin, Contract, judged
from gateway.rules.rule import SafetyTerms

TARGETS = (0.05, 0.02)
"""Of unsafe calls, those that may be missed; of safe ones, those that may be flagged: the defaults."""
UNSAFE, ACTED = 0.5, 0.6
"""Of all calls, the unsafe ones; of the others of a kind, those on which a side acts rightly."""
RARELY, NEAR = 0.05, 0.3
"""The chances that a call is checked while its side is live: as a rule, and near the threshold."""
Both = tuple[Ledgers, Ledgers]
Call = tuple[bool, bool, bool, tuple[float, float], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A stream. rates: how often each side would be wrong, in targets; burst: calls of one text in a row, on average;
    adversary: sees all but coins. Once a side is live he spends what evidence there is on wrong calls, each of them
    checked as rarely as any; all others would be decided by the other side, so that a check of them weighs most."""

    rates: tuple[float, float]
    burst: int = 1
    adversary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The latest call of each stream, (streams,) each. passes, flags: what the sides would do; near: a threshold;
    risks: each side's chance to be wrong on a call of its kind, before the text is known."""

    unsafe: Flags
    passes: Flags
    flags: Flags
    near: Flags
    risks: tuple[Floats, Floats]

    @classmethod
    def draw(cls, stream: Guarded, sides: Both, chance: np.random.Generator) -> "Texts":
        """Wrong ones lie near a threshold more often."""
        kind, acts, where = chance.random((3, sides[0].streams))
        missed, wrongly = (_risk(stream, rate, side) for rate, side in zip(stream.rates, sides, strict=True))
        unsafe = kind < UNSAFE
        wrong = acts < np.where(unsafe, missed, wrongly)
        right = ~wrong & (stream.adversary | (acts > 1 - ACTED))
        return cls(
            unsafe=unsafe,
            passes=np.where(unsafe, wrong, right),
            flags=np.where(unsafe, right, wrong),
            near=(where < np.where(wrong, 0.7, 0.2)) & (not stream.adversary),
            risks=(missed, wrongly),
        )

    def after(self, fresh: Flags, new: "Texts") -> "Texts":
        """The new ones where a burst is over."""
        names = ("unsafe", "passes", "flags", "near")
        flags = {name: np.where(fresh, getattr(new, name), getattr(self, name)) for name in names}
        return Texts(**flags, risks=new.risks)


def _risk(stream: Guarded, rate: float, side: Ledgers) -> Floats:
    risk = np.full(side.streams, rate * side.target)
    if not stream.adversary:
        return risk
    spare = side.evidence(SLACK - 1.2)[0] >= -math.log(side.level)
    return np.where(side.live, spare.astype(float), risk)


def guard(stream: Guarded, *, alpha: float, streams: int, calls: int, seed: int) -> Both:
    """Both sides' accounts, each at half of alpha. S is of the risks; in bursts, of what did happen."""
    chance = np.random.default_rng(seed)
    missed, wrongly = (Ledgers(target=target, level=alpha / 2, streams=streams) for target in TARGETS)
    sides, texts = (missed, wrongly), Texts.draw(stream, (missed, wrongly), chance)
    judged: list[list[Call]] = [[] for _ in range(REPLAYED)]
    for _ in range(calls):
        texts = texts.after(chance.random(streams) < 1 / stream.burst, Texts.draw(stream, sides, chance))
        nominal = missed.nominal, wrongly.nominal
        decided = (texts.passes & missed.live) | (texts.flags & wrongly.live)
        checked_at = np.where(decided, np.where(texts.near, NEAR, RARELY), 1.0)
        checked = chance.random(streams) < checked_at
        for row in np.flatnonzero(checked[:REPLAYED]):
            acts = bool(texts.passes[row]), bool(texts.flags[row]), bool(texts.unsafe[row])
            judged[row].append((*acts, (float(nominal[0][row]), float(nominal[1][row])), float(checked_at[row])))
        kinds = (texts.unsafe, texts.passes, UNSAFE), (~texts.unsafe, texts.flags, 1 - UNSAFE)
        for side, rate, risk, (of_kind, wrong, share) in zip(sides, nominal, texts.risks, kinds, strict=True):
            side.total += rate * (
                share * (risk - side.target) if stream.burst == 1 else of_kind * (wrong - side.target)
            )
            rows = np.flatnonzero(checked & of_kind)
            side.see(rows, wrong[rows], rate[rows], checked_at[rows])
            side.judge(side.total)
    _replay(judged, sides)
    return sides


def _replay(judged_calls: list[list[Call]], sides: Both) -> None:
    for row, calls in enumerate(judged_calls):
        # a first account has 0.8 of its alpha
        contract = _contract(2 * sides[0].level / 0.8)
        for passes, flags, unsafe, nominal, chance in calls:
            assert nominal == tuple(_nominal(side.account.live) for side in contract.sides)
            contract = _see(contract, (passes, flags), unsafe, nominal, chance)
        for side, own in zip(sides, contract.sides, strict=True):
            assert np.allclose(own.account.promise.logs, side.logs[:, row])
            assert own.account.live == side.live[row]


def _contract(alpha: float) -> Contract:
    return Contract.new(SafetyTerms(missed=TARGETS[0], wrongly=TARGETS[1], confidence=1 - alpha))


def _see(
    contract: Contract, acts: tuple[bool, bool], unsafe: bool, nominal: tuple[float, float], chance: float
) -> Contract:
    """The contract after a judged call. An alarm would begin an account anew, which the simulation leaves out."""
    alone = (acts[0] and not acts[1], acts[1] and not acts[0])
    coin = Coin(key="", acts=alone, nominal=nominal, chance=chance, alarms=contract.alarms)
    wrong = judged(alone, unsafe)
    sides = []
    for side, one, u in zip(contract.sides, wrong, nominal, strict=True):
        account = side.account if one is None else side.account.see(wrong=one, nominal=u, chance=coin.chance)
        sides.append(replace(side, account=account))
    return replace(contract, sides=tuple(sides))


def _nominal(live: bool) -> float:
    return RARELY if live else 1.0


def calls_until_live(alpha: float) -> tuple[int, int]:
    """Of unsafe calls none of which is missed, and of safe ones none of which is flagged: until their side is live."""
    contract = _contract(alpha)
    counts = [0, 0]
    while not all(side.account.live for side in contract.sides):
        for place, side in enumerate(contract.sides):
            counts[place] += not side.account.live
        for unsafe in (True, False):
            contract = _see(contract, (False, False), unsafe, (1.0, 1.0), 1.0)
    return counts[0], counts[1]


SIDES = {
    "independent, both exactly at their bounds": Guarded(rates=(1, 1)),
    "independent, both 2.5 % above their bounds": Guarded(rates=(1.025, 1.025)),
    "bursts of 20, both at their bounds": Guarded(rates=(1, 1), burst=20),
    "bursts of 20, both 2.5 % above": Guarded(rates=(1.025, 1.025), burst=20),
    "misses at their bound; false flags at a tenth of theirs, so live first": Guarded(rates=(1, 0.1)),
    "false flags at their bound; misses at a tenth of theirs, so live first": Guarded(rates=(0.1, 1)),
    "an adversary per side: at its bound until live": Guarded(rates=(1, 1), adversary=True),
    "an adversary per side: at a tenth of its bound until live": Guarded(rates=(0.1, 0.1), adversary=True),
}
