"""The account of a contract: evidence that the running rate of wrong calls lies below the target. Pure.

Call t belongs to the account or not (A), is wrong or not (L), has a nominal rate u in (0, 1] and is checked with chance
p, all fixed before its coin is flipped. S is the sum of u·A·(L - target). Each checked call multiplies the wealth of a
bet b by 1 + b·(u/p)·(target - L), whose mean is at most exp(-b·u·A·(L - target)): the mixture of wealth·exp(b·S) is a
supermartingale. So (Ville 1939), with a chance of 1 - alpha at every moment: where the mixture of wealth·exp(b·c) is at
least 1/alpha, S is below c. Nothing is assumed of the calls, of their dependence, or of who answers. Factors stay
positive where a wrong call weighs at most 1: p is at least u where a call may be wrong.
Sources: Waudby-Smith, Ramdas 2024 (betting); Waudby-Smith, Wu, Ramdas, Karampatziakis, Mineiro 2022 (weights); Xu,
Karampatziakis, Mineiro 2024 (audits by predicted error).
"""

import math
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

_BETS: Final = ((0.05, 0.1), (0.2, 0.2), (0.35, 0.25), (0.5, 0.25), (0.65, 0.15), (0.8, 0.05))
"""(the rate, in targets, that a bet is best for; its weight in the mixture); weights come to 1."""
SLACK: Final = 2.0
"""Wrong calls of weight 1 above the target that may stand before a live account goes back to shadow."""
_FIRST: Final = 0.8
"""Of alpha, the part of the first account; the rest is for those after alarms."""
_SHOWN, _ANSWER = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0), 0.05
"""The bounds, in targets, that may be shown of the answers alone, and the most that a nominal rate counts in them: so
answers while more is checked count as any other."""
_AHEAD, _BAD_LUCK, _AIMS = 100, 0.5, tuple(step / 100 for step in range(85, -1, -1))
"""A live account aims at the highest of some rates, in targets, with which it should stand so many checks ahead, with
so many standard deviations more wrong ones than expected."""


class Mixture(Struct, frozen=True, kw_only=True):
    """Bets on "the rate is below the target". target: in (0, 1); logs: of each bet's wealth."""

    target: float
    logs: tuple[float, ...] = (0.0,) * len(_BETS)

    def see(self, *, wrong: bool, weight: float) -> Self:
        """With one more checked call. weight: at least 0, at most 1 where the call is wrong; ValueError otherwise."""
        if weight < 0 or (wrong and weight > 1 + 1e-9):
            raise ValueError(f"a call of weight {weight:g} cannot be {'wrong' if wrong else 'right'} here")
        won = weight * (self.target - wrong)
        logs = (log + math.log1p(bet * won) for log, bet in zip(self.logs, bets(self.target), strict=True))
        return replace(self, logs=tuple(logs))

    def evidence(self, slack: float = 0.0, *, right: float = 0.0, wrong: float = 0.0) -> float:
        """The logarithm of the mixture against "S is at least `slack`". right, wrong: calls of weight 1 to add."""
        logs: list[float] = []
        for (_, share), log, bet in zip(_BETS, self.logs, bets(self.target), strict=True):
            added = right * math.log1p(bet * self.target) + wrong * math.log1p(-bet * (1 - self.target))
            logs.append(math.log(share) + log + bet * slack + added)
        return max(logs) + math.log(math.fsum(math.exp(log - max(logs)) for log in logs))


class CheckCounts(Struct, frozen=True):
    """Checked calls, and the sums of the weights of all, of the wrong ones, and of the errors that were predicted.
    stand_for: the calls that the wrong ones stand for, one over its chance of being checked each."""

    checks: int = 0
    wrong: int = 0
    weight: float = 0.0
    weight_wrong: float = 0.0
    predicted: float = 0.0
    stand_for: float = 0.0

    def see(self, *, wrong: bool, weight: float, predicted: float, chance: float) -> Self:
        """With one more."""
        sums = self.weight + weight, self.weight_wrong + weight * wrong, self.predicted + weight * predicted
        return type(self)(self.checks + 1, self.wrong + wrong, *sums, self.stand_for + wrong / chance)


class Account(Struct, frozen=True, kw_only=True):
    """target: of wrong calls, in (0, 1); alpha: the chance, over all accounts, that the promise fails; alarms: raised
    so far, each began an account anew; live: whether calls are decided here. promise, seen: over all calls; answers,
    answered: over those while live, a mixture for each bound that may be shown."""

    target: float
    alpha: float
    promise: Mixture
    answers: tuple[Mixture, ...]
    alarms: int = 0
    live: bool = False
    seen: CheckCounts = CheckCounts()
    answered: CheckCounts = CheckCounts()

    @classmethod
    def begin(cls, *, target: float, alpha: float, alarms: int = 0) -> Self:
        """An account without a call, in shadow."""
        promise, *shown = (Mixture(target=rate) for rate in (target, *multiples(target, _SHOWN)))
        return cls(target=target, alpha=alpha, alarms=alarms, promise=promise, answers=tuple(shown))

    @property
    def level(self) -> float:
        """This account's part of alpha; the parts of all accounts come to alpha."""
        return self.alpha * (_FIRST if not self.alarms else (1 - _FIRST) * 6 / (math.pi * self.alarms) ** 2)

    @property
    def enough(self) -> float:
        """The evidence, as a logarithm, from which on the account is live."""
        return -math.log(self.level)

    @property
    def bound(self) -> float | None:
        """Above the rate of wrong calls while live, each counted by its nominal rate, at every moment with a chance of
        1 - level; None as long as no bound holds."""
        enough, tried = math.log(len(self.answers) / self.level), self.answers if self.answered.checks else ()
        return min((one.target for one in tried if one.evidence() >= enough), default=None)

    @property
    def correction(self) -> float:
        """How many times as many calls are wrong as was predicted, by all that was checked; drawn towards 1."""
        return (self.seen.weight_wrong + 4) / (self.seen.predicted + 4)

    def see(self, *, wrong: bool, nominal: float = 1.0, chance: float = 1.0, predicted: float = 0.0) -> Self:
        """With one more checked call, which may change the phase. nominal, chance: u (1 in shadow only) and p at its
        coin; predicted: its chance of being wrong. ValueError where it is wrong and p below u."""
        weight = nominal / chance
        promise = self.promise.see(wrong=wrong, weight=weight)
        seen = self.seen.see(wrong=wrong, weight=weight, predicted=predicted, chance=chance)
        live = promise.evidence(SLACK if self.live else 0.0) >= self.enough
        if nominal >= 1:
            return replace(self, promise=promise, seen=seen, live=live)
        less = min(nominal, _ANSWER) / chance
        answers = tuple(one.see(wrong=wrong, weight=less) for one in self.answers)
        answered = self.answered.see(wrong=wrong, weight=less, predicted=predicted, chance=chance)
        return replace(self, promise=promise, seen=seen, live=live, answers=answers, answered=answered)

    def alarmed(self) -> Self:
        """The account that follows an alarm: without a call, in shadow, with a smaller part of alpha."""
        return self.begin(target=self.target, alpha=self.alpha, alarms=self.alarms + 1)

    def highest_rate(self) -> float:
        """The highest rate with which a live account should still be live after the next checks; 0 where none is."""
        for rate in (aim * self.target for aim in _AIMS):
            wrong = _AHEAD * rate + _BAD_LUCK * math.sqrt(_AHEAD * rate * (1 - rate))
            if self.promise.evidence(SLACK, right=_AHEAD - wrong, wrong=wrong) >= self.enough:
                return rate
        return 0.0


def bets(target: float) -> tuple[float, ...]:
    """b of each bet, in 0..1/(1 - target): the target minus its rate, over the variance at the target."""
    return tuple((1 - share) / (1 - target) for share, _ in _BETS)


def growth(target: float, rate: float) -> float:
    """How much the evidence grows with a call of weight 1, by the bet that is best for the rate. 0 where none gains."""
    gains = (rate * math.log1p(-b * (1 - target)) + (1 - rate) * math.log1p(b * target) for b in bets(target))
    return max(0.0, *gains)


def multiples(target: float, times: tuple[float, ...]) -> tuple[float, ...]:
    """The target times each of `times`, below 1 each."""
    return tuple(min(one * target, 1 - (1 - target) / (1 + one)) for one in times)
