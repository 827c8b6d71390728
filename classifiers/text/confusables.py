"""Lookalikes of other scripts, and digits and signs for letters (leet: `b0mb`), read as letters. Pure."""

import re
from collections.abc import Mapping
from itertools import islice, product
from math import inf

_READ: Mapping[str, str] = {
    "0": "o", "1": "il", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "|": "li", "8": "b",
    "9": "g", "6": "g",
}  # fmt: skip
"""What each may stand for, the likeliest first."""

_SIGNS = "013457@$!|"
_DIGIT_IN_WORD = re.compile(rf"[A-Za-z][{_SIGNS}689]{{1,3}}[A-Za-z]")
_TOKEN = re.compile(rf"(?<![\w.@/:])[A-Za-z{_SIGNS}689]+(?:'[A-Za-z{_SIGNS}]+)?")
_SIGN = re.compile(r"[^A-Za-z']")
_LETTER = re.compile("[A-Za-z]")
_ENDS = "!|"
_SEVERAL = 3
_ALONE = {"4": "a", "@": "a", "1": "i", "!": "i", "0f": "of", "0r": "or", "1n": "in", "1f": "if"}
"""What would spell other words, or none, and is these where all around is leet."""

_COMMON = 3000
"""The rank up to which a number is read as a word, where all around is leet."""

_FEW = 32
"""Readings of one word that are tried."""


def undo_leet(text: str) -> str:
    """The text with its leet read as letters. A word of four characters and more is read by itself if a sign stands
    between letters and a known word comes of it. Where most words with signs spell known ones, and three do, all of
    them are read."""
    if not _DIGIT_IN_WORD.search(text):
        return text
    from classifiers.text.lexicon import RANKS

    tokens = [match[0] for match in _TOKEN.finditer(text) if _SIGN.search(match[0]) and _LETTER.search(match[0])]
    certain = {token: word for token in set(tokens) if (word := _alone(token, RANKS))}
    if not certain:
        return text
    longer = [token for token in tokens if len(token) > 2]
    spelled = sum(_best(token.rstrip(_ENDS), RANKS)[1] < inf for token in longer)
    everywhere = spelled >= _SEVERAL and spelled * 5 >= 3 * len(longer)

    def letters(match: re.Match[str]) -> str:
        token = match[0]
        if not _SIGN.search(token):
            return token
        return certain.get(token) or (_anyhow(token, RANKS) if everywhere else token)

    return _TOKEN.sub(letters, text)


def _alone(token: str, ranks: Mapping[str, int]) -> str:
    """What a token spells that can hardly be anything but leet; else nothing."""
    if len(token) < 4 or not _DIGIT_IN_WORD.search(token):
        return ""
    # a11y and i18n are written so, and mean what they say
    if re.fullmatch(r"[A-Za-z]\d\d+[A-Za-z]", token):
        return ""
    word, rank = _best(token, ranks)
    return word if rank < inf else ""


def _anyhow(token: str, ranks: Mapping[str, int]) -> str:
    """What a token spells among others that are leet."""
    if token in _ALONE:
        return _ALONE[token]
    core = token.rstrip(_ENDS)
    for part in dict.fromkeys((token, core)):
        word, rank = _best(part, ranks)
        if rank < (inf if _LETTER.search(part) else _COMMON):
            return word + token[len(part) :]
    if not _LETTER.search(core):
        return token
    likeliest = "".join(_READ.get(char, char)[0] for char in core)
    return likeliest.replace("ii", "ll") + token[len(core) :]


def _best(token: str, ranks: Mapping[str, int]) -> tuple[str, float]:
    """The most frequent word that a token may stand for, and its rank; an ending such as 's is left as it is."""
    stem, mark, ending = token.partition("'")
    choices = [_READ.get(char, char) for char in stem]
    readings = ["".join(letters) for letters in islice(product(*choices), _FEW)]
    best = min(readings, key=lambda word: ranks.get(word.lower(), inf))
    tail = "".join(_READ.get(char, char)[0] for char in ending)
    return best + mark + tail, ranks.get(best.lower(), inf)


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
    {**_SMALL_CAPITALS, **_REGIONAL, **_NEGATIVE, **dict(zip("ıƒɡɑɩʋʐ\u2800", "ifgaivz ", strict=True))}
)
"""Letters in another dress that NFKC leaves alone."""

_SYMBOL = re.compile("[\u03b1-\u03c9]")
"""Small Greek letters, each for itself a sign of science (β, χ² or ρ)."""
_WELL_KNOWN = 5000
_LATIN = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_LETTERS = re.compile(r"[^\W\d_]+")
_SISTERS = re.compile("([\u0370-\u03ff\u1f00-\u1fff])|([\u0400-\u052f])|([\u0531-\u058f])|([\u13a0-\u13ff])")
"""Greek, Cyrillic, Armenian and Cherokee letters."""


def undo_lookalikes(text: str) -> str:
    """The text with lookalikes in Latin words read as the Latin letters that they stand for.

    A word of several alphabets poses as Latin. So does a word all of lookalikes among Latin ones, where a reader could
    see no difference (a single small Greek letter is a sign), or where other words pose; in a text with genuine words
    of such an alphabet only if it spells a word.
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
    alphabets = {match.lastindex for match in _SISTERS.finditer(word)}
    return len(alphabets) + bool(_LATIN.search(word)) > 1


def _poses(word: str, *, others: bool, genuine: bool) -> bool:
    if not ALIKE.issuperset(word):
        return False
    if not genuine:
        return others or (EXACT.issuperset(word) and not _SYMBOL.fullmatch(word))
    from classifiers.text.lexicon import rank

    return others and len(word) > 1 and rank(word.translate(IN_LATIN)) < _WELL_KNOWN
