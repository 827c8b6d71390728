"""Classify off the event loop: one thread of the lowest priority, a bounded queue, a deadline.

Whatever goes wrong comes back as a broken verdict with its reason, never as an exception.
"""

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from classifiers.runtime.classifier import broken
from classifiers.runtime.runtime import Runtime
from classifiers.verdict import Reading, Verdict

_log = logging.getLogger(__name__)

_LAST_WINDOW_S = 0.015
"""Kept back from a deadline, so that the window being encoded when time runs out does not cost every verdict."""


@dataclass(slots=True, eq=False)
class _Job:
    runtime: Runtime
    readings: Sequence[Reading]
    deadline: float | None
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[list[Verdict]]"
    abandoned: bool = False


class Worker:
    """Runs a Runtime for coroutines. Create it anywhere; `close` it when done.

    max_queue: jobs that may wait; further ones get broken verdicts at once.
    nice: the thread's priority on Linux, 19 the lowest: requests that need no classifier are not slowed down.
    """

    def __init__(self, runtime: Runtime, max_queue: int = 256, nice: int = 19) -> None:
        self._runtime = runtime
        self._max_queue = max_queue
        self._nice = nice
        self._jobs: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="classifiers", daemon=True)
        self._thread.start()

    @property
    def runtime(self) -> Runtime:
        """What the next job takes that names none."""
        return self._runtime

    @property
    def queued(self) -> int:
        """Jobs that wait; the one that is running is not among them."""
        return len(self._jobs)

    def swap(self, runtime: Runtime) -> None:
        """Uses another Runtime for new jobs that name none; those that wait or run end on the old one."""
        self._runtime = runtime

    async def classify(
        self, readings: Sequence[Reading], deadline_s: float | None = None, runtime: Runtime | None = None
    ) -> list[Verdict]:
        """A verdict for each reading, in order, within `deadline_s` seconds from now.

        runtime: one that was in use earlier, for whoever is to end on what it has begun with.
        Broken verdicts give as reason `deadline`, `queue full`, `closed`, or the name of an exception.
        """
        loop = asyncio.get_running_loop()
        kept_back = min(_LAST_WINDOW_S, (deadline_s or 0) / 4)
        deadline = None if deadline_s is None else time.monotonic() + deadline_s - kept_back
        job = _Job(runtime or self._runtime, readings, deadline, loop, loop.create_future())
        with self._wake:
            refused = "closed" if self._closed else "queue full" if len(self._jobs) >= self._max_queue else ""
            if refused:
                return _broken(job, refused)
            self._jobs.append(job)
            self._wake.notify()
        try:
            async with asyncio.timeout(deadline_s):
                return await job.answer
        except TimeoutError:
            return _broken(job, "deadline")
        finally:
            # nobody waits for this job any more: make room for others
            job.abandoned = True
            with self._wake, suppress(ValueError):
                self._jobs.remove(job)

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop after the job that is running; those that wait get broken verdicts. May be called twice."""
        with self._wake:
            self._closed = True
            waiting = list(self._jobs)
            self._jobs.clear()
            self._wake.notify()
        for job in waiting:
            _answer(job, _broken(job, "closed"))
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _take(self) -> _Job | None:
        with self._wake:
            while not self._jobs and not self._closed:
                self._wake.wait()
            return self._jobs.popleft() if self._jobs else None

    def _work(self) -> None:
        with suppress(OSError, AttributeError):  # not Linux, or not allowed: the priority stays as it is
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._nice)
        while (job := self._take()) is not None:
            if not job.abandoned:
                _answer(job, self._run(job))

    def _run(self, job: _Job) -> list[Verdict]:
        try:
            return job.runtime.classify(job.readings, job.deadline)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must become a verdict
            _log.error("a classification failed: %s", type(error).__name__, exc_info=error)
            if len(job.readings) == 1:
                return _broken(job, type(error).__name__)
        # one reading that cannot be had takes none of the others along
        return [verdict for reading in job.readings for verdict in self._run(replace(job, readings=[reading]))]


def _broken(job: _Job, reason: str) -> list[Verdict]:
    versions = {name: classifier.version for name, classifier in job.runtime.classifiers.items()}
    return [broken(reading.classifier, reason, versions.get(reading.classifier, "")) for reading in job.readings]


def _answer(job: _Job, verdicts: list[Verdict]) -> None:
    def deliver() -> None:
        if not job.answer.done():
            job.answer.set_result(verdicts)

    with suppress(RuntimeError):  # the loop was closed in the meantime: nobody waits any more
        job.loop.call_soon_threadsafe(deliver)
