"""Characters that are drawn like other characters: what they are read as, and where."""

import re

_CYRILLIC_AND_GREEK = {
    "а": "a", "в": "b", "с": "c", "ԁ": "d", "е": "e", "ѐ": "e", "ё": "e", "ғ": "f", "һ": "h",
    "і": "i", "ї": "i", "ј": "j", "к": "k", "ӏ": "l", "м": "m", "п": "n", "о": "o", "р": "p", "ԛ": "q",
    "г": "r", "ѕ": "s", "т": "t", "ц": "u", "ѵ": "v", "ԝ": "w", "х": "x", "у": "y", "ү": "y",
    "н": "h", "А": "A", "В": "B", "С": "C", "Е": "E", "Ё": "E", "Н": "H", "І": "I", "Ї": "I", "Ј": "J",
    "К": "K", "Ӏ": "I", "М": "M", "О": "O", "Р": "P", "Ѕ": "S", "Т": "T", "Ѵ": "V", "Х": "X", "У": "Y",
    "Ү": "Y", "Ԝ": "W", "Ԛ": "Q", "α": "a", "β": "b", "ϲ": "c", "ε": "e", "η": "n", "ι": "i", "κ": "k",
    "ν": "v", "ο": "o", "ρ": "p", "τ": "t", "υ": "u", "χ": "x", "γ": "y", "ω": "w", "ϳ": "j", "ό": "o",
    "ί": "i", "ά": "a", "έ": "e", "ή": "n", "ύ": "u", "Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z", "Η": "H",
    "Ι": "I", "Κ": "K", "Μ": "M", "Ν": "N", "Ο": "O", "Ρ": "P", "Τ": "T", "Υ": "Y", "Χ": "X", "Ϲ": "C",
    "օ": "o", "ո": "n", "ս": "u", "հ": "h", "ց": "g", "զ": "q", "ք": "p", "Տ": "S", "Օ": "O", "Լ": "L",
    "Ս": "U", "ς": "c", "Ꭺ": "A", "Ᏼ": "B", "Ꮯ": "C", "Ꭰ": "D", "Ꭼ": "E", "Ꮐ": "G", "Ꮋ": "H", "Ꭻ": "J", "Ꮶ": "K",
    "Ꮮ": "L", "Ꮇ": "M", "Ꮲ": "P", "Ꭱ": "R", "Ꮪ": "S", "Ꭲ": "T", "Ꮩ": "V", "Ꮃ": "W", "Ꮓ": "Z",
}  # fmt: skip
"""Letters of other scripts; read as Latin only where they stand in for it."""

_TWINS_ONLY = frozenset("пгцнвктмёїηνωγυεταίάέήύός")
"""Of those, letters whose likeness is loose: lookalikes beside Latin letters, but not by themselves."""

IN_LATIN = str.maketrans(_CYRILLIC_AND_GREEK)
"""What these letters are read as inside a word that also has Latin letters."""

ALIKE = frozenset(_CYRILLIC_AND_GREEK)
EXACT = ALIKE - _TWINS_ONLY
"""Letters that a reader cannot tell from Latin ones."""

_SMALL_CAPITALS = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnopqrstuvwyz", strict=True))
_REGIONAL = {chr(0x1F1E6 + offset): chr(ord("a") + offset) for offset in range(26)}
_NEGATIVE = {chr(start + offset): chr(ord("A") + offset) for start in (0x1F150, 0x1F170) for offset in range(26)}
DRAWN = str.maketrans(
    {
        **_SMALL_CAPITALS,
        **_REGIONAL,
        **_NEGATIVE,
        "ı": "i",
        "ƒ": "f",
        "ɡ": "g",
        "ɑ": "a",
        "ɩ": "i",
        "ʋ": "v",
        "ʐ": "z",
        "\u2800": " ",
    }
)
"""Letters in another dress that NFKC leaves alone."""

_SYMBOL = re.compile("[\u03b1-\u03c9]")
"""Small Greek letters, each for itself a sign of science (β, χ² or ρ)."""
_WELL_KNOWN = 5000
_LATIN = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_LETTERS = re.compile(r"[^\W\d_]+")
_SISTERS = re.compile("([\u0370-\u03ff\u1f00-\u1fff])|([\u0400-\u052f])|([\u0531-\u058f])|([\u13a0-\u13ff])")
"""Greek, Cyrillic, Armenian and Cherokee letters."""


def read(text: str) -> str:
    """The text with lookalikes in Latin words read as the Latin letters that they stand for.

    A word of several alphabets poses. A word all of lookalikes poses beside Latin ones where a reader could not tell
    (a single small Greek letter is a sign), or where other words pose; unless the text has genuine words of such an
    alphabet, then only if it spells a word.
    """
    if ALIKE.isdisjoint(text):
        return text
    words = set(_LETTERS.findall(text))
    strange = {word for word in words if not ALIKE.isdisjoint(word)}
    posing = {word for word in strange if _mixed(word) and not _LETTERS.search(_left(word))}
    genuine = any(_SISTERS.search(_left(word)) for word in words - posing) or (
        not posing and any(not EXACT.issuperset(word) and not _mixed(word) for word in strange)
    )
    if posing or _LATIN.search(text):
        posing |= {word for word in strange - posing if _poses(word, others=bool(posing), genuine=genuine)}
    return _LETTERS.sub(lambda match: match[0].translate(IN_LATIN) if match[0] in posing else match[0], text)


def _left(word: str) -> str:
    """A word's letters that are neither Latin nor like them."""
    return "".join(char for char in word if char not in ALIKE and not _LATIN.match(char))


def _mixed(word: str) -> bool:
    """Whether a word has letters of several alphabets."""
    alphabets = {match.lastindex for match in _SISTERS.finditer(word)}
    return len(alphabets) + bool(_LATIN.search(word)) > 1


def _poses(word: str, *, others: bool, genuine: bool) -> bool:
    if not ALIKE.issuperset(word):
        return False
    if not genuine:
        return others or (EXACT.issuperset(word) and not _SYMBOL.fullmatch(word))
    from classifiers.text.lexicon import rank

    return others and len(word) > 1 and rank(word.translate(IN_LATIN)) < _WELL_KNOWN
