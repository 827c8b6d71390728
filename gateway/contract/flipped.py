"""How a call's coin fell under a contract, and whether the call is then answered here. Pure."""

from dataclasses import dataclass

from gateway.contract.audit import Coin
from gateway.contract.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipped:
    """A call's coin under a contract. attempt, threshold: of the contract when it was flipped; paused: its rule is;
    share: of calls that the contract answers by now; again: the reference is to be asked twice."""

    scope: Scope
    coin: Coin
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
