"""Which texts have thresholds of their own: by length, and by language where a policy names several. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise

from classifiers.model import Band, Stage
from classifiers.text.languages import ANY, Stretch, detectable

CUTS = (0, 40, 120)
"""Characters: a few words, a sentence or two, more. Each band goes from above one to the next; the last has no end."""

Families = Mapping[str, frozenset[str]]
"""What the detector may call each of a policy's languages."""


def families(languages: Iterable[str]) -> Families:
    """Of a policy's languages, where it names several and the detector knows them all; else empty."""
    named = tuple(dict.fromkeys(languages))
    if len(named) < 2 or ANY in named:
        return {}
    found = {language: detectable([language]) for language in named}
    return found if all(found.values()) else {}


def language_of(stretches: Iterable[Stretch], known: Families) -> str:
    """The language of `known` that most of a text is likeliest in; empty where nothing speaks for any."""
    told = list(stretches)
    shares = {
        language: sum(one.chars * sum(one.likely.get(code, 0.0) for code in codes) for one in told)
        for language, codes in known.items()
    }
    best = max(shares, key=lambda language: shares[language], default="")
    return best if best and shares[best] > 0 else ""


def band_of(chars: int, language: str) -> Band:
    """chars: of a text, after normalising."""
    for above, up_to in pairwise(CUTS):
        if chars <= up_to:
            return Band(above=above, up_to=up_to, language=language)
    return Band(above=CUTS[-1], up_to=None, language=language)


def within(stage: Stage, chars: int, language: str) -> Stage:
    """The stage with the thresholds that it has for such a text."""
    own = next((limits for band, limits in stage.bands.items() if band.holds(chars, language)), None)
    return stage if own is None else replace(stage, thresholds=own)
