"""A command that SIGTERM ends as Ctrl-C does: what it began is taken back, and what it started ends too."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt within. For the main thread only."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
