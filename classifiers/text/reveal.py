"""What a message says that is written in an encoding which a language model reads as well. Pure."""

from classifiers.text import codes, shifted
from classifiers.text.normalise import as_stored

DEPTH = 2
"""Codes in codes that are followed."""


def reveal(text: str) -> tuple[str, ...]:
    """What is to be read in place of a text as it was sent: mostly that text alone.

    What is decoded stands where its code stood, since the code itself is noise to an encoder, and is a text of its
    own as well, so that nothing around it waters it down. Where characters delete or turn others, the text is read as
    it is stored, too. Takes time in proportion to the text; what it returns is at most five times as long.
    """
    text, hidden = codes.decode(text)
    for _ in range(DEPTH - 1 if hidden else 0):
        text, hidden = codes.decode(text)[0], [codes.decode(one)[0] for one in hidden]
    alone, stored = "\n".join(hidden), as_stored(text)
    return (
        *((text,) if stored != text else ()),
        *shifted.restore(stored),
        *((alone,) if alone and alone.strip() != text.strip() else ()),
    )
