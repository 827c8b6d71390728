"""Compares a challenger, a version on trial, with the champion, the version in use. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from gateway.contracts.memory import ContractMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """pairs: of the challenger so far; outdoes: whether it answers more calls than the champion under at least one
    contract, and no fewer under any; hopeful: whether it may still do so."""

    pairs: int
    outdoes: bool
    hopeful: bool

    @classmethod
    def of(cls, contracts: Iterable[ContractMemory], version: str, *, current: str, since: float) -> Self:
        """contracts: of all rules that bind the classifier; version: the challenger's; current: the champion's; since:
        Unix seconds; the answers of contracts without a call since then do not count."""
        kept = tuple(contracts)
        tried = [memory for memory in kept if memory.scope.version == version]
        alive = [memory for memory in kept if memory.at >= since]
        old, new = (
            {each.scope.with_version(""): each.share(each.contract) for each in alive if each.scope.version == wanted}
            for wanted in (current, version)
        )
        gains = [new.get(key, 0.0) - old.get(key, 0.0) for key in {*old, *new}]
        return cls(
            pairs=sum(memory.contract.pairs for memory in tried),
            outdoes=any(gain > 0 for gain in gains) and all(gain >= 0 for gain in gains),
            hopeful=not tried or any(memory.hopeful for memory in tried),
        )
