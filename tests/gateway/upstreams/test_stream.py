"""A stream passes as it came; usage is noted, and kept from a client that did not ask for it."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.answers.parse import Completion
from gateway.context import Reply, RequestContext, new_context
from gateway.errors import UpstreamFailed, UpstreamTimeout
from gateway.protocols import sse
from gateway.protocols.chat_answers import CHAT
from gateway.record import Record
from gateway.upstreams import stream as held
from gateway.upstreams.base import Answer
from gateway.upstreams.stream import hold, kept_alive, note_answer, relay


def chunk(**fields: Any) -> bytes:
    return sse.event(json.dumps({"id": "c", "model": "m-2026", **fields}).encode())


def says(text: str, index: int = 0) -> bytes:
    return chunk(choices=[{"index": index, "delta": {"content": text}}])


ROLE = chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}])
USAGE = chunk(
    choices=[], usage={"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}
)
FINISHED = chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
STREAM = [ROLE, says("Hé"), says("llo"), USAGE, sse.DONE]


reader = CHAT.answers.stream


def fresh() -> RequestContext:
    return new_context("req_1", "chat.completions", "anonymous")


async def stream(chunks: list[bytes], error: Exception | None = None) -> AsyncIterator[bytes]:
    for one in chunks:
        yield one
    if error is not None:
        raise error


def answer(chunks: list[bytes] | AsyncIterator[bytes], error: Exception | None = None) -> Answer:
    source = stream(chunks, error) if isinstance(chunks, list) else chunks
    return Answer(status=200, headers=[], chunks=source)


async def relayed(
    chunks: list[bytes], context: RequestContext | None = None, *, strip: bool = True, error: Exception | None = None
) -> bytes:
    return b"".join(
        [part async for part in relay(context or fresh(), answer(chunks, error), reader(), strip_usage=strip)]
    )


async def test_usage_is_noted_and_stripped_where_only_the_gateway_asked() -> None:
    context = fresh()
    assert await relayed(STREAM, context) == b"".join([ROLE, says("Hé"), says("llo"), sse.DONE])
    record = context.record
    assert (record.input_tokens, record.cached_input_tokens, record.output_tokens) == (9, 5, 4)
    assert (record.usage_source, record.answered_model) == ("reported", "m-2026")
    assert record.first_token_s is not None
    assert record.provider_s is not None
    assert record.first_token_s <= record.provider_s


@given(st.lists(st.integers(0, 600), max_size=8), st.booleans(), st.booleans())
async def test_any_cutting_gives_the_same_bytes_and_notes(places: list[int], strip: bool, carriage: bool) -> None:
    whole = b"".join(STREAM)
    whole = whole.replace(b"\n", b"\r\n") if carriage else whole
    bounds = [0, *sorted(place % len(whole) for place in places), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(bounds)]
    context, once = fresh(), fresh()
    assert await relayed(pieces, context, strip=strip) == await relayed([whole], once, strip=strip)
    assert (context.record.input_tokens, context.record.usage_source) == (9, "reported")
    assert await relayed(pieces, strip=False) == whole


async def test_odd_events_pass_untouched() -> None:
    odd = [
        b": comment\n\n",
        b"event: x\ndata: 1\n\n",
        b"data: {broken\n\n",
        b"id: 7\r\nretry: 5\r\ndata: {}\r\n\r\n",
        chunk(choices=[], prompt_filter_results=[{"a": 1}]),
        chunk(choices=[{"delta": {"content": '"usage" is a word'}}]),
        chunk(choices=[], usage=None),
    ]
    context = fresh()
    assert await relayed([*odd, sse.DONE], context) == b"".join(odd) + sse.DONE
    assert context.record.usage_source == "missing"


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
async def test_a_last_event_without_its_empty_line_is_read_like_any_other(end: bytes) -> None:
    context = fresh()
    assert await relayed([FINISHED, USAGE.rstrip() + end], context) == FINISHED
    assert context.record.input_tokens == 9
    assert await relayed([says("a"), b"data: [DONE]" + end]) == says("a") + b"data: [DONE]" + end


@pytest.mark.parametrize("error", [UpstreamFailed("broke off"), UpstreamTimeout("fell silent")])
async def test_a_stream_broken_off_ends_in_an_error_event(error: UpstreamFailed) -> None:
    context = fresh()
    out = await relayed([says("a"), b'data: {"half'], context, error=error)
    assert out.startswith(says("a"))
    (event,) = sse.Splitter().feed(out.removeprefix(says("a")))
    assert set(json.loads(event[6:])["error"]) == {"message", "type", "param", "code"}
    assert b"[DONE]" not in out
    assert b"half" not in out
    assert context.record.error == error.code
    assert context.record.usage_source == "missing"


@pytest.mark.parametrize("end", [[], [USAGE], [b'data: {"half'], [b": ping\n\n"]])
async def test_a_stream_that_ends_before_its_answer_does_is_broken_off(end: list[bytes]) -> None:
    context = fresh()
    out = await relayed([ROLE, says("a"), says("b"), *end], context)
    *_, event = sse.Splitter().feed(out)
    assert json.loads(event[6:])["error"]["code"] == "upstream_failed"
    assert context.record.error == "upstream_failed"


@pytest.mark.parametrize("end", [[sse.DONE], [FINISHED], [FINISHED, USAGE], [FINISHED, USAGE, b": ping\n\n", sse.DONE]])
async def test_a_stream_is_whole_where_it_says_so(end: list[bytes]) -> None:
    context = fresh()
    assert b"error" not in await relayed([ROLE, says("a"), *end], context)
    assert context.record.error == ""


FAILURE = chunk(error={"message": "EngineDeadError", "type": "InternalServerError", "code": 500})


@pytest.mark.parametrize("end", [[sse.DONE], [FINISHED, USAGE, sse.DONE], []])
@pytest.mark.parametrize(
    "event",
    [
        FAILURE,
        b'event: error\ndata: {"error": "out of memory"}\n\n',
        chunk(choices=[{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}], error={"code": 502}),
    ],
)
async def test_an_error_that_the_upstream_tells_is_its_failure_and_passes_as_it_came(
    event: bytes, end: list[bytes]
) -> None:
    context = fresh()
    assert await relayed([ROLE, says("a"), event, *end], context, strip=False) == b"".join(
        [ROLE, says("a"), event, *end]
    )
    assert context.record.error == "upstream_failed"
    assert context.record.usage_source == ("reported" if USAGE in end else "missing")


@pytest.mark.parametrize(
    "event",
    [
        says('{"error": {"message": "no such file"}}'),
        chunk(choices=[{"index": 0, "delta": {"content": "a"}}], error=None),
        chunk(choices=[{"index": 0, "delta": {"content": "a", "error": {"message": "within"}}}]),
        chunk(choices=[], error={}),
        chunk(choices=[], error=[]),
        b'data: {"error": {\n\n',
        b'data: ["error"]\n\n',
    ],
)
async def test_what_is_only_called_error_is_none(event: bytes) -> None:
    context = fresh()
    assert await relayed([ROLE, event, FINISHED, sse.DONE], context) == b"".join([ROLE, event, FINISHED, sse.DONE])
    assert context.record.error == ""


async def test_a_character_cut_in_two_passes_as_it_came() -> None:
    broken = [says("h@").replace(b"@", half) for half in (b"\xc3", b"\xa9")]
    failure = b'data: {"error": "\xff"}\n\n'
    context = fresh()
    assert await relayed([*broken, FINISHED, sse.DONE], context) == b"".join([*broken, FINISHED, sse.DONE])
    assert (context.record.error, context.record.first_token_s is not None) == ("", True)
    assert await relayed([failure, FINISHED, sse.DONE], context) == b"".join([failure, FINISHED, sse.DONE])
    assert context.record.error == "upstream_failed"


async def test_a_stream_that_is_held_back_is_bounded() -> None:
    context = fresh()
    out = [
        part
        async for part in relay(
            context, answer([says("a")] * 100), CHAT.answers.stream(), strip_usage=True, max_bytes=500
        )
    ]
    assert json.loads(out[-1][6:])["error"]["code"] == "upstream_failed"
    assert sum(map(len, out[:-1])) <= 500
    assert context.record.error == "upstream_failed"
    assert [
        part
        async for part in relay(
            fresh(), answer([says("a")] * 100 + [sse.DONE]), CHAT.answers.stream(), strip_usage=True
        )
    ][:-1] == [says("a")] * 100


@pytest.mark.parametrize(
    ("usage", "noted"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 1}, (3, 0, 1, "reported")),
        (
            {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}},
            (3, 3, 1, "reported"),
        ),
        ({"prompt_tokens": -3, "completion_tokens": 1}, (0, 0, 0, "missing")),
        (
            {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": -9}},
            (0, 0, 0, "missing"),
        ),
        ({"prompt_tokens": 10**30, "completion_tokens": 1}, (0, 0, 0, "missing")),
        (None, (0, 0, 0, "missing")),
        ([], (0, 0, 0, "missing")),
    ],
)
async def test_only_counts_that_can_be_are_noted(usage: Any, noted: tuple[int, int, int, str]) -> None:
    def seen(record: Record) -> tuple[int, int, int, str]:
        return record.input_tokens, record.cached_input_tokens, record.output_tokens, record.usage_source

    record = fresh().record
    note_answer(
        record, Completion(json.dumps({"model": "m", "usage": usage, "choices": []}).encode(), CHAT, stream=False)
    )
    assert seen(record) == noted
    context = fresh()
    await relayed([chunk(choices=[], usage=usage), sse.DONE], context)
    assert seen(context.record) == noted


async def source(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def passes(completion: Completion) -> Reply | None:
    return None


async def test_comments_keep_the_connection_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_HEARTBEAT_S", 0.01)
    gate = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        await gate.wait()
        yield b"x"

    out = []
    async for chunk in kept_alive(hold(slow(), CHAT, passes), CHAT.heartbeat):
        out.append(chunk)
        gate.set()
    assert out[0] == b": keep-alive\n\n"
    assert out[-1] == b"x"


async def test_leaving_ends_the_upstreams_stream_before_anything_else() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            ended.set()

    task = asyncio.ensure_future(anext(kept_alive(hold(endless(), CHAT, passes), CHAT.heartbeat)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
