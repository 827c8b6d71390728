"""The single writer of a contracts' store: its one thread, which contracts may act, and what is forgotten in time."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Generic, TypeVar

from gateway.contracts.scope import Scope
from gateway.contracts.tables import Move, Tables
from gateway.ledger.store import LedgerError

S = TypeVar("S", bound=Tables)
T = TypeVar("T")
_log = logging.getLogger(__name__)
_FORGET_S: Final = 3600.0
Write = Callable[[Sequence[Move]], None]
"""Stores a contract's state, with moves that are to be in its history."""


class SingleWriter(Generic[S]):
    """on_failure: called for writes that failed: the contract then does nothing by itself until one goes through.
    store: for `ask`, and for whoever runs in its thread. Raises LedgerError where it cannot be read."""

    def __init__(
        self, store: S, name: str, *, on_failure: Callable[[], None] | None, clock: Callable[[], float] = time.time
    ) -> None:
        self.store = store
        self._on_failure = on_failure
        self._clock = clock
        self._paused = store.paused()
        self._unwritten: dict[str, tuple[Write, Sequence[Move]]] = {}
        self._forgot = 0.0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def holds(self, rule: str, key: str) -> bool:
        """Whether a contract must do nothing by itself: its rule is paused, or its state could not be written."""
        return rule in self._paused or key in self._unwritten

    async def ask(self, what: Callable[[S], T]) -> T:
        """Something of the store, in the one thread that may use it. Raises LedgerError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, what, self.store)

    def later(self, what: Callable[[], None]) -> None:
        """Something that nobody waits for, in that thread, after all that it was asked before. What it raises is
        logged."""

        def do() -> None:
            try:
                what()
            except LedgerError as error:
                _log.error("%s", error)

        # an unexpected error needs its traceback
        self._thread.submit(do).add_done_callback(lambda done: done.result())

    def put(self, scope: Scope, write: Write, moves: Sequence[Move] = ()) -> None:
        """Writes a contract's state, in that thread, with the moves that led to it: also those of before that could not
        be written."""
        _, before = self._unwritten.get(scope.key, (write, ()))
        every = [*before, *moves]
        try:
            write(every)
        except LedgerError as error:
            _log.error("%s; the contract of rule %s does nothing by itself until it can be", error, scope.rule)
            self._unwritten[scope.key] = write, every
            if self._on_failure is not None:
                self._on_failure()
        else:
            self._unwritten.pop(scope.key, None)

    async def look(self, forget: Callable[[], Awaitable[None]]) -> None:
        """Learns which rules are paused by now, and once an hour forgets what nothing is built on any more."""
        try:
            self._paused = await self.ask(lambda store: store.paused())
            now = self._clock()
            # a clock that was set back would have all wait until it catches up
            if not 0 <= now - self._forgot < _FORGET_S:
                self._forgot = now
                await forget()
        except LedgerError as error:
            _log.error("%s", error)

    def close(self, last: Callable[[], None] | None = None) -> None:
        """Waits for what is being written, tries once more what could not be, then closes the store. last: to be
        written before that, if all else was."""
        self._thread.shutdown()
        try:
            failed = [key for key, (write, moves) in self._unwritten.items() if not self._wrote(partial(write, moves))]
            if last is not None and not failed:
                self._wrote(last)
        finally:
            self.store.close()

    def _wrote(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except LedgerError as error:
            _log.error("%s", error)
            return False
        return True
