"""A command that SIGTERM ends as Ctrl-C does: what it began is taken back, and what it started ends too."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Never


@contextmanager
def as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt within, once: whoever is told to stop by Ctrl-C or SIGTERM is often told again,
    by a service manager or the process that started it, and takes back what was begun all the same, up to its end.
    A second Ctrl-C breaks that off. For the main thread only."""

    def stop(_: int, __: FrameType | None) -> Never:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    told = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        told.append(signal.SIGINT)
    before = {number: signal.signal(number, stop) for number in told}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)
