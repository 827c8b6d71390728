"""Spellings of a policy's labels by callers and models, a rule's aliases for them, and the form of answers. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Final

_APART = re.compile(r"[\W_]+")
_SIGNS = re.compile(r"(?<=[^\W_])(?:[+#]+|-$)|[<>](?=\d)|^-(?=\d)")
"""Signs by which labels differ: `C++`, `C#`, `A-`, `18+`, `<18`."""
_JOINTS = re.compile(r"(?<=[^\W_])[\s_-]+(?=[^\W_])")
_CASES: Final = ("", "capitalize", "lower", "title", "upper")
"""Names of methods of str."""
_BETWEEN: Final = (None, " ", "_", "-", "")
_LONGEST_AROUND: Final = 64
"""Characters around a label; what is longer is no form but a sentence."""


def normalized(word: str) -> str:
    """What two spellings of one label have in common: `Card Lost`, `card-lost` and `card_lost` are one, `C`, `C++` and
    `C#` are three. A word without letters and digits is itself."""
    word = word.strip()
    if word.isascii() and not signed(word):
        return _APART.sub("", word).casefold() or word
    word = unicodedata.normalize("NFC", word)
    signs = {index for match in _SIGNS.finditer(word) for index in range(*match.span())}
    kept, joined = "", False
    for index, char in enumerate(word):
        # a mark belongs to its letter: without vowel signs, different words of Hindi look the same
        joined = char.isalnum() or index in signs or (joined and unicodedata.category(char).startswith("M"))
        kept += char if joined else ""
    return kept.casefold() or word


def signed(word: str) -> bool:
    """Whether a sign distinguishes the word from others: `C++`, `A-`."""
    return _SIGNS.search(word.strip()) is not None


def spell(name: str, words: Iterable[str], fold: Callable[[str], str] = normalized) -> str | None:
    """The one of the caller's words that is the name: as it stands, else the only one that differs in spelling. fold:
    `normalized`, or what remembers it."""
    words = tuple(words)
    if name in words:
        return name
    key = fold(name)
    alike = [word for word in dict.fromkeys(words) if fold(word) == key]
    return alike[0] if len(alike) == 1 else None


@dataclass(frozen=True, slots=True)
class LabelNames:
    """labels: all that a classifier can name; aliases: other words for some of them."""

    labels: tuple[str, ...]
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    _labels: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # a label's own spelling counts before another's alias
        meant = {normalized(word): label for label, words in self.aliases.items() for word in words}
        object.__setattr__(self, "_labels", meant | {normalized(label): label for label in self.labels})

    def words(self, label: str) -> tuple[str, ...]:
        """The label and the other words for it."""
        return (label, *self.aliases.get(label, ()))

    def resolve(self, word: str, fold: Callable[[str], str] = normalized) -> str | None:
        """The label that a word stands for, however it is spelled. fold: `normalized`, or what remembers it."""
        return self._labels.get(fold(word))

    def spell(self, label: str, words: Sequence[str], fold: Callable[[str], str] = normalized) -> str | None:
        """The one of the caller's words that stands for the label: spelled as it is, else as one of its aliases. fold:
        `normalized`, or what remembers it."""
        key = fold(label)
        if any(fold(word) == key for word in words):
            return spell(label, words, fold)
        alike = [word for word in dict.fromkeys(words) if self.resolve(word, fold) == label]
        return alike[0] if len(alike) == 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """In which form a label is given: what stands before and after it, the case of its letters (of _CASES), what joins
    its words; as they are where these are empty. Around JSON it is a fence."""

    before: str = ""
    after: str = ""
    case: str = ""
    joint: str | None = None

    def around(self, text: str) -> str:
        """The text with what stands before and after it."""
        return f"{self.before}{text}{self.after}"

    def of(self, word: str) -> str:
        """A label in this form."""
        cased = str(getattr(word, self.case)()) if self.case in _CASES[1:] else word
        return self.around(cased if self.joint is None else _JOINTS.sub(self.joint, cased))

    def inner(self, text: str) -> str:
        """What stands in an answer of this form, whatever white space at its ends; nothing in one of another."""
        text, before, after = text.strip(), self.before.lstrip(), self.after.rstrip()
        within = len(text) >= len(before) + len(after) and text.startswith(before) and text.endswith(after)
        return text[len(before) : len(text) - len(after)] if within else ""


BARE: Final = Form()
"""The label as the prompt spells it, and nothing else."""


def forms_in(text: str, word: str) -> tuple[Form, ...]:
    """The forms in which an answer may give a label, the plainest first; none where it does not hold it once, or much
    more. word: the label as the prompt spells it."""
    if len(text) > 2 * len(word) + _LONGEST_AROUND:
        return ()
    forms: list[Form] = []
    for case, joint in product(_CASES, _BETWEEN):
        form = Form(case=case, joint=joint)
        before, word_there, after = text.strip().partition(form.of(word))
        if word_there and not (before[-1:].isalnum() or after[:1].isalnum() or word_there in after):
            forms.append(replace(form, before=before, after=after))
    return tuple(forms)
