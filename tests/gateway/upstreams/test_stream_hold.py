import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.answers.parse import Completion
from gateway.context import Reply
from gateway.errors import Blocked
from gateway.rules.act import broken_off
from gateway.upstreams import stream as held
from gateway.upstreams.stream import hold


async def source(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def passes(completion: Completion) -> Reply | None:
    return None


async def blocks(completion: Completion) -> Reply | None:
    return broken_off(Blocked("no"))


async def test_nothing_comes_before_all_was_checked() -> None:
    seen: list[bytes] = []

    async def check(completion: Completion) -> Reply | None:
        seen.append(completion.body)
        return None

    assert [chunk async for chunk in hold(source(b"a", b"b"), check)] == [b"ab"]
    assert seen == [b"ab"]


async def test_a_block_stands_instead_and_nothing_of_the_answer_comes() -> None:
    out = b"".join([chunk async for chunk in hold(source(b"secret"), blocks)])
    assert b"content_filter" in out
    assert b"secret" not in out


async def test_comments_keep_the_connection_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_HEARTBEAT_S", 0.01)
    gate = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        await gate.wait()
        yield b"x"

    out = []
    async for chunk in hold(slow(), passes):
        out.append(chunk)
        gate.set()
    assert out[0] == b": keep-alive\n\n"
    assert out[-1] == b"x"


async def test_a_failure_in_the_check_comes_out() -> None:
    async def check(completion: Completion) -> Reply | None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await anext(hold(source(b"x"), check))


async def test_leaving_ends_the_upstreams_stream_before_anything_else() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            ended.set()

    task = asyncio.ensure_future(anext(hold(endless(), passes)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
