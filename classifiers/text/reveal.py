"""What a message says that is written in an encoding which a language model reads as well. Pure."""

from classifiers.text import codes, shifted

DEPTH = 2
"""Codes in codes that are followed."""


def reveal(text: str) -> tuple[str, ...]:
    """What is to be read in place of a text as it was sent: mostly that text alone.

    What is decoded stands where its code stood, since the code itself is noise to an encoder, and is a text of its
    own as well, so that nothing around it waters it down. Takes time in proportion to the text; what it returns is at
    most four times as long.
    """
    hidden: list[str] = []
    for _ in range(DEPTH):
        text, found = codes.decode(text)
        if not found:
            break
        hidden = found
    alone = "\n".join(hidden)
    return (*shifted.restore(text), *((alone,) if alone and alone.strip() != text.strip() else ()))
