"""Which system prompts a rule is written for: none, a text, a glob, or the fingerprint of a template."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

NONE: Final = "none"
"""As a pattern: no system prompt at all."""
_RETRIEVED: Final = re.compile(r"```.*?```|<(\w[\w-]*)>.*?</\1>|\"{3}.*?\"{3}", re.DOTALL)
"""Fenced, tagged and triple-quoted text: what a prompt is filled with, a document say."""
_ESCAPED: Final = re.compile(r"\[([*?\[])\]")
"""A sign that a glob takes for itself."""
_WORD: Final = re.compile(r"\S+")
_DAYS: Final = re.compile(
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|may|june|july|august|september|october"
    r"|november|december|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec",
    re.IGNORECASE,
)


_LONG: Final = 20_000
"""Characters of a prompt from which on its template is not remembered."""


def fingerprint(text: str) -> str:
    """The same 16 hexadecimal digits for all system prompts made from one template. Dates, numbers, addresses and
    fenced, tagged or triple-quoted text may differ; every other word counts."""
    return template(text)[0]


def template(text: str) -> tuple[str, str]:
    """A system prompt's fingerprint, and its template in one line, `#` where it is filled in."""
    return _template(text) if len(text) > _LONG else _recent_template(text)


def _template(text: str) -> tuple[str, str]:
    words = [_constant(word) for word in _WORD.findall(_RETRIEVED.sub(" # ", text))]
    # a date of three words and one of one word are the same place
    kept = [word for place, word in enumerate(words) if word != "#" or place == 0 or words[place - 1] != "#"]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:16], " ".join(kept)


_recent_template = lru_cache(maxsize=256)(_template)


def _constant(word: str) -> str:
    """A word as a template has it; `#` for one that a template is filled with."""
    varies = any(c.isdigit() for c in word) or "@" in word or "://" in word or _DAYS.fullmatch(word.strip(".,;:()"))
    return "#" if varies else word


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPatterns:
    """none: requests without a system prompt are meant. texts: exact ones and globs. templates: fingerprints."""

    none: bool = False
    texts: tuple[str, ...] = ()
    templates: frozenset[str] = frozenset()

    @classmethod
    def of(cls, patterns: Sequence[str | tuple[str, str]]) -> "PromptPatterns":
        """patterns: `none`, texts and globs; or pairs of `template` and a fingerprint."""
        texts = tuple(each for each in patterns if isinstance(each, str) and each != NONE)
        templates = frozenset(each[1] for each in patterns if not isinstance(each, str))
        return cls(none=NONE in patterns, texts=texts, templates=templates)

    def names(self, text: str) -> bool:
        """Whether a system prompt is one of the texts, whole and word for word, or of a template."""
        exact = text in self.texts or any("[" in own and text == _ESCAPED.sub(r"\1", own) for own in self.texts)
        return exact or (bool(self.templates) and fingerprint(text) in self.templates)

    def match(self, text: str) -> bool:
        """Whether a request's system prompt, its messages joined by line ends, is one of these."""
        if not text.strip():
            return self.none
        return self.names(text) or any(fnmatchcase(text, own) for own in self.texts)

    def mismatch(self, text: str) -> str:
        """Why a request's system prompt is none of these; empty where it is one."""
        if self.match(text):
            return ""
        if not text.strip():
            return "the call has no system prompt"
        if not (self.texts or self.templates):
            return "the call has a system prompt, and the rule is for calls without one"
        kinds = ["glob" if "*" in _ESCAPED.sub("", own) else "text" for own in self.texts]
        kinds += ["template"] if self.templates else []
        return f"the call's system prompt is not the rule's {' or '.join(dict.fromkeys(kinds))}"
