"""Classify off the event loop: one thread of the lowest priority, a bounded queue that is fair, a deadline.

Whatever goes wrong comes back as a verdict that is late or broken, with its reason, never as an exception.
"""

import asyncio
import logging
import os
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from math import log2

from classifiers.runtime.classifier import broken, late
from classifiers.runtime.memory import VerdictMemory
from classifiers.runtime.runtime import Runtime
from classifiers.runtime.windows import DeadlinePassed
from classifiers.verdict import Reading, Verdict

_log = logging.getLogger(__name__)

_LAST_WINDOW_S = 0.015
"""Kept back from a deadline, so that the window being encoded when time runs out does not cost every verdict."""

_MUCH_SHORTER = 4
"""A text that is so many times shorter than the one being read is read between two of its windows."""

_MOST_CHARS = 8_000_000
_EACH_CHARS = 200
"""What a reading costs whatever its length, in characters."""

_OLDER = 0.95
"""What the jobs so far count for in the time that a character takes, once another is done."""

_HALVES_S = 0.25
"""In so many seconds of waiting a job comes to count as half as long, so that shorter ones do not always come first."""

_CLIENTS = 1024
"""Clients whose time is remembered: those that had some last."""


@dataclass(slots=True, eq=False)
class _Job:
    """cost: characters, about. turn: the lowest comes first; cost by powers of two, and when the job came, so that of
    two that are as long it is the first. used_s: the thread's time for it."""

    runtime: Runtime
    readings: Sequence[Reading]
    deadline: float | None
    client: str
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[list[Verdict]]"
    cost: int
    turn: float
    used_s: float = 0.0
    abandoned: bool = False


class FairQueue:
    """Jobs that wait. Next is the shortest job of the client that has had the least of the thread's time. A client that
    comes anew begins with the least that any waiting client has had. For one thread at a time. max_jobs: that may wait;
    several of them may have eight million characters together."""

    def __init__(self, max_jobs: int) -> None:
        self._max_jobs = max_jobs
        self._waiting: dict[_Job, None] = {}
        self._shares = Counter[str]()
        self._used_s = OrderedDict[str, float]()
        self._least_s = 0.0
        self.cost = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, job: _Job) -> _Job | None:
        """Takes a job. Returns the one that is given up for it where the queue is full: the longest of the client with
        the most, which may be the job itself."""
        self._waiting[job] = None
        self._shares[job.client] += 1
        self.cost += job.cost
        if len(self._waiting) <= self._max_jobs and (self.cost <= _MOST_CHARS or len(self._waiting) == 1):
            return None
        shares = self._shares
        given_up = max(self._waiting, key=lambda waiting: (shares[waiting.client], waiting.turn))
        self.drop(given_up)
        return given_up

    def drop(self, job: _Job) -> None:
        """Forgets a job, if it waits."""
        if job in self._waiting:
            del self._waiting[job]
            self._shares[job.client] -= 1
            self.cost -= job.cost
            if not self._shares[job.client]:
                del self._shares[job.client]

    def next(self, running: _Job | None = None) -> _Job | None:
        """The job to run. running: only one that is much shorter, of a client that has had no more time."""
        jobs, had_s = list(self._waiting), {client: self._had_s(client) for client in self._shares}
        if running is not None:
            longest, most_s = running.cost / _MUCH_SHORTER, self._had_s(running.client)
            jobs = [job for job in jobs if job.cost <= longest and had_s[job.client] <= most_s]
        if not jobs:
            return None
        first = min(jobs, key=lambda job: (had_s[job.client], job.turn))
        self._least_s = had_s[first.client]
        self.drop(first)
        return first

    def charge(self, client: str, seconds: float) -> None:
        """Counts time that a client has had."""
        self._used_s[client] = self._had_s(client) + seconds
        self._used_s.move_to_end(client)
        if len(self._used_s) > _CLIENTS:
            self._used_s.popitem(last=False)

    def _had_s(self, client: str) -> float:
        return max(self._used_s.get(client, 0.0), self._least_s)

    def clear(self) -> list[_Job]:
        """Takes all jobs out."""
        jobs = list(self._waiting)
        for job in jobs:
            self.drop(job)
        return jobs


class Worker:
    """Runs a Runtime for coroutines. Create it anywhere; `close` it when done. runtime: what the next job takes that
    names none. max_queue: jobs that may wait; further ones get late verdicts at once. nice: the thread's priority on
    Linux, 19 the lowest: requests that need no classifier are not slowed down."""

    def __init__(self, runtime: Runtime, max_queue: int = 256, nice: int = 19) -> None:
        self.runtime = runtime
        self._nice = nice
        self._jobs = FairQueue(max_queue)
        self._wake = threading.Condition()
        self._closed = False
        self.memory = VerdictMemory()
        self._counted_s = 0.0
        # at first those of a short text
        self._done_s, self._done_cost = 0.005, 300.0
        self._thread = threading.Thread(target=self._work, name="classifiers", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """Jobs that wait; those that have begun are not among them."""
        return len(self._jobs)

    @property
    def wait_s(self) -> float:
        """The seconds that the jobs which wait will take, by what the latest took."""
        return self._jobs.cost * self._done_s / self._done_cost

    def swap(self, runtime: Runtime) -> None:
        """Uses another Runtime for new jobs that name none; those that wait or run end on the old one."""
        self.runtime = runtime

    async def classify(
        self,
        readings: Sequence[Reading],
        deadline_s: float | None = None,
        runtime: Runtime | None = None,
        client: str = "",
    ) -> list[Verdict]:
        """A verdict for each reading, in order, within `deadline_s` seconds from now.

        runtime: one that was in use earlier, for whoever is to end on what it has begun with. client: whose share of
        the thread's time this takes. Late verdicts give as reason `deadline`, `queue full` or `closed`, broken ones the
        name of an exception. Verdicts that are remembered take no job. All callers are on one event loop.
        """
        runtime = runtime or self.runtime
        keys = [self.memory.key(runtime, reading) for reading in readings]
        known = {place: verdict for place, key in enumerate(keys) if (verdict := self.memory.get(key)) is not None}
        if new := [place for place in range(len(readings)) if place not in known]:
            asked = await self._ask([readings[place] for place in new], deadline_s, runtime, client)
            for place, verdict in zip(new, asked, strict=True):
                known[place] = verdict
                self.memory.put(keys[place], verdict)
        return [known[place] for place in range(len(readings))]

    async def _ask(
        self, readings: Sequence[Reading], deadline_s: float | None, runtime: Runtime, client: str
    ) -> list[Verdict]:
        """The thread's verdicts, or late ones."""
        loop, now = asyncio.get_running_loop(), time.monotonic()
        kept_back = min(_LAST_WINDOW_S, (deadline_s or 0) / 4)
        deadline = None if deadline_s is None else now + deadline_s - kept_back
        cost = sum(_EACH_CHARS + sum(map(len, reading.texts)) for reading in readings)
        turn = log2(cost) + now / _HALVES_S
        job = _Job(runtime, readings, deadline, client, loop, loop.create_future(), cost, turn)
        with self._wake:
            given_up = job if self._closed else self._jobs.add(job)
            self._wake.notify()
        if given_up is job:
            return _failed(job, "closed" if self._closed else "queue full")
        if given_up is not None:
            _answer(given_up, _failed(given_up, "queue full"))
        try:
            async with asyncio.timeout(deadline_s):
                return await job.answer
        except TimeoutError:
            return _failed(job, "deadline")
        finally:
            # nobody waits for this job any more: make room for others
            job.abandoned = True
            with self._wake:
                self._jobs.drop(job)

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop after the jobs that have begun; those that wait get late verdicts. May be called twice."""
        with self._wake:
            self._closed = True
            waiting = self._jobs.clear()
            self._wake.notify()
        for job in waiting:
            _answer(job, _failed(job, "closed"))
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _take(self) -> _Job | None:
        with self._wake:
            while (job := self._jobs.next()) is None and not self._closed:
                self._wake.wait()
            self._counted_s = time.perf_counter()
            return job

    def _work(self) -> None:
        with suppress(OSError, AttributeError):  # not Linux, or not allowed: the priority stays as it is
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._nice)
        while (job := self._take()) is not None:
            self._serve(job)

    def _serve(self, job: _Job) -> None:
        _answer(job, self._run(job))
        self._charge(job)
        self._done_s = _OLDER * self._done_s + job.used_s
        self._done_cost = _OLDER * self._done_cost + job.cost

    def _between(self, job: _Job) -> None:
        """Between two windows of a job, those that are much shorter have their turn. Raises DeadlinePassed where nobody
        waits for the job any more."""
        if job.abandoned:
            raise DeadlinePassed
        if self._jobs:
            self._charge(job)
            with self._wake:
                shorter = self._jobs.next(job)
            if shorter is not None:
                self._serve(shorter)

    def _run(self, job: _Job) -> list[Verdict]:
        try:
            return job.runtime.classify(job.readings, job.deadline, partial(self._between, job))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must become a verdict
            _log.error("a classification failed: %s", type(error).__name__, exc_info=error)
            if len(job.readings) == 1:
                return _failed(job, type(error).__name__, broken)
        # one reading that cannot be had takes none of the others along
        return [verdict for reading in job.readings for verdict in self._run(replace(job, readings=[reading]))]

    def _charge(self, job: _Job) -> None:
        """Counts the time since it was last counted for the job that has run."""
        now = time.perf_counter()
        seconds, self._counted_s = now - self._counted_s, now
        job.used_s += seconds
        with self._wake:
            self._jobs.charge(job.client, seconds)


def _failed(job: _Job, reason: str, why: Callable[[str, str, str], Verdict] = late) -> list[Verdict]:
    versions = {name: classifier.version for name, classifier in job.runtime.classifiers.items()}
    return [why(name, reason, versions.get(name, "")) for name in (reading.classifier for reading in job.readings)]


def _answer(job: _Job, verdicts: list[Verdict]) -> None:
    def deliver() -> None:
        if not job.answer.done():
            job.answer.set_result(verdicts)

    with suppress(RuntimeError):  # the loop was closed in the meantime: nobody waits any more
        job.loop.call_soon_threadsafe(deliver)
