"""Upside-down writing: turned letters, read from the end of the line. Pure."""

_LETTERS = "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz"
_UPRIGHT = str.maketrans(
    {
        **dict(zip(_LETTERS, "abcdefghijklmnopqrstuvwxyz", strict=True)),
        "¿": "?",
        "¡": "!",
        "ı": "i",
        "˙": ".",
        ",": "'",
        "'": ",",
    }
)
_ONLY_TURNED = frozenset("ɐɔǝɟƃɥᴉɾʞɯɹʇʌʍʎ")
"""Letters that hardly stand anywhere but in upside-down writing."""


def read(text: str) -> str:
    """The text with its upside-down lines read upright, behind what stands upright in them already."""
    if len(_ONLY_TURNED.intersection(text)) < 2:
        return text
    return "\n".join(map(_read_line, text.split("\n")))


def _read_line(line: str) -> str:
    turned = sum(char in _ONLY_TURNED for char in line)
    if turned < 2 or turned * 4 <= sum(char.isalpha() for char in line):
        return line
    from classifiers.text.lexicon import unturned

    upright = " ".join(word for word in line.split() if _ONLY_TURNED.isdisjoint(word))
    return f"{unturned(upright, _turn, 1)} {_turn(line)}"


def _turn(text: str) -> str:
    return text.lower().translate(_UPRIGHT)[::-1]
