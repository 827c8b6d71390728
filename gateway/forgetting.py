"""Texts are forgotten when their time is over; all of them, where none are to be kept any more."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Final

from gateway.contract.owner import Owner
from gateway.keeping import Keeping
from gateway.ledger.store import LedgerError

_log = logging.getLogger(__name__)
_EVERY_S: Final = 60.0


class Forgetting:
    """keep_s: for how many seconds texts are kept; None: not at all."""

    def __init__(
        self, owner: Owner, keeping: Keeping, keep_s: float | None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._owner = owner
        self._keeping = keeping
        self._keep_s = keep_s
        self._clock = clock
        self._looked = -math.inf

    async def look(self) -> None:
        """Forgets what is due, once a minute."""
        now = self._clock()
        if now - self._looked < _EVERY_S:
            return
        self._looked = now
        before = math.inf if self._keep_s is None else now - self._keep_s
        try:
            await self._owner.ask(lambda store: store.forget(before))
            await asyncio.to_thread(self._keeping.forget, before)
        except LedgerError as error:
            _log.error("%s", error)
