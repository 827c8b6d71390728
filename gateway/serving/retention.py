"""Texts are forgotten when their time is over; all of them, where none are to be kept any more.

What is deleted leaves the ledger's file only with its write-ahead log, which is emptied afterwards.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Final

from gateway.contracts.owner import Owner
from gateway.ledger.call_log import CallLog
from gateway.ledger.store import LedgerError

_log = logging.getLogger(__name__)
_EVERY_S: Final = 60.0


class Retention:
    """keep_s: for how many seconds texts are kept; None: not at all."""

    def __init__(
        self, owner: Owner, keeping: CallLog, keep_s: float | None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._owner = owner
        self._keeping = keeping
        self._keep_s = keep_s
        self._clock = clock
        self._looked = -math.inf
        # one that was killed may have left something
        self._left = True
        self._told = False

    async def look(self) -> None:
        """Forgets what is due, once a minute."""
        now = self._clock()
        # a clock that was set back would have all wait until it catches up
        if 0 <= now - self._looked < _EVERY_S:
            return
        self._looked = now
        try:
            await self._forget(math.inf if self._keep_s is None else now - self._keep_s)
            if self._left:
                await self._empty_log()
        except LedgerError as error:
            # some may be deleted
            self._left = True
            _log.error("%s", error)

    async def _forget(self, before: float) -> None:
        texts = 0
        # some at a time, so that pairs that come in need not wait for all
        while deleted := await self._owner.ask(lambda store: store.forget(before)):
            texts += deleted
        calls = await asyncio.to_thread(self._keeping.forget, before)
        if texts or calls:
            self._left = True
            if self._keep_s is None:
                _log.warning(
                    "content.keep is none: %d texts and %d calls that were kept before, or by another gateway with "
                    "this ledger, are deleted",
                    texts,
                    calls,
                )

    async def _empty_log(self) -> None:
        self._left = not await asyncio.to_thread(self._keeping.empty_log)
        if self._left and not self._told:
            _log.warning(
                "deleted texts stand in the ledger's log as long as another program reads it; it is tried again each "
                "minute"
            )
        self._told = self._left
