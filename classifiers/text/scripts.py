"""Which scripts a text is written in, and which ones a policy's languages are written in."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping

from classifiers.text.language import ANY, code_of, detectable

ANOTHER = "another script"
"""Stands for every script that has no entry here: historic ones, and those of few."""

_RANGES: Mapping[str, str] = {
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Cyrillic": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f\U0001e030-\U0001e08f",
    "Armenian": "\u0531-\u058f",
    "Hebrew": "\u0591-\u05ff\ufb1d-\ufb4f",
    "Arabic": "\u0600-\u06ff\u0750-\u077f\u0870-\u08ff\ufb50-\ufdff\ufe70-\ufefe",
    "Syriac": "\u0700-\u074f\u0860-\u086f",
    "Thaana": "\u0780-\u07bf",
    "N'Ko": "\u07c0-\u07ff",
    "Indic": "\u0900-\u0dff\u1cd0-\u1cff\ua8e0-\ua8ff",
    "Thai": "\u0e00-\u0e7f",
    "Lao": "\u0e80-\u0eff",
    "Tibetan": "\u0f00-\u0fff",
    "Burmese": "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f",
    "Georgian": "\u10a0-\u10ff\u1c90-\u1cbf\u2d00-\u2d2f",
    "Ethiopic": "\u1200-\u139f\u2d80-\u2ddf\uab00-\uab2f",
    "Cherokee": "\u13a0-\u13ff\uab70-\uabbf",
    "Canadian syllabics": "\u1400-\u167f\u18b0-\u18ff",
    "Khmer": "\u1780-\u17ff",
    "Mongolian": "\u1800-\u18af",
    "Tai Tham": "\u1a20-\u1aaf",
    "Balinese": "\u1b00-\u1b7f",
    "Sundanese": "\u1b80-\u1bbf",
    "Ol Chiki": "\u1c50-\u1c7f",
    "Coptic": "\u2c80-\u2cff",
    "Tifinagh": "\u2d30-\u2d7f",
    "Yi": "\ua000-\ua4cf",
    "Lisu": "\ua4d0-\ua4ff",
    "Vai": "\ua500-\ua63f",
    "Javanese": "\ua980-\ua9df",
    "Meetei Mayek": "\uaae0-\uaaff\uabc0-\uabff",
    "Rohingya": "\U00010d00-\U00010d3f",
    "Chakma": "\U00011100-\U0001114f",
    "Adlam": "\U0001e900-\U0001e95f",
    "Korean": "\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff\uffa0-\uffdc",
    "Japanese": "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f\U0001b000-\U0001b16f",
    "Chinese": "\u3100-\u312f\u31a0-\u31bf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
}
_BLOCKS = sorted(
    (ranges[at], ranges[at + 2], script) for script, ranges in _RANGES.items() for at in range(0, len(ranges), 3)
)
_STARTS = [start for start, _, _ in _BLOCKS]
_NOT_LATIN = re.compile(
    "[^\x00-\u036f\u1ab0-\u1aff\u1d00-\u1eff\u2000-\u2bff\u2c60-\u2c7f\u2e00-\u303f\ua700-\ua7ff\uab30-\uab6f"
    "\ufb00-\ufb06\ufe00-\ufe6f\uff00-\uff65\U00010780-\U000107bf\U0001d400-\U0001d7ff\U0001df00-\U0001dfff"
    "\U0001f000-\U0001faff]"
)
"""What is neither Latin, phonetic letters and those in another dress included, nor of all scripts: marks, signs, emoji,
and what Chinese and Japanese share."""

_LANGUAGES: Mapping[str, str] = {
    "Greek": "el grc pnt",
    "Cyrillic": (
        "ru uk bg sr mk be kk ky mn tg ba tt uz ab ady alt av bua ce chm cu cv inh kbd kjh koi krc kum kv lbe lez mdf "
        "mhr mrj myv nog os rue sah tyv udm xal"
    ),
    "Armenian": "hy hyw",
    "Hebrew": "he hbo yi lad",
    "Arabic": (
        "ar ary arz fa ur ps sd ug ckb sdh uzs acm acq aeb ajp apc apd arb ars ayl azb bal glk khw ks lrc mzn pes pnb "
        "prs skr"
    ),
    "Syriac": "syr syc arc aii cld tru",
    "Thaana": "dv",
    "N'Ko": "nqo man",
    "Indic": (
        "hi mr ne sa gom bn as pa gu or ta te kn ml si awa bgc bh bho bpy brx doi dty hne kfy kok ks mag mai mni mwr "
        "new pi raj sat sd tcy"
    ),
    "Thai": "th",
    "Lao": "lo",
    "Tibetan": "bo dz lbj",
    "Burmese": "my blk ksw mnw shn",
    "Georgian": "ka lzz sva xmf",
    "Ethiopic": "am ti byn gez tig",
    "Cherokee": "chr",
    "Canadian syllabics": "atj ciw cr crk csw cwd ike ikt iu nsk oj ojb ojs",
    "Khmer": "km",
    "Mongolian": "mn mnc mvf",
    "Tai Tham": "nod khb",
    "Balinese": "ban",
    "Sundanese": "su",
    "Ol Chiki": "sat",
    "Coptic": "cop",
    "Tifinagh": "ber kab rif shi taq thv tmh tzm zgh",
    "Yi": "ii",
    "Lisu": "lis",
    "Vai": "vai",
    "Javanese": "jv",
    "Meetei Mayek": "mni",
    "Rohingya": "rhg",
    "Chakma": "ccp",
    "Adlam": "ff fuv",
    "Korean": "ko",
    "Japanese": "ja",
    "Chinese": "zh yue wuu cdo gan hak lzh nan ja",
}
_LISTED = frozenset(" ".join(_LANGUAGES.values()).split())


def letters(text: str) -> Mapping[str, int]:
    """How many letters of each script but Latin the text has. Empty for plain ASCII."""
    if text.isascii():
        return {}
    found: Counter[str] = Counter()
    for char, count in Counter(_NOT_LATIN.findall(text)).items():
        if script := _script(char):
            found[script] += count
    return dict(found)


def written_in(languages: Iterable[str]) -> frozenset[str]:
    """The scripts, Latin aside, of some languages by their ISO 639 codes (`zh-Hant` reads as `zh`).

    Latin letters stand in texts of any language; an unknown code is taken for one written in them or in ANOTHER script.
    `any` is written in all.
    """
    codes = set(map(code_of, languages))
    if ANY in codes:
        return frozenset((*_LANGUAGES, ANOTHER))
    found = {script for script, known in _LANGUAGES.items() if codes.intersection(known.split())}
    told = all(code in _LISTED or detectable([code]) for code in codes)
    return frozenset(found if told else {*found, ANOTHER})


def _script(char: str) -> str:
    """Of one that is not Latin; empty where it is no letter. In a script's own ranges its marks count as letters."""
    _, end, script = _BLOCKS[bisect_right(_STARTS, char) - 1]
    if char <= end:
        return script
    return ANOTHER if char.isalpha() else ""
