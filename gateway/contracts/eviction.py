"""Which contract leaves memory where there is no room for another. Pure."""

from collections.abc import Iterable
from typing import Final

from gateway.contracts.contract import Phase
from gateway.contracts.memory import ContractMemory

_FEW_PAIRS: Final = 10
"""A prompt that was seen so seldom may never come again."""
LAPSED_S: Final = 7 * 86400.0
"""Without a call for so long, a contract holds up nothing: its prompt may be no more."""


def leaving(kept: Iterable[ContractMemory], *, now: float) -> ContractMemory:
    """The one without a call for longest, of equals that with the fewest pairs. One that is live goes last, before it
    one with calls under way, before that one whose attempt runs and then one with more than a few pairs, for it begins
    anew when it comes again. now: Unix seconds. Raises ValueError where there is none."""
    return min(kept, key=lambda one: (_loses(one, now), one.at, one.contract.pairs))


def _loses(kept: ContractMemory, now: float) -> int:
    if kept.contract.phase is Phase.LIVE:
        return 4
    if now - kept.at > LAPSED_S:
        return 0
    if not kept.order.idle:
        return 3
    if kept.contract.attempt is not None:
        return 2
    return 1 if kept.contract.pairs >= _FEW_PAIRS else 0
