"""Pairs that nothing is built on any more leave the contracts' store, and contracts that never came to anything."""

from functools import partial
from typing import Final

from gateway.contracts.drift import span
from gateway.contracts.store import ContractStore
from gateway.contracts.writer import SingleWriter

_STORED: Final = 20_000
"""Of a contract's pairs so many stay stored, besides those of its certificate: enough to order thresholds by, and to
say what has moved."""
_IDLE_S: Final = 90 * 86400.0
"""Without a pair for so long, a contract keeps none; its state stays, if it ever began an attempt."""


async def thin_out(writer: SingleWriter[ContractStore], *, now: float) -> None:
    """One contract at a time, so that pairs that come in need not wait for all. now: Unix seconds. Raises
    LedgerError."""
    for key, keep in await writer.ask(lambda store: store.forgettable(before=now - _IDLE_S, keep=_STORED)):
        await writer.ask(partial(_forget_pairs, key=key, keep=keep))
    await writer.ask(lambda store: store.forget_idle(now - _IDLE_S))


def _forget_pairs(store: ContractStore, *, key: str, keep: int) -> None:
    """The pairs that the latest certificate was seen on stay for as long as any."""
    certified = span(store.moves(key))
    store.forget_pairs(key, keep=keep, but=certified[:2] if certified and keep else None)
