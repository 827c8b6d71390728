"""Words in windows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from classifiers.encoder.tokens import Words
from classifiers.slots.tags import judged, word_windows


@given(st.lists(st.integers(1, 4), max_size=80), st.integers(4, 20), st.integers(0, 3))
def test_every_word_is_judged_once_by_a_window_that_holds_its_first_token(
    lengths: list[int], room: int, overlap: int
) -> None:
    firsts = tuple(np.cumsum([0, *lengths])[:-1].tolist()) if lengths else ()
    words = Words(ids=tuple(range(sum(lengths))), firsts=firsts, places=((0, 1),) * len(firsts))
    found = list(word_windows(words, room=room, overlap=overlap, most=1000))
    assert (
        np.concatenate([piece.words for piece in found]).tolist() == list(range(len(firsts))) if found else not firsts
    )
    assert judged(found) == len(firsts)
    for piece in found:
        assert [piece.window[row] for row in piece.rows] == [firsts[word] for word in piece.words]


def test_a_text_is_read_as_far_as_its_windows_go() -> None:
    words = Words(ids=tuple(range(30)), firsts=tuple(range(30)), places=((0, 1),) * 30)
    assert judged(list(word_windows(words, room=10, overlap=2, most=2))) == 17
    assert judged(list(word_windows(words, room=10, overlap=2, most=0))) == 0
