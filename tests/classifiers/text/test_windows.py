import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.text.windows import cut, pieces


@given(st.lists(st.integers(0, 30_000), max_size=400), st.integers(1, 40), st.integers(0, 39))
def test_windows_cover_the_text_with_the_overlap_asked_for(ids: list[int], room: int, overlap: int) -> None:
    if overlap >= room:
        with pytest.raises(ValueError, match="cannot share"):
            cut(ids, room, overlap)
        return
    windows = cut(ids, room, overlap)
    assert all(1 <= len(window) <= room for window in windows)
    joined = list(windows[0]) if windows else []
    for window in windows[1:]:
        assert joined[-overlap:] == list(window[:overlap]) if overlap else True
        joined += window[overlap:]
    assert joined == ids


@given(st.binary(min_size=50, max_size=200), st.binary(max_size=200))
def test_a_growing_text_keeps_its_full_windows(ids: bytes, more: bytes) -> None:
    before = [window for window in cut(list(ids), 20, 4) if len(window) == 20]
    assert cut(list(ids + more), 20, 4)[: len(before)] == before


@given(st.text(st.sampled_from("ab \n"), max_size=300), st.integers(1, 50))
def test_pieces_join_to_the_text(text: str, size: int) -> None:
    found = list(pieces(text, size))
    assert "".join(piece for _, piece in found) == text
    assert all(len(piece) <= size for _, piece in found)
    assert [end for end, _ in found] == [sum(len(p) for _, p in found[: n + 1]) for n in range(len(found))]
