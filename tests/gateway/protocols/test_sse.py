"""Any chunking of a stream gives the same events, whose bytes are the stream's."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols import sse

LINES = st.lists(
    st.binary(max_size=12).map(lambda text: b"data: " + text.replace(b"\n", b"").replace(b"\r", b"")),
    min_size=1,
    max_size=3,
)
NOISE = st.lists(st.sampled_from([b"\r", b"\n", b"a", b"data: ", "é".encode(), b"\xff"]), max_size=40).map(b"".join)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(bounds)]


def events_of(chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = sse.Splitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    return events, splitter.flush()


@given(st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n"])), max_size=6), st.lists(st.integers(0, 500)))
def test_well_formed_events_come_out_whole_however_the_stream_is_cut(
    parts: list[tuple[list[bytes], bytes]], places: list[int]
) -> None:
    written = [newline.join(lines) + newline * 2 for lines, newline in parts]
    assert events_of(cut(b"".join(written), places)) == (written, b"")


@given(NOISE, st.lists(st.integers(0, 500)))
def test_any_bytes_are_cut_alike_and_none_is_lost(stream: bytes, places: list[int]) -> None:
    whole, rest = events_of([stream])
    assert b"".join(whole) + rest == stream
    assert events_of(cut(stream, places)) == (whole, rest)
    assert events_of([stream[at : at + 1] for at in range(len(stream))]) == (whole, rest)


@given(
    st.lists(st.tuples(LINES, st.sampled_from([b"\n\r\n", b"\r\n\n", b"\n\n", b"\r\n\r\n", b"\r\r"])), max_size=6),
    st.lists(st.integers(0, 500)),
)
def test_lines_may_end_in_different_ways(parts: list[tuple[list[bytes], bytes]], places: list[int]) -> None:
    written = [b"\n".join(lines) + ends for lines, ends in parts]
    events, rest = events_of(cut(b"".join(written), places))
    # after a CR a LF may still come that belongs to it
    assert [*events, rest] == (written if rest else [*written, b""])
    assert not rest or rest.endswith(b"\r\r")


def test_an_event_over_the_bound_is_refused() -> None:
    splitter = sse.Splitter(max_event_bytes=100)
    assert list(splitter.feed(b"data: " + b"x" * 90)) == []
    with pytest.raises(ValueError, match="over 100 bytes"):
        list(splitter.feed(b"x" * 90))


@pytest.mark.parametrize(
    ("block", "data"),
    [
        (b"data: {}\n\n", b"{}"),
        (b"data:{}\n\n", b"{}"),
        (b"data: {}\r\n\r\n", b"{}"),
        (b"event: x\ndata: {}\n\n", b"{}"),
        (b"data: one\ndata: two\n\n", b"one\ntwo"),
        (b"data:  two spaces\n\n", b" two spaces"),
        (b"event: x\rdata: {}\r\r", b"{}"),
        (b": keep-alive\n\n", None),
        (b"", None),
    ],
)
def test_data_of_an_event(block: bytes, data: bytes | None) -> None:
    assert sse.data_of(block) == data


@given(st.binary(max_size=50).filter(lambda data: b"\n" not in data and b"\r" not in data))
def test_an_event_holds_its_data(data: bytes) -> None:
    assert sse.data_of(sse.event(data)) == data
