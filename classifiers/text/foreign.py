"""Whether a text is in a script or a language that a policy does not name. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping

from classifiers.text.languages import Stretch, strange

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
    others = Counter({name: count for name, count in letters.items() if name not in scripts})
    tongues: Counter[str] = Counter()
    for stretch in stretches:
        tongues[strange(stretch, languages)] += stretch.chars
    del tongues[""]
    return _much(others, chars, passage=passage) or _much(tongues, chars, passage=passage)


def _much(counts: Counter[str], chars: int, *, passage: bool) -> str:
    """The most common of what is strange, where that makes up enough of the text. counts: in characters."""
    if not counts:
        return ""
    amount = counts.total()
    enough = (passage and amount >= _PASSAGE_CHARS) or amount >= _SHARE * chars
    return counts.most_common(1)[0][0] if enough else ""
