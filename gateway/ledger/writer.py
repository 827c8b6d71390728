"""Writes rows off the event loop, in batches, and loses none on a clean stop."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from gateway.ledger.store import LedgerError
from gateway.record import Record

_log = logging.getLogger(__name__)
_BATCH: Final = 2000
_EVERY_S: Final = 0.02
"""How long rows are gathered for one write."""
_RETRY_S: Final = 1.0
_MOST_PENDING: Final = 200_000

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Appends(Protocol[T_contra]):
    """A store of rows. Called from one thread at a time."""

    def append(self, records: Sequence[T_contra]) -> None:
        """Writes rows, all or none. Raises LedgerError."""

    def close(self) -> None:
        """Closes it."""


class Writer(Generic[T]):
    """One thread between the request path and a store. on_failure and on_lost are called from that thread, with a count
    of failed writes and of rows given up. Given up are the oldest rows beyond `most` while writes fail, all rows if the
    store still fails at the stop, and rows that no store accepts."""

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
        self._queue: deque[T] = deque()
        self._waiting: list[T] = []
        self._added, self._stopping = threading.Event(), threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Rows not written yet."""
        return len(self._queue) + len(self._waiting)

    @property
    def healthy(self) -> bool:
        """Whether the last write went through."""
        return not self._failing

    def add(self, *records: T) -> None:
        """Takes rows; never blocks."""
        self._queue.extend(records)
        self._added.set()

    def close(self) -> None:
        """Writes what is pending, then closes the store. Blocks for as long as that takes."""
        self._stopping.set()
        self._added.set()
        self._thread.join()
        self._store.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._added.wait()
            self._stopping.wait(_RETRY_S if self._failing else _EVERY_S)
            self._added.clear()
            self._write_all()
            if self._waiting:
                self._added.set()
        self._write_all()
        self._give_up(self.pending)

    def _write_all(self) -> None:
        written = True
        while written:
            while self._queue and len(self._waiting) < _BATCH:
                self._waiting.append(self._queue.popleft())
            written = bool(self._waiting) and self._write()

    def _write(self) -> bool:
        try:
            self._store.append(self._waiting)
        except LedgerError as error:
            if not self._failing:
                _log.error("%s; rows wait in memory and are tried again", error)
            self._failing = True
            self._on_failure(1)
            self._give_up(self.pending - self._most)
            return False
        except Exception:  # noqa: BLE001 - no store accepts these rows; the thread must go on for the others
            _log.exception("rows that cannot be stored")
            self._on_failure(1)
            self._give_up(len(self._waiting))
            return True
        if self._failing:
            _log.warning("the ledger can be written again")
        self._failing = False
        self._waiting = []
        return True

    def _give_up(self, rows: int) -> None:
        if rows <= 0:
            return
        for _ in range(rows - len(self._waiting)):
            self._queue.popleft()
        self._waiting = self._waiting[rows:]
        _log.error("%d rows could not be written and are given up", rows)
        self._on_lost(rows)


LedgerWriter = Writer[Record]
