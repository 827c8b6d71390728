"""What a stop waits for, and what it does not wait for."""

import asyncio

import pytest

from gateway.drain import InFlight


async def test_requests_that_do_not_end_are_cancelled_and_what_they_began_is_finished() -> None:
    in_flight, told, done = InFlight(), asyncio.Event(), []

    async def pair() -> None:
        await told.wait()
        done.append("pair")

    async def answer() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await in_flight.finish(pair())
        finally:
            done.append("record")

    request = asyncio.ensure_future(answer())
    in_flight.requests.add(request)
    await asyncio.sleep(0)
    request.cancel()
    asyncio.get_running_loop().call_later(0.1, told.set)
    ended = asyncio.ensure_future(in_flight.drain(0.05))
    await asyncio.wait({request})
    assert done == ["record"]
    told.set()
    await ended
    assert done == ["record", "pair"]


async def test_what_never_ends_is_left_and_told(caplog: pytest.LogCaptureFixture) -> None:
    in_flight = InFlight()
    begun = asyncio.ensure_future(in_flight.finish(asyncio.sleep(60)))
    await asyncio.sleep(0)
    await in_flight.drain(0.01)
    assert "did not end by the stop" in caplog.text
    begun.cancel()
