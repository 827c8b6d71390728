"""What a gateway's stop leaves of calls that were under way. One that is told to stop ends its calls first, and each of
them counts. After a kill, a crash or a loss of power nothing is known of them, and left out they would be missed just
where it matters: the pairs that waited are those behind a call that took long, and that is what disagrees.

So where a gateway never ended, each running attempt that calls had come to counts one disagreement: the call that all
others waited for. It stands in the order of the calls right after what was counted, so that what is kept is a stretch
without a gap; what came after it counts for nothing, whatever it was. Where calls are kept away from a contract, by
another route, it counts when they come to it again.
"""

from collections.abc import Callable
from dataclasses import replace

from gateway.contracts.contract import Contract, Pair, count
from gateway.contracts.sampling import FRESH, LEAST, live_rate
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore, StoredContract


def taken_up(store: ContractStore, most: int, reached: Callable[[Scope], bool]) -> list[StoredContract]:
    """The contracts that a gateway goes on with, as of `ContractStore.newest`, each as it then is. reached: whether
    calls come to one. Raises LedgerError.
    """
    store.serve_each()
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
