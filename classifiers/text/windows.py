"""Cut text for an encoder that reads a limited number of tokens at a time."""

import re
from array import array
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

Window: TypeAlias = "array[int]"
"""A window's token ids, without special tokens."""

PIECE_CHARS = 4096

_BETWEEN: Final = re.compile(r"(?<=[.?!:;])\s+|\n+|[\"“”`]+|(?<=\s)[-–]+(?=\s)|</?\w+>|[{}\[\]()]|#{2,}")
_LETTERS: Final = re.compile(r"\w")
_FEWEST_LETTERS: Final = 3


def units(text: str) -> list[str]:
    """The parts of which a text is put together: sentences, lines, quoted and bracketed parts, values of JSON and
    HTML."""
    return [text[start:end].strip() for start, end in places(text)]


def places(text: str) -> list[tuple[int, int]]:
    """Where these parts begin and end (exclusive), blanks around them included."""
    between = [found.span() for found in _BETWEEN.finditer(text)]
    each = zip([0, *(end for _, end in between)], [*(start for start, _ in between), len(text)], strict=True)
    return [(start, end) for start, end in each if len(_LETTERS.findall(text, start, end)) >= _FEWEST_LETTERS]


def cut(ids: Sequence[int], room: int, overlap: int) -> list[Window]:
    """ids: a text's token ids → windows of at most `room` ids; neighbours share `overlap`.

    Windows start at multiples of room - overlap, so that those of a text's beginning stay the same while it
    grows. A text without tokens gives no window. Raises ValueError unless 0 <= overlap < room.
    """
    if not 0 <= overlap < room:
        raise ValueError(f"windows of {room} tokens cannot share {overlap}")
    tokens = array("i", ids)
    stride = room - overlap
    starts = range(0, max(len(tokens) - overlap, min(len(tokens), 1)), stride)
    return [tokens[start : start + room] for start in starts]


def pieces(text: str, size: int = PIECE_CHARS) -> Iterator[tuple[int, str]]:
    """(end, piece): the text in pieces of at most `size` characters, parted after white space where it can.

    `end` is the position in the text after the piece. Joined, the pieces are the text.
    """
    start = 0
    while start < len(text):
        end = min(start + size, len(text))
        if end < len(text):
            space = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
            end = space + 1 if space > start else end
        yield end, text[start:end]
        start = end
