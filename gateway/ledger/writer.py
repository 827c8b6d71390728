"""Writes ledger rows off the event loop, in batches, and loses none on a clean stop."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from gateway.ledger.record import Record
from gateway.ledger.store import LedgerError

_log = logging.getLogger(__name__)
_BATCH: Final = 2000
_EVERY_S: Final = 0.2
_RETRY_S: Final = 1.0
_MOST_PENDING: Final = 200_000


T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Appends(Protocol[T_contra]):
    """Where rows are kept. Called from one thread at a time."""

    def append(self, records: Sequence[T_contra]) -> None:
        """Writes rows, all or none. Raises LedgerError."""

    def close(self) -> None:
        """Closes it."""


class Writer(Generic[T]):
    """One thread between the request path and a store.

    on_failure and on_lost are called (from the writer's thread) with a count of failed writes and of rows that
    had to be given up: where a write has failed and over `most` rows wait, the oldest of them; where the store still
    fails at the stop, all; and those that no store takes.
    """

    def __init__(
        self,
        store: Appends[T],
        *,
        on_failure: Callable[[int], None],
        on_lost: Callable[[int], None],
        most: int = _MOST_PENDING,
    ) -> None:
        self._store = store
        self._most = most
        self._on_failure = on_failure
        self._on_lost = on_lost
        self._queue: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._waiting: list[T] = []
        self._stopping = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Rows not written yet."""
        return self._queue.qsize() + len(self._waiting)

    @property
    def healthy(self) -> bool:
        """Whether the last write went through."""
        return not self._failing

    def add(self, record: T) -> None:
        """Takes a row; never blocks."""
        self._queue.put(record)

    def close(self) -> None:
        """Writes what is pending, then closes the store. Blocks for as long as that takes."""
        self._stopping.set()
        self._thread.join()
        self._store.close()

    def _run(self) -> None:
        while not self._stopping.wait(_RETRY_S if self._failing else _EVERY_S):
            self._write_all()
        self._write_all()
        self._give_up(self.pending)

    def _write_all(self) -> None:
        while True:
            while len(self._waiting) < _BATCH:
                try:
                    self._waiting.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            if not self._waiting:
                return
            if not self._write():
                return

    def _write(self) -> bool:
        started = time.monotonic()
        try:
            self._store.append(self._waiting)
        except LedgerError as error:
            if not self._failing:
                _log.error("%s; rows wait in memory and are tried again", error)
            self._failing = True
            self._on_failure(1)
            self._give_up(self.pending - self._most)
            return False
        except Exception:  # noqa: BLE001 - no store takes these rows; the thread must live on for the others
            _log.exception("rows that cannot be stored")
            self._on_failure(1)
            self._give_up(len(self._waiting))
            return True
        if self._failing:
            _log.warning("the ledger can be written again (%.1f s)", time.monotonic() - started)
        self._failing = False
        self._waiting = []
        return True

    def _give_up(self, rows: int) -> None:
        """The oldest so many, if any."""
        if rows <= 0:
            return
        for _ in range(rows - len(self._waiting)):
            self._queue.get_nowait()
        self._waiting = self._waiting[rows:]
        _log.error("%d rows could not be written and are given up", rows)
        self._on_lost(rows)


class LedgerWriter(Writer[Record]):
    """Of the ledger's rows, one for each request."""
