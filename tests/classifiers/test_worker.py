import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from math import log2
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from classifiers.runtime.runtime import Runtime
from classifiers.verdict import Abstention, Reading, Verdict
from classifiers.worker import _HALVES_S, FairQueue, Worker, _Job

READINGS = [Reading(classifier="bank", texts=("hi",)), Reading(classifier="safe", texts=("hi",))]


class Slow(Runtime):
    """A Runtime whose answers take as long as a test wants; `gate` holds them back until it is set. A window has a
    thousand characters; `read` has the first letter of each text in the order in which they were done with."""

    def __init__(self, label: str = "a", seconds: float = 0.0, error: Exception | None = None) -> None:
        self.classifiers = {}
        self.label, self.seconds, self.error = label, seconds, error
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0
        self.deadlines: list[float | None] = []
        self.read: list[str] = []

    def classify(
        self, readings: Sequence[Reading], deadline: float | None = None, between: Callable[[], None] = lambda: None
    ) -> list[Verdict]:
        self.calls += 1
        self.deadlines.append(deadline)
        self.gate.wait(10)
        for text in (text for reading in readings for text in reading.texts):
            for _ in range(len(text) // 1000):
                time.sleep(0.001)
                between()
            self.read.append(text[:1])
        time.sleep(self.seconds)
        if self.error:
            raise self.error
        return [
            Verdict(classifier=reading.classifier, version="v", labels=(self.label,), scores={}) for reading in readings
        ]


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def worker(slow: Slow) -> Iterator[Worker]:
    worker = Worker(slow, max_queue=2)
    yield worker
    slow.gate.set()
    worker.close()


def reasons(verdicts: list[Verdict], kind: Abstention = Abstention.LATE) -> list[str]:
    assert all(verdict.abstention is kind for verdict in verdicts)
    return [verdict.reason for verdict in verdicts]


async def until_running(slow: Slow) -> None:
    while slow.calls == 0:  # noqa: ASYNC110 - another thread counts
        await asyncio.sleep(0.001)


async def test_verdicts_come_back(worker: Worker) -> None:
    found = await worker.classify(READINGS, 5)
    assert [(verdict.classifier, verdict.labels) for verdict in found] == [("bank", ("a",)), ("safe", ("a",))]
    assert await worker.classify([], None) == []


async def test_the_loop_runs_on_meanwhile(slow: Slow, worker: Worker) -> None:
    slow.gate.clear()
    task = asyncio.create_task(worker.classify(READINGS, 5))
    await asyncio.sleep(0.05)
    assert not task.done()
    slow.gate.set()
    assert [verdict.labels for verdict in await task] == [("a",), ("a",)]


async def test_a_deadline_is_a_verdict(slow: Slow, worker: Worker) -> None:
    slow.gate.clear()
    started = time.monotonic()
    assert reasons(await worker.classify(READINGS, 0.05)) == ["deadline", "deadline"]
    assert time.monotonic() - started < 2
    assert slow.deadlines[0] is not None
    assert slow.deadlines[0] < started + 0.06


async def test_a_full_queue_is_a_verdict(slow: Slow, worker: Worker) -> None:
    slow.gate.clear()
    running = asyncio.create_task(worker.classify(READINGS, 5))
    await until_running(slow)
    waiting = [asyncio.create_task(worker.classify(READINGS, 5)) for _ in range(2)]
    await asyncio.sleep(0)
    assert worker.queued == 2
    assert reasons(await worker.classify(READINGS, 5)) == ["queue full", "queue full"]
    slow.gate.set()
    done = await asyncio.gather(running, *waiting)
    assert all(verdict.labels == ("a",) for verdicts in done for verdict in verdicts)
    assert worker.queued == 0


def text_of(letter: str, chars: int) -> list[Reading]:
    return [Reading(classifier="safe", texts=(letter * chars,))]


async def order_of(slow: Slow, worker: Worker, *jobs: tuple[str, int, str]) -> str:
    """The letters of texts in the order in which they are done with. jobs: letter, characters and client; the first one
    has begun when the others come."""
    slow.gate.clear()
    tasks = []
    for letter, chars, client in jobs:
        tasks.append(asyncio.create_task(worker.classify(text_of(letter, chars), 10, None, client)))
        await until_running(slow)
    await asyncio.sleep(0)
    slow.gate.set()
    await asyncio.gather(*tasks)
    return "".join(slow.read)


@pytest.mark.parametrize(
    ("jobs", "order"),
    [
        # the shortest first, whoever asks, and between two windows of a text that is much longer
        ([("a", 500, "x"), ("b", 3000, "x"), ("c", 100, "x")], "acb"),
        ([("a", 30_000, "x"), ("b", 100, "x"), ("c", 100, "y")], "cba"),
        ([("a", 30_000, "x"), ("b", 4000, "y"), ("c", 100, "y")], "cba"),
        ([("a", 3000, "x"), ("b", 2000, "y")], "ab"),
        # a client that has had more of the thread's time waits for those that have had less
        ([("a", 30_000, "x"), ("b", 100, "x"), ("c", 8000, "y")], "bac"),
        ([("a", 3000, "x"), ("b", 900, "x"), ("c", 2000, "y")], "acb"),
    ],
)
async def test_short_texts_come_first_and_clients_have_equal_shares(
    slow: Slow, jobs: list[tuple[str, int, str]], order: str
) -> None:
    with closing(Worker(slow)) as worker:
        assert await order_of(slow, worker, *jobs) == order
        assert worker.queued == 0
        assert worker.wait_s == 0


async def test_a_full_queue_gives_up_what_the_heaviest_client_wants(slow: Slow, worker: Worker) -> None:
    slow.gate.clear()
    running = asyncio.create_task(worker.classify(READINGS, 5))
    await until_running(slow)
    heavy = [asyncio.create_task(worker.classify(text_of("h", size), 5, None, "heavy")) for size in (10, 500)]
    await asyncio.sleep(0)
    light = asyncio.create_task(worker.classify(text_of("l", 10), 5, None, "light"))
    assert reasons(await heavy[1]) == ["queue full"]
    slow.gate.set()
    done = await asyncio.gather(running, heavy[0], light)
    assert all(verdict.labels == ("a",) for verdicts in done for verdict in verdicts)


def job(client: str, chars: int, *, waited_s: float = 0.0) -> _Job:
    """A job of a queue; the loop and its answer are never asked for."""
    nothing: Any = None
    return _Job(nothing, [], None, client, nothing, nothing, chars, log2(chars) - waited_s / _HALVES_S)


def test_a_long_text_has_its_turn_and_its_place_in_time() -> None:
    queue = FairQueue(2)
    old, fresh, new = job("x", 30_000, waited_s=2), job("x", 300), job("x", 200)
    assert [queue.add(each) for each in (fresh, old, new)] == [None, None, fresh]
    assert [queue.next(), queue.next()] == [old, new]
    # alone, a text of any length is taken
    assert queue.add(job("x", 9_000_000)) is None
    assert queue.add(new) is not None


def test_clients_that_came_once_are_forgotten() -> None:
    queue = FairQueue(256)
    for number in range(5000):
        queue.add(job(str(number), 100))
        queue.next()
        queue.charge(str(number), 0.01)
    assert len(queue._used_s) == 1024


async def test_a_verdict_that_is_remembered_takes_no_job(slow: Slow, worker: Worker) -> None:
    slow.classifiers = {"safe": SimpleNamespace(version="v")}  # type: ignore[dict-item]
    first = await worker.classify(READINGS, 5)
    assert (await worker.classify(READINGS[1:], 5), slow.calls) == (first[1:], 1)
    # of several, only what is not known is asked
    assert (await worker.classify(READINGS, 5), slow.calls, slow.read) == (first, 2, ["h", "h", "h"])
    slow.classifiers = {"safe": SimpleNamespace(version="w")}  # type: ignore[dict-item]
    await worker.classify(READINGS[1:], 5)
    assert slow.calls == 3


async def test_the_wait_goes_by_what_the_latest_jobs_took(slow: Slow, worker: Worker) -> None:
    slow.seconds = 0.02
    for _ in range(20):
        await worker.classify(text_of("t", 100), 5)
    slow.calls = 0
    slow.gate.clear()
    running = asyncio.create_task(worker.classify(text_of("t", 100), 5))
    await until_running(slow)
    waiting = [asyncio.create_task(worker.classify(text_of("t", 100), 5)) for _ in range(2)]
    await asyncio.sleep(0)
    assert worker.wait_s > 0.03
    slow.gate.set()
    await asyncio.gather(running, *waiting)
    assert worker.wait_s == 0


async def test_a_job_that_nobody_waits_for_ends_at_its_next_window(slow: Slow, worker: Worker) -> None:
    gone = asyncio.create_task(worker.classify(text_of("g", 5_000_000), 10))
    await until_running(slow)
    gone.cancel()
    assert [verdict.labels for verdict in await worker.classify(text_of("n", 4_000_000), 0.01)] == [()]
    assert [verdict.labels for verdict in await worker.classify(READINGS, 5)] == [("a",), ("a",)]
    assert "g" not in slow.read


async def test_an_abandoned_job_is_not_run_and_makes_room(slow: Slow, worker: Worker) -> None:
    slow.gate.clear()
    running = asyncio.create_task(worker.classify(READINGS, 5))
    await until_running(slow)
    gone = asyncio.create_task(worker.classify(READINGS, 5))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert reasons(await worker.classify(READINGS, 0.01)) == ["deadline", "deadline"]
    assert worker.queued == 0
    slow.gate.set()
    await running
    assert slow.calls == 1


async def test_an_exception_is_a_verdict_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(Slow(error=ZeroDivisionError("no")))
    with caplog.at_level(logging.ERROR):
        found = await worker.classify(READINGS, 5)
    assert reasons(found, Abstention.BROKEN) == ["ZeroDivisionError", "ZeroDivisionError"]
    assert "ZeroDivisionError" in caplog.text
    worker.swap(Slow("b"))
    assert (await worker.classify(READINGS, 5))[0].labels == ("b",)
    worker.close()


class _Fails(Slow):
    """Cannot read for `bank`."""

    def classify(self, readings: Sequence[Reading], *more: Any) -> list[Verdict]:
        if any(reading.classifier == "bank" for reading in readings):
            raise OverflowError
        return super().classify(readings, *more)


async def test_an_error_of_one_classifier_breaks_no_other() -> None:
    with closing(Worker(_Fails())) as worker:
        bank, safe = await worker.classify(READINGS, 5)
    assert reasons([bank], Abstention.BROKEN) == ["OverflowError"]
    assert safe.labels == ("a",)


async def test_a_job_ends_on_the_runtime_that_it_began_with(slow: Slow, worker: Worker) -> None:
    slow.gate.clear()
    running = asyncio.create_task(worker.classify(READINGS, 5))
    await until_running(slow)
    waiting = asyncio.create_task(worker.classify(READINGS, 5))
    await asyncio.sleep(0)
    other = Slow("b")
    worker.swap(other)
    assert worker.runtime is other
    slow.gate.set()
    assert (await running)[0].labels == ("a",)
    assert (await waiting)[0].labels == ("a",)
    assert (await worker.classify(READINGS, 5))[0].labels == ("b",)
    assert (await worker.classify(READINGS, 5, slow))[0].labels == ("a",)


async def test_close_answers_those_who_wait(slow: Slow, worker: Worker) -> None:
    slow.gate.clear()
    running = asyncio.create_task(worker.classify(READINGS, 5))
    await until_running(slow)
    waiting = asyncio.create_task(worker.classify(READINGS, 5))
    await asyncio.sleep(0)
    closing = asyncio.get_running_loop().run_in_executor(None, worker.close)
    assert reasons(await waiting) == ["closed", "closed"]
    slow.gate.set()
    assert (await running)[0].labels == ("a",)
    await closing
    assert not worker._thread.is_alive()
    assert reasons(await worker.classify(READINGS, 5)) == ["closed", "closed"]
    worker.close()


def test_a_loop_that_has_gone_does_no_harm(slow: Slow, worker: Worker) -> None:
    slow.gate.clear()

    async def leave() -> None:
        task = asyncio.create_task(worker.classify(READINGS, None))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(leave())
    slow.gate.set()
    assert asyncio.run(worker.classify(READINGS, 5))[0].labels == ("a",)


def test_works_on_uvloop(worker: Worker) -> None:
    async def many() -> list[list[Verdict]]:
        return [await worker.classify(READINGS, 5) for _ in range(50)]

    assert len(uvloop.run(many())) == 50
