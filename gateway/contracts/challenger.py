"""How a version that is tried does beside the one in use. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from gateway.contracts.memory import ContractMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """pairs: that a tried version has come to; outdoes: whether it answers more than the one in use under at least one
    contract, and no less under any; hopeful: whether it may still come to."""

    pairs: int
    outdoes: bool
    hopeful: bool

    @classmethod
    def of(cls, contracts: Iterable[ContractMemory], version: str, *, current: str, since: float) -> Self:
        """contracts: all of the rules that bind the classifier; current: the version in use; since: Unix seconds from
        which on a contract must have had a call for its answers to count."""
        kept = tuple(contracts)
        tried = {one.scope.beside(""): one for one in kept if one.scope.version == version}
        alive = [one for one in kept if one.at >= since]
        old, new = (
            {one.scope.beside(""): one.share(one.contract) for one in alive if one.scope.version == each}
            for each in (current, version)
        )
        gains = [new.get(key, 0.0) - old.get(key, 0.0) for key in {*old, *new}]
        return cls(
            pairs=sum(one.contract.pairs for one in tried.values()),
            outdoes=any(gain > 0 for gain in gains) and all(gain >= 0 for gain in gains),
            hopeful=not tried or any(one.hopeful for one in tried.values()),
        )
