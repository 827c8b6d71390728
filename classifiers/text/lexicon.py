"""Words by how frequent they are, and what disguised letters are most likely to spell. Import it where it is needed:
reading the list takes 10 ms.

words.txt, the most frequent first: the whole words of bert-base-uncased's vocabulary (Apache-2.0), which is in that
order, then words of this project's own starter policies. Of two letters only the commonest, of three the first.
"""

import re
from collections.abc import Callable
from math import inf, log
from pathlib import Path

from classifiers.text import scripts

RANKS = {
    word: rank for rank, word in enumerate((Path(__file__).parent / "words.txt").read_text(encoding="ascii").split(), 1)
}
"""From 1."""

_LATIN = re.compile("[A-Za-z\u00c0-\u024f\u0300-\u036f\u1e00-\u1eff]+")
_LONGEST = 18
_UNKNOWN_COST = 11.0
_SCALE = log(len(RANKS))


def rank(word: str) -> float:
    """1 for the most frequent word; infinite for what is none. Case does not matter."""
    return RANKS.get(word.lower(), inf)


def unturned(text: str, turn: Callable[[str], str], least: int) -> str:
    """The text without the Latin words that are known only once `turn` has turned them, its white space collapsed.

    Empty where fewer than `least` words of three letters and more become none by turning, and no letters of another
    script are left.
    """
    words = {word: turn(word.lower()) in RANKS for word in _LATIN.findall(text)}
    left = _LATIN.sub(lambda match: match[0] if not words[match[0]] or match[0].lower() in RANKS else "", text)
    plain = sum(len(word) > 2 and not words[word] for word in _LATIN.findall(left))
    return " ".join(left.split()) if plain >= least or scripts.letters(left) else ""


def part(letters: str) -> list[str]:
    """Words that were run together, parted as their frequencies make it likeliest (Zipf's law: a word's probability
    goes with 1 / rank). Letters between that spell no word stay together. Case is kept.
    """
    lower = letters.lower()
    costs, starts = [0.0], [0]
    for end in range(1, len(lower) + 1):
        best, start = costs[end - 1] + _UNKNOWN_COST, -1
        for begin in range(max(0, end - _LONGEST), end):
            known = RANKS.get(lower[begin:end])
            if known is not None and (cost := costs[begin] + log(known) + log(_SCALE)) < best:
                best, start = cost, begin
        costs.append(best)
        starts.append(start)
    return _pieces(letters, starts)


def _pieces(letters: str, starts: list[int]) -> list[str]:
    """starts: for each end the beginning of the word that ends there, -1 for a letter of none."""
    words: list[str] = []
    end, strange = len(letters), len(letters)
    while end:
        start = starts[end]
        if start >= 0:
            words += [letters[end:strange], letters[start:end]]
            strange = start
        end = start if start >= 0 else end - 1
    words.append(letters[:strange])
    return [word for word in reversed(words) if word]
