"""What a prompt says of its answer: which words it names, and under which key of a JSON object. Pure."""

import re
import unicodedata
from dataclasses import dataclass
from itertools import islice
from typing import Final

import regex

from classifiers.policy import OTHER
from gateway.answers.unmet import Reason, Unmet
from gateway.spelling import Names, folded, signed

_KEY = re.compile(r"[\"'“”`]([A-Za-z_][\w-]{0,63})[\"'“”`]\s*:")
_JSON = re.compile(r"\bjson", re.IGNORECASE)
_PART: Final = regex.compile(r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]*")
"""Letters with their marks, without which words of Hindi are cut to pieces, and digits."""
_LEAST_NAMED = 2


@dataclass(frozen=True, slots=True)
class _Prompt:
    """folded: the text without its case."""

    text: str
    folded: str


def word(label: str, names: Names, prompt: str) -> str | Unmet:
    """The label as the prompt spells it, or the alias that it has for it. names: all of the classifier's labels, of
    which it must name at least two (one where there is but one): a prompt that names none asks for something else."""
    shown = _Prompt(prompt, prompt.casefold())
    found = _named(label, names, shown)
    missing = min(_LEAST_NAMED, len(names.labels)) - bool(found)
    # no more labels are looked for than it takes to know that it names some
    others = (name for name in names.labels if name != label and _named(name, names, shown))
    if sum(1 for _ in islice(others, missing)) < missing:
        return Unmet(Reason.NO_PLACE)
    if not found:
        return Unmet(Reason.LABEL_NOT_ASKED, label)
    return _meant(label, found) or Unmet(Reason.AMBIGUOUS, ", ".join(found))


def spelled(names: Names, prompt: str, label: str) -> str | None:
    """The same for any of the labels: None where the prompt does not name it, or in several ways."""
    return _meant(label, _named(label, names, _Prompt(prompt, prompt.casefold())))


def speaks_of_json(prompt: str) -> bool:
    """Whether an answer of one word may be the wrong one: some clients ask for JSON in words only."""
    return _JSON.search(prompt) is not None


def key(prompt: str) -> str | Unmet:
    """The only key that the prompt shows in quotes before a colon."""
    found = list(dict.fromkeys(_KEY.findall(prompt)))
    if not found:
        return Unmet(Reason.NO_PLACE)
    return found[0] if len(found) == 1 else Unmet(Reason.AMBIGUOUS, ", ".join(found))


def _meant(label: str, found: list[str]) -> str | None:
    if label in found and all(folded(one) == folded(label) for one in found):
        return label
    return found[0] if len(found) == 1 else None


def _named(label: str, names: Names, prompt: _Prompt) -> list[str]:
    """The ways in which the prompt writes a label, or else its aliases. `other` is a word of prose, too: where the
    prompt has an alias for it as well, both are ways."""
    own = _spellings(label, prompt)
    if own and label != OTHER:
        return own
    return [*own, *(found for alias in names.aliases.get(label, ()) for found in _spellings(alias, prompt))]


def _spellings(label: str, prompt: _Prompt) -> list[str]:
    """The distinct ways in which the prompt writes a label, in the order in which they come."""
    if not _PART.search(label):
        return [label] if label in prompt.text else []
    forms = dict.fromkeys(unicodedata.normalize(form, label) for form in ("NFC", "NFD"))
    # each label is a search of the whole prompt: its words are found much faster, and most prompts lack some
    patterns = [_pattern(one) for one in forms if all(part in prompt.folded for part in _words(one))]
    if not patterns:
        return []
    found = (match.group() for match in regex.finditer("|".join(patterns), prompt.text, regex.IGNORECASE))
    return [one for one in dict.fromkeys(found) if folded(one) == folded(label)]


def _words(label: str) -> list[str]:
    """The longest first, which is the rarest and the quickest to seek."""
    return sorted((part.casefold() for part in _PART.findall(label)), key=len, reverse=True)


def _pattern(label: str) -> str:
    """What finds a label in a prompt."""
    if signed(label):
        # another label may differ from it by the sign only
        return rf"(?<![\w\p{{N}}+#<>-]){re.escape(label)}(?![\w\p{{N}}+#])"
    written = r"[\s_/-]*".join(map(re.escape, _PART.findall(label)))
    return rf"(?<![\w\p{{N}}-]){written}(?![\w\p{{N}}+#-])"
