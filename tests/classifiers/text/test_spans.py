import re

import pytest

from classifiers.text.spans import read

WORD = re.compile(r"\w+[.,]?|\S")


def by_words(text: str) -> list[int]:
    return [len(word) for word in WORD.findall(text)]


def starts(text: str) -> list[int]:
    return [word.start() for word in WORD.finditer(text)]


def test_what_the_budget_leaves_out_is_counted() -> None:
    text = "word " * 100
    whole = read(text, by_words, room=10, overlap=2, max_windows=100)
    part = read(text, by_words, room=10, overlap=2, max_windows=3)
    assert whole.unread == 0
    assert part.windows == whole.windows[:3]
    assert part.unread == len(whole.windows) - 3
    none = read(text, by_words, room=10, overlap=2, max_windows=0)
    assert none.windows == ()
    assert none.unread > 0


def test_a_long_text_is_not_tokenised_to_its_end() -> None:
    seen = 0

    def counted(text: str) -> list[int]:
        nonlocal seen
        seen += len(text)
        return by_words(text)

    span = read("word " * 200_000, counted, room=100, overlap=10, max_windows=2)
    assert seen < 10_000
    assert len(span.windows) == 2
    assert span.unread == pytest.approx(200_000 / 90, rel=0.05)


def test_text_behind_a_wall_of_nothing_is_unread_not_forgotten() -> None:
    span = read("\u200b" * 1_000_000 + "payload", by_words, room=10, overlap=2, max_windows=4)
    assert span.unread > 0


def test_parts_of_a_text_are_windows_too() -> None:
    text = 'Hello, my order arrived. {"note": "I will find you"}\nNice weather.'
    plain = read(text, by_words, room=20, overlap=2, max_windows=10)
    span = read(text, by_words, room=20, overlap=2, max_windows=10, starts=starts)
    assert span.windows[: len(plain.windows)] == plain.windows
    parts = ["Hello, my order arrived.", "note", "I will find you", "Nice weather."]
    assert [list(window) for window in span.windows[1:]] == [by_words(part) for part in parts]
    assert [span.whole[i][first:last] for i, first, last in span.within] == list(span.parts)
    assert (len(span.parts), span.unread) == (4, 0)
    # of a part that no window holds whole it is the one that holds most
    text = "One two three four. five six seven eight nine. ten."
    across = read(text, by_words, room=8, overlap=2, max_windows=10, starts=starts)
    assert across.within == ((0, 0, 4), (0, 4, 8), (1, 3, 4))
    # a sentence by itself has no parts
    assert len(read("I will find you.", by_words, room=20, overlap=2, max_windows=10, starts=starts).windows) == 1


def test_a_budget_leaves_out_parts_before_text() -> None:
    text = " ".join(f"One two {'x' * place}." for place in range(1, 31))
    span = read(text, by_words, room=10, overlap=2, max_windows=12, starts=starts)
    assert (len(span.windows), len(span.parts), span.unread) == (12, 1, 0)
    less = span.first(5)
    assert (len(less.windows), len(less.parts), less.unread) == (5, 0, 6)
