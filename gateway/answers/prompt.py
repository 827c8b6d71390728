"""What a prompt says of its answer: which words it names, and under which key of a JSON object. Pure."""

import re
from itertools import islice

from gateway.answers.unmet import Reason, Unmet
from gateway.spelling import Names, folded, signed

_KEY = re.compile(r"[\"'“”`]([A-Za-z_][\w-]{0,63})[\"'“”`]\s*:")
_JSON = re.compile(r"\bjson", re.IGNORECASE)
_LEAST_NAMED = 2


def word(label: str, names: Names, prompt: str) -> str | Unmet:
    """The label as the prompt spells it, or the alias that it has for it. names: all of the classifier's labels, of
    which it must name at least two (one where there is but one): a prompt that names none asks for something else."""
    found = _named(label, names, prompt)
    missing = min(_LEAST_NAMED, len(names.labels)) - bool(found)
    # each label is a search of the whole prompt: no more of them than it takes to know that it names some
    others = (name for name in names.labels if name != label and _named(name, names, prompt))
    if sum(1 for _ in islice(others, missing)) < missing:
        return Unmet(Reason.NO_PLACE)
    if not found:
        return Unmet(Reason.LABEL_NOT_ASKED, label)
    return _meant(label, found) or Unmet(Reason.AMBIGUOUS, ", ".join(found))


def spelled(names: Names, prompt: str, label: str) -> str | None:
    """The same for any of the labels: None where the prompt does not name it, or in several ways."""
    return _meant(label, _named(label, names, prompt))


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
    if label in found:
        return label
    return found[0] if len(found) == 1 else None


def _named(label: str, names: Names, prompt: str) -> list[str]:
    """The ways in which the prompt writes a label, or else its aliases."""
    own = _spellings(label, prompt)
    return own or [found for alias in names.aliases.get(label, ()) for found in _spellings(alias, prompt)]


def _spellings(label: str, prompt: str) -> list[str]:
    """The distinct ways in which the prompt writes a label, in the order in which they come."""
    parts = re.findall(r"[^\W_]+", label)
    if not parts:
        return [label] if label in prompt else []
    if signed(label):
        # another label may differ from it by the sign only
        pattern = rf"(?<![\w+#<>-]){re.escape(label)}(?![\w+#])"
    else:
        written = r"[\s_/-]*".join(map(re.escape, parts))
        pattern = rf"(?<![\w-]){written}(?![\w+#-])"
    found = (match.group() for match in re.finditer(pattern, prompt, re.IGNORECASE))
    return [one for one in dict.fromkeys(found) if folded(one) == folded(label)]
