"""Deletes texts and calls whose time is over; all of a kind if none of it is to be kept any more.

Deleted content leaves the disk only with the ledger's write-ahead log, which is emptied afterwards.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Final

from gateway.config.settings import Content
from gateway.contracts.owner import Owner
from gateway.ledger.call_store import CallStore, KeptAs, RecentStore, TextStore
from gateway.ledger.store import LedgerError

_log = logging.getLogger(__name__)
_EVERY_S: Final = 60.0


class Retention:
    """content: how long each kind is kept. owner: has the texts that rules train on."""

    def __init__(
        self,
        owner: Owner,
        calls: CallStore,
        texts: TextStore,
        recent: RecentStore,
        content: Content,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._owner = owner
        self._calls = calls
        self._texts, self._recent = texts, recent
        self._recent_s = content.recent
        self._keep_s = content.keep
        self._review_s: Mapping[KeptAs, float | None] = {"blocked": content.blocked, "unsure": content.unsure}
        self._clock = clock
        self._latest = -math.inf
        # a gateway that was killed may have left something in the log
        self._log_full = True
        self._warned = False

    async def tick(self) -> None:
        """Deletes what is due, once a minute."""
        now = self._clock()
        # not `now - latest < 60`: after a clock is set back nothing would be deleted until it catches up
        if 0 <= now - self._latest < _EVERY_S:
            return
        self._latest = now
        try:
            await self._forget(_before(now, self._keep_s))
            before = {kept_as: _before(now, keep_s) for kept_as, keep_s in self._review_s.items()}
            self._log_full |= bool(await asyncio.to_thread(self._texts.forget, before))
            self._log_full |= bool(await asyncio.to_thread(self._recent.forget, _before(now, self._recent_s)))
            if self._log_full:
                await self._empty_log()
        except LedgerError as error:
            # some may be deleted
            self._log_full = True
            _log.error("%s", error)

    async def _forget(self, before: float) -> None:
        texts = 0
        # a few at a time, so that new pairs need not wait for all
        while deleted := await self._owner.ask(lambda store: store.forget(before)):
            texts += deleted
        calls = await asyncio.to_thread(self._calls.forget, before)
        if texts or calls:
            self._log_full = True
            if self._keep_s is None:
                _log.warning(
                    "content.keep is none: %d texts and %d calls that were kept before, or by another gateway with "
                    "this ledger, are deleted",
                    texts,
                    calls,
                )

    async def _empty_log(self) -> None:
        self._log_full = not await asyncio.to_thread(self._calls.empty_log)
        if self._log_full and not self._warned:
            _log.warning(
                "deleted texts stand in the ledger's log as long as another program reads it; it is tried again each "
                "minute"
            )
        self._warned = self._log_full


def _before(now: float, keep_s: float | None) -> float:
    return math.inf if keep_s is None else now - keep_s
