"""Characters that are drawn like other characters, as data: what they are read as."""

_CYRILLIC_AND_GREEK = {
    "а": "a", "в": "b", "с": "c", "ԁ": "d", "е": "e", "ѐ": "e", "ё": "e", "ғ": "f", "ɡ": "g", "һ": "h",
    "і": "i", "ї": "i", "ј": "j", "к": "k", "ӏ": "l", "м": "m", "п": "n", "о": "o", "р": "p", "ԛ": "q",
    "г": "r", "ѕ": "s", "т": "t", "ц": "u", "ѵ": "v", "ԝ": "w", "х": "x", "у": "y", "ү": "y", "ʐ": "z",
    "н": "h", "А": "A", "В": "B", "С": "C", "Е": "E", "Ё": "E", "Н": "H", "І": "I", "Ї": "I", "Ј": "J",
    "К": "K", "Ӏ": "I", "М": "M", "О": "O", "Р": "P", "Ѕ": "S", "Т": "T", "Ѵ": "V", "Х": "X", "У": "Y",
    "Ү": "Y", "Ԝ": "W", "Ԛ": "Q", "α": "a", "β": "b", "ϲ": "c", "ε": "e", "η": "n", "ι": "i", "κ": "k",
    "ν": "v", "ο": "o", "ρ": "p", "τ": "t", "υ": "u", "χ": "x", "γ": "y", "ω": "w", "ϳ": "j", "ό": "o",
    "ί": "i", "ά": "a", "έ": "e", "ή": "n", "ύ": "u", "Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z", "Η": "H",
    "Ι": "I", "Κ": "K", "Μ": "M", "Ν": "N", "Ο": "O", "Ρ": "P", "Τ": "T", "Υ": "Y", "Χ": "X", "Ϲ": "C",
    "օ": "o", "ո": "n", "ս": "u", "հ": "h", "ց": "g", "զ": "q", "ք": "p", "Տ": "S", "Օ": "O", "Լ": "L",
    "Ս": "U",
}  # fmt: skip
"""Letters of other scripts; read as Latin only where they stand in for it."""

_TWINS_ONLY = frozenset("пгцнвктмёїηνωγυεταίάέήύό")
"""Of those, letters whose likeness is loose: lookalikes beside Latin letters, but not by themselves."""

IN_LATIN = str.maketrans(_CYRILLIC_AND_GREEK)
"""What these letters are read as inside a word that also has Latin letters."""

ALIKE = frozenset(_CYRILLIC_AND_GREEK)
EXACT = ALIKE - _TWINS_ONLY
"""Letters that a reader cannot tell from Latin ones."""

_SMALL_CAPITALS = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnopqrstuvwyz", strict=True))
_REGIONAL = {chr(0x1F1E6 + offset): chr(ord("a") + offset) for offset in range(26)}
_NEGATIVE = {chr(start + offset): chr(ord("A") + offset) for start in (0x1F150, 0x1F170) for offset in range(26)}
DRAWN = str.maketrans({**_SMALL_CAPITALS, **_REGIONAL, **_NEGATIVE, "ı": "i", "ƒ": "f", "\u2800": " "})
"""Letters in another dress that NFKC leaves alone."""

_TURNED = "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz"
TURNED = str.maketrans({**dict(zip(_TURNED, "abcdefghijklmnopqrstuvwxyz", strict=True)), "¿": "?", "¡": "!", "ı": "i"})
"""Upside-down writing; the line is read backwards as well."""

TURNED_ONLY = frozenset("ɐɔǝɟƃɥᴉɾʞɯɹʇʌʍʎ")
"""Letters that hardly stand anywhere but in upside-down writing."""

LEET = str.maketrans("013457@$!|", "oieastasii")
"""Digits and signs for letters."""
