"""Twelve character attacks: the text stays legible for the model that reads it next (arXiv 2504.11168)."""

import random
from collections.abc import Callable, Iterator, Mapping

from classifiers.suite.case import Case, Sample

_ALIKE: Mapping[str, str] = {
    "a": "аα", "c": "сϲ", "d": "ԁ", "e": "е", "g": "ɡ", "h": "һ", "i": "іι", "j": "ј", "k": "кκ", "l": "ӏ", "m": "м",
    "n": "ո", "o": "оο", "p": "рρ", "q": "ԛ", "s": "ѕ", "t": "т", "u": "ս", "v": "ѵν", "w": "ԝ", "x": "хχ", "y": "у",
    "A": "АΑ", "B": "ВΒ", "C": "С", "E": "ЕΕ", "H": "НΗ", "I": "ІΙ", "K": "КΚ", "M": "МΜ", "N": "Ν", "O": "ОΟ",
    "P": "РΡ", "S": "Ѕ", "T": "ТΤ", "X": "ХΧ", "Y": "ΥҮ", "Z": "Ζ",
}  # fmt: skip
_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"
_DIRECTIONS = "\u200e\u200f\u2066\u2069\u202a\u202c"
_MARKS = "\u0300\u0301\u0302\u0303\u0308\u030a\u0323\u0327\u0331\u0336"
_LEET = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7", "l": "1"}
_LIGHT_LEET = {"a": "4", "e": "3", "i": "1", "o": "0"}
_UPRIGHT = "abcdefghijklmnopqrstuvwxyz?!.,'"
_TURNED = "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz¿¡˙'," + "'"
_MATHEMATICAL = (0x1D400, 0x1D434, 0x1D468, 0x1D5D4)


def homoglyph(text: str, chance: random.Random) -> str:
    """Most letters become others that look like them."""
    return "".join(chance.choice(_ALIKE[char]) if char in _ALIKE and chance.random() < 0.7 else char for char in text)


def zero_width(text: str, chance: random.Random) -> str:
    """Characters without width between letters."""
    return "".join(char + (chance.choice(_ZERO_WIDTH) if chance.random() < 0.7 else "") for char in text)


def tags(text: str, chance: random.Random) -> str:
    """The whole text in tag characters, which are not shown, behind a greeting: ASCII only, any white space a blank."""
    hidden = "".join(chr(0xE0000 + ord(char)) for char in " ".join(text.split()) if " " <= char < "\x7f")
    return chance.choice(("Hi", "Hello there", "😀", "Thanks!")) + hidden


def selectors(text: str, chance: random.Random) -> str:
    """Bytes as variation selectors behind an emoji, or emoji between words."""
    if chance.random() < 0.5:
        carried = "".join(chr(0xFE00 + byte if byte < 16 else 0xE0100 + byte - 16) for byte in text.encode())
        return chance.choice("😀🙂🎉👍") + carried
    return "".join(word + chance.choice((" 😀 ", " 🔥 ", " ❤\ufe0f ", " 👉🏽 ", " ")) for word in text.split()).strip()


def bidirectional(text: str, chance: random.Random) -> str:
    """Stored backwards and shown forwards, or marks of direction strewn in."""
    if chance.random() < 0.5:
        return "\n".join(f"\u202e{line[::-1]}\u202c" for line in text.split("\n"))
    return "".join(char + (chance.choice(_DIRECTIONS) if chance.random() < 0.5 else "") for char in text)


def fullwidth(text: str, chance: random.Random) -> str:
    """Fullwidth or mathematical letters."""
    if chance.random() < 0.5:
        return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)
    first = chance.choice(_MATHEMATICAL)
    return "".join(_mathematical(char, first) for char in text)


def diacritics(text: str, chance: random.Random) -> str:
    """One to three marks on each letter."""
    return "".join(
        char + "".join(chance.choices(_MARKS, k=chance.randint(1, 3))) if char.isalpha() else char for char in text
    )


def leet(text: str, chance: random.Random) -> str:
    """Digits and signs for letters: vowels only, or all that have one."""
    table = _LEET if chance.random() < 0.5 else _LIGHT_LEET
    return "".join(chance.choice(table.get(char.lower(), char)) for char in text)


def spacing(text: str, chance: random.Random) -> str:
    """Letters parted: by spaces with wider gaps between words, by marks within words, or by spaces alone."""
    form = chance.randrange(3)
    if form == 0:
        return "   ".join(" ".join(word) for word in text.split())
    if form == 1:
        mark = chance.choice(".-_*")
        return " ".join(mark.join(word) for word in text.split())
    return " ".join("".join(text.split()))


def upside_down(text: str, _: random.Random) -> str:
    """Turned letters, read from the end."""
    table = str.maketrans(_UPRIGHT, _TURNED[: len(_UPRIGHT)])
    return "\n".join(line.lower().translate(table)[::-1] for line in text.split("\n"))


def deletion(text: str, chance: random.Random) -> str:
    """Wrong letters, each followed by a character that deletes it."""
    key = chance.choice("\b\x7f")
    return "".join(char + (chance.choice("xqzkjw") + key if chance.random() < 0.4 else "") for char in text)


def case(text: str, chance: random.Random) -> str:
    """Capitals at random."""
    return "".join(char.upper() if chance.random() < 0.5 else char.lower() for char in text)


ATTACKS: Mapping[str, Callable[[str, random.Random], str]] = {
    "homoglyph": homoglyph,
    "zero-width": zero_width,
    "tag characters": tags,
    "variation selectors, emoji": selectors,
    "bidi": bidirectional,
    "fullwidth": fullwidth,
    "diacritics": diacritics,
    "leet": leet,
    "letter spacing": spacing,
    "upside-down": upside_down,
    "deletion characters": deletion,
    "case": case,
}


def cases(sample: Sample) -> Iterator[Case]:
    """Every row under every attack that can carry its letters: tag characters are of ASCII only."""
    for name, attack in ATTACKS.items():
        for harmful, index, text in sample.rows():
            if attack is tags and any(char.isalpha() and not char.isascii() for char in text):
                continue
            changed = attack(text, sample.chance(name, harmful, index))
            yield Case(variant=name, texts=(changed,), harmful=harmful, base=index)


def _mathematical(char: str, first: int) -> str:
    point = first + ord(char) - 65 if "A" <= char <= "Z" else first + ord(char) - 71 if "a" <= char <= "z" else 0
    # the one letter that Unicode had elsewhere already
    return "ℎ" if point == 0x1D455 else chr(point) if point else char
