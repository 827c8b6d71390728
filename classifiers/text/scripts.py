"""Which scripts a text is written in, and which ones a policy's languages are written in."""

import re
from collections.abc import Iterable, Mapping

from classifiers.text.languages import ANY, code_of

_RANGES: Mapping[str, str] = {
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Cyrillic": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f",
    "Armenian": "\u0531-\u058f",
    "Hebrew": "\u0591-\u05ff\ufb1d-\ufb4f",
    "Arabic": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefe",
    "Indic": "\u0900-\u0dff\ua8e0-\ua8ff",
    "Thai": "\u0e00-\u0e7f",
    "Lao": "\u0e80-\u0eff",
    "Tibetan": "\u0f00-\u0fff",
    "Burmese": "\u1000-\u109f",
    "Georgian": "\u10a0-\u10ff\u1c90-\u1cbf\u2d00-\u2d2f",
    "Ethiopic": "\u1200-\u139f\u2d80-\u2ddf",
    "Khmer": "\u1780-\u17ff",
    "Korean": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "Japanese": "\u3040-\u30ff\u31f0-\u31ff",
    "Chinese": "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
}
_PATTERNS = {script: re.compile(f"[{ranges}]") for script, ranges in _RANGES.items()}
_ANY = re.compile(f"[{''.join(_RANGES.values())}]")

_LANGUAGES: Mapping[str, str] = {
    "Greek": "el grc",
    "Cyrillic": "ru uk bg sr mk be kk ky mn tg ba tt uz",
    "Armenian": "hy",
    "Hebrew": "he hbo yi",
    "Arabic": "ar ary arz fa ur ps sd ug ckb sdh uzs",
    "Indic": "hi mr ne sa gom bn as pa gu or ta te kn ml si",
    "Thai": "th",
    "Lao": "lo",
    "Tibetan": "bo dz",
    "Burmese": "my",
    "Georgian": "ka",
    "Ethiopic": "am ti",
    "Khmer": "km",
    "Korean": "ko",
    "Japanese": "ja",
    "Chinese": "zh yue wuu ja",
}


def letters(text: str) -> Mapping[str, int]:
    """How many letters of each script but Latin the text has. Empty for plain ASCII."""
    if text.isascii() or not _ANY.search(text):
        return {}
    found = {script: len(pattern.findall(text)) for script, pattern in _PATTERNS.items()}
    return {script: count for script, count in found.items() if count}


def written_in(languages: Iterable[str]) -> frozenset[str]:
    """The scripts, Latin aside, of some languages by their ISO 639 codes (`zh-Hant` reads as `zh`).

    Latin letters stand in texts of any language; an unknown code is taken for one written in them.
    `any` is written in all.
    """
    codes = set(map(code_of, languages))
    if ANY in codes:
        return frozenset(_LANGUAGES)
    return frozenset(script for script, known in _LANGUAGES.items() if codes.intersection(known.split()))
