"""How a call's coin fell under a contract, and whether the call is then answered here. Pure."""

from dataclasses import dataclass

from gateway.contracts.contract import Pair
from gateway.contracts.sampling import Coin
from gateway.contracts.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipped:
    """A call's coin under a contract. number: of the contract's coins, rising; attempt, threshold: of the contract when
    it was flipped; paused: its rule is; share: of calls that the contract answers by now; again: the reference is to be
    asked twice."""

    scope: Scope
    coin: Coin
    number: int
    attempt: int
    threshold: float | None
    paused: bool
    share: float
    again: bool = False

    def sure(self, confidence: float) -> bool:
        """Whether the call is answered here unless the coin chose it."""
        return self.threshold is not None and confidence >= self.threshold and not self.paused

    def answers(self, confidence: float) -> bool:
        """Whether the call is answered here."""
        return self.sure(confidence) and not self.coin.chosen

    def pair(self, *, confidence: float, sure: bool, agrees: bool) -> Pair:
        """The call as a pair. sure: whether it would have been answered here, had the coin not chosen it."""
        return Pair(
            chosen=self.coin.chosen,
            chance=self.coin.rate if sure else 1.0,
            least=self.coin.rate,
            confidence=confidence,
            agrees=agrees,
            # a sure call that no coin chose is here for a reason of its own, and stands for no others
            attempt=0 if sure and not self.coin.chosen else self.attempt,
            threshold=self.threshold,
        )
