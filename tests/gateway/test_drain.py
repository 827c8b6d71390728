"""What a stop waits for, and what it does not wait for."""

import asyncio

import pytest

from gateway.drain import UnderWay


async def test_requests_that_do_not_end_are_cancelled_and_what_they_began_is_finished() -> None:
    under_way, told, done = UnderWay(), asyncio.Event(), []

    async def pair() -> None:
        await told.wait()
        done.append("pair")

    async def answer() -> None:
        with under_way.request():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await under_way.finish(pair())
            finally:
                done.append("record")

    request = asyncio.ensure_future(answer())
    await asyncio.sleep(0)
    request.cancel()
    asyncio.get_running_loop().call_later(0.1, told.set)
    ended = asyncio.ensure_future(under_way.ended(0.05))
    await asyncio.wait({request})
    assert done == ["record"]
    told.set()
    await ended
    assert done == ["record", "pair"]


async def test_what_never_ends_is_left_and_told(caplog: pytest.LogCaptureFixture) -> None:
    under_way = UnderWay()
    begun = asyncio.ensure_future(under_way.finish(asyncio.sleep(60)))
    await asyncio.sleep(0)
    await under_way.ended(0.01)
    assert "did not end by the stop" in caplog.text
    begun.cancel()


async def test_where_nothing_is_under_way_nothing_is_waited_for() -> None:
    await asyncio.wait_for(UnderWay().ended(60), 30)
