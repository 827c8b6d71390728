"""Which languages a text may be written in, and whether a policy's are among them.

The detector is py3langid (BSD-3-Clause; naive Bayes over sequences of bytes: Lui & Baldwin 2012, "langid.py"). It needs
no network and no pickle; why this one: docs/design/003-text.md.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from classifiers.text.windows import pieces

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier


ANY = "any"
"""In place of a policy's languages: text in whatever language is read."""

STRETCH_CHARS = 256
"""A text is classified in stretches, so that a passage in another language counts in a long text."""

_SHORT_CHARS = 100
"""A text up to this long is read by its clauses too."""

_LIKELIER = 20.0
"""How many times likelier than all of the policy's languages another one must be. Of short English commands full of
foreign names (SNIPS, training split) one in 470 is that unlike English (docs/design/003-text.md)."""

_LIKELIER_WITHOUT_ENGLISH = 2.0
"""The same for an English policy and a stretch with hardly an English word (benchmarks/results/language.md)."""

_COMMON = ["cs", "da", "de", "es", "fi", "fr", "hu", "id", "it", "nl", "no", "pl", "pt", "ro", "sv", "tr", "vi"]
"""The languages that are found so; short typos, names and commands look like rarer ones."""

_NEGLIGIBLE = 0.01
"""Less likely than the likeliest language by this factor: left out."""

_CODES = (
    "ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext fa fi fo fr fuv "
    "fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka kab kik kk km kn ko ku ky la "
    "lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my ne nl nn no nso oc om or pa pcm pl ps pt qu ro ru rw sa sdh se "
    "si sk sl sn so sq sr st sv sw ta te tg th tk tl tr tt ug uk ur uz uzs vec vi vo wa wuu xh yo yue zh zu zxx"
)
DETECTED = frozenset(_CODES.split())
"""What the detector tells apart, by ISO 639; zxx is what is no language: numbers, markup, identifiers."""

_KIN = ("no nn nb", "hr bs sr sh", "id ms", "en pcm", "ar ary arz", "zh yue wuu", "tl fil")
"""Written so alike that a short text may be either."""

_ENGLISH = frozenset({"en", "pcm"})
_CLAUSE = re.compile(r"(?<=[,;:.?!])(?=\s)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of a text: its characters, and the languages that it may be in with their probabilities. hardly_english:
    it looks like another language, and at most a third of its words are English."""

    chars: int
    likely: Mapping[str, float]
    hardly_english: bool = False


class LanguageDetector:
    """py3langid's own model, opened at the first call, or by `open`. For any number of threads. Opening takes about 0.4
    s and 75 MB; a message takes about 0.1 ms, a long text 0.1 s a megabyte."""

    def __init__(self) -> None:
        self._identifier: LanguageIdentifier | None = None
        self._hardly_english: Callable[[str], bool]
        self._opening = threading.Lock()

    def open(self) -> "LanguageIdentifier":
        """Read the model, where that is not done yet."""
        if self._identifier is None:
            with self._opening:
                if self._identifier is None:
                    from py3langid.langid import MODEL_FILE, LanguageIdentifier

                    from classifiers.text import lexicon

                    self._hardly_english = lexicon.hardly_english
                    self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        return self._identifier

    def stretches(self, text: str) -> Iterator[Stretch]:
        """text: normalised. White space alone gives none. A short text's clauses without English are one stretch."""
        for _, piece in pieces(text, STRETCH_CHARS):
            if piece.isspace():
                continue
            stretch = self._stretch(piece)
            if len(text) > _SHORT_CHARS or stretch.hardly_english or strange(stretch, _ENGLISH):
                yield stretch
            else:
                yield from self._apart(piece, stretch)

    def _stretch(self, piece: str) -> Stretch:
        ranked = self.open().rank(piece)
        least = ranked[0][1] * _NEGLIGIBLE
        likely = {code: share for code, share in ranked if share >= least}
        hardly_english = ranked[0][0] not in _ENGLISH and self._hardly_english(piece)
        return Stretch(chars=len(piece), likely=likely, hardly_english=hardly_english)

    def _apart(self, piece: str, stretch: Stretch) -> Iterator[Stretch]:
        """The clauses of a mostly English piece, and those that hardly have an English word, which are read again."""
        clauses = _CLAUSE.split(piece)
        other = "".join(filter(self._hardly_english, clauses)) if len(clauses) > 1 else ""
        if len(other) < len(piece):
            yield replace(stretch, chars=len(piece) - len(other))
        if other:
            yield self._stretch(other)


def code_of(language: str) -> str:
    """A language's ISO 639 code: `pt` of `pt`, `pt-BR` or `pt_BR`."""
    return language.lower().replace("_", "-").partition("-")[0]


def detectable(languages: Iterable[str]) -> frozenset[str]:
    """What the detector calls some languages, given by their ISO 639 codes (`pt-BR` reads as `pt`), and their kin.
    Empty where it does not know them all: then no text is certainly in none of them."""
    known: set[str] = set()
    for language in languages:
        own = code_of(language)
        family = {own, *(other for kin in _KIN if own in kin.split() for other in kin.split())} & DETECTED
        if not family:
            return frozenset()
        known |= family
    return frozenset(known)


def strange(stretch: Stretch, known: frozenset[str]) -> str:
    """The language that a stretch is in, where it is surely none of those known; else empty. known: of `detectable`;
    where it is empty, nothing is strange."""
    if not known:
        return ""
    own = sum(share for code, share in stretch.likely.items() if code in known or code == "zxx")
    others = {code: share for code, share in stretch.likely.items() if code not in known}
    best = max(others, key=lambda code: others[code], default="")
    if best and best != "zxx" and others[best] > _LIKELIER * own:
        return best
    if not (stretch.hardly_english and known <= _ENGLISH):
        return ""
    best = max(_COMMON, key=lambda code: others.get(code, 0.0))
    return best if others.get(best, 0.0) > _LIKELIER_WITHOUT_ENGLISH * own else ""


_SHARE = 0.3
_PASSAGE_CHARS = 20


def foreign(
    letters: Mapping[str, int],
    stretches: Iterable[Stretch],
    chars: int,
    *,
    scripts: frozenset[str],
    languages: frozenset[str],
    passage: bool,
) -> str:
    """The script, or else the language, in which a text is strange, where more than a few words of it are; else empty.

    letters: of each script but Latin; chars: of the whole text, after normalising. scripts, languages: those that the
    policy's are written in, and what the detector calls them, of `written_in` and `detectable`. passage: whether a
    passage is enough, however long the text around it.
    """
    tongues: Counter[str] = Counter()
    for stretch in stretches:
        tongues[strange(stretch, languages)] += stretch.chars
    del tongues[""]
    for counts in (Counter({name: count for name, count in letters.items() if name not in scripts}), tongues):
        amount = counts.total()
        if amount and ((passage and amount >= _PASSAGE_CHARS) or amount >= _SHARE * chars):
            return counts.most_common(1)[0][0]
    return ""
