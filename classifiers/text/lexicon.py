"""Words by how frequent they are, and what disguised letters are most likely to spell. Import it where it is needed:
reading the list takes 10 ms.

words.txt, the most frequent first: the whole words of bert-base-uncased's vocabulary (Apache-2.0), which is in that
order, then words of this project's own starter policies. Of two letters only the commonest, of three the first.
"""

import re
from math import inf, log
from pathlib import Path

RANKS = {
    word: rank for rank, word in enumerate((Path(__file__).parent / "words.txt").read_text(encoding="ascii").split(), 1)
}
"""From 1."""

_WORD = re.compile(r"[^\W\d_]{2,}")
_CHAT_WORDS = (
    "afaik alot aint aka asap atm bc brb btw coz cuz cya defo dunno fyi gimme hehe hiya hmm hmu idc idk imho imo innit "
    "ive jk kys lemme lmk lol msg nah np nvm ofc omg omw pls plz ppl rly rofl smh sry stfu tbh thnks thx ttyl tysm ur "
    "wdym wtf wth xoxo yall yep youre yup"
)
_CHAT = frozenset(_CHAT_WORDS.split())
"""Short forms of English chat that the list lacks."""
_LONGEST = 18
_UNKNOWN_COST = 11.0
_SCALE = log(len(RANKS))


def rank(word: str) -> float:
    """1 for the most frequent word; infinite for what is none. Case does not matter."""
    return RANKS.get(word.lower(), inf)


def _frame(word: str) -> tuple[str, str, str]:
    """What stays of a word when its inner letters change places."""
    return word[0], "".join(sorted(word[1:-1])), word[-1]


_FRAMES = {_frame(word): word for word in reversed(RANKS) if len(word) > 3}
"""The most frequent word of each frame."""


def unscramble(match: re.Match[str]) -> str:
    """The known word that has an unknown one's letters, the first and the last in place; else the word as it is."""
    word = match[0].lower()
    return match[0] if word in RANKS else _FRAMES.get(_frame(word), match[0])


def hardly_english(text: str) -> bool:
    """Whether at most a third of a text's words are English. False for a single word, and for names in capitals."""
    words = _WORD.findall(text)
    if len(words) < 2 or all(map(str.istitle, words)):
        return False
    return 3 * sum(word in RANKS or word in _CHAT for word in map(str.lower, words)) <= len(words)


def part(letters: str) -> list[str]:
    """Words that were run together, parted as their frequencies make it likeliest (Zipf's law: a word's probability
    goes with 1 / rank). Letters between that spell no word stay together. Case is kept."""
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
