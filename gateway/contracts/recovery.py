"""Counts the calls that were in flight when a gateway was killed.

A gateway that is stopped ends its calls first, and each of them counts. After a kill, a crash or a loss of power their
results are unknown. Leaving them out would bias the pairs: those that wait are behind a slow call, and slow calls
disagree more often.

So after a kill each running attempt that had calls counts one disagreement: the call that all others waited for. It
comes right after the counted pairs, so that they stay a sequence without a gap; later calls count for nothing. Where
another route keeps calls away from a contract, the disagreement counts when they come again.
"""

from collections.abc import Callable
from dataclasses import replace

from gateway.contracts.contract import Contract, Pair, count
from gateway.contracts.sampling import FRESH, LEAST, live_rate
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore, StoredContract


def taken_up(store: ContractStore, most: int, reached: Callable[[Scope], bool]) -> list[StoredContract]:
    """The contracts that a gateway goes on with, as of `ContractStore.newest`, each as it then is. reached: whether
    calls come to one. Raises LedgerError."""
    for one in store.serving():
        if reached(one.scope):
            store.put(replace(one, contract=interrupted(one.contract)), interrupted=True)
    return store.newest(most, reached)


def interrupted(contract: Contract) -> Contract:
    """The contract after a stop that left calls under way. The first of them counts at every threshold of the running
    attempt, and as one that was as rarely seen as any may have been."""
    attempt = contract.attempt
    if attempt is None:
        return contract
    least = min((one.least for rung in attempt.rungs for one in rung.seen), default=FRESH)
    if contract.detector is not None:
        least = min(least, live_rate(contract.detector.audits, LEAST))
    first = Pair(
        chosen=True,
        chance=least,
        least=least,
        confidence=1.0,
        agrees=False,
        attempt=attempt.number,
        threshold=contract.threshold,
    )
    return count(contract, first)
