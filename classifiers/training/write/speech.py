"""What a label's description says, as a person would say it: third person → first, one clause at a time. Pure."""

import re
from collections.abc import Iterator

_NOT = re.compile(r"[;,.:(]?\s*(?:(?:and|but)\s+)?\bNOT\b|;\s*(?:(?:and|but)\s+)?not\b")
_NAMED = re.compile(r"\(([^()]+)\)\s*$")
_SUBJECT = r"(?:customer|user|caller|client|person|sender|writer|speaker|visitor|employee|patient|student|guest)"
_POSSESSIVE = re.compile(rf"\b(?:the|a|an)\s+{_SUBJECT}(?:'s|’s)", re.IGNORECASE)
_WHO = re.compile(rf"\b(?:(?:the|a|an)\s+{_SUBJECT}|someone|they|he or she)\b", re.IGNORECASE)
_TALKS = re.compile(
    r"^I (?:ask|want to know|would like to know|wonder|enquire|inquire|say|report|complain|mention|explain|request)"
    r"(?:\s+(?:about|that|for|of))?\s+",
    re.IGNORECASE,
)
_TALK = r"asks?|wants?|says?|needs?|complains?|reports?|requests?|wishes"
_OPENING = re.compile(rf"^(?:{_TALK}|sees?|has|is|tries|thinks?)\b")
_TALKING = re.compile(rf"^(?:{_TALK})\b")
_IRREGULAR = {"has": "have", "is": "am", "does": "do", "goes": "go", "tries": "try", "wishes": "wish"}
_CLAUSE = re.compile(
    r",\s*(?:or |and )?|;\s*|:\s*|\bor whether\b|\((?:for example |e\.g\. )?|\)|\bor (?=(?:says|asks|wants)\b)"
)
_FEWEST_WORDS = 3


def name_words(label: str) -> str:
    """`card_arrival` → `card arrival`."""
    return re.sub(r"[\s_./:-]+", " ", label).strip(" ?!,;")


def positive(means: str) -> str:
    """What the description says holds: all before its first NOT."""
    return _NOT.split(means)[0].strip(" ;,.")


def exclusions(means: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each `NOT … (other_label, …)` of the description: what is excluded, and the names in its parentheses."""
    for part in _NOT.split(means)[1:]:
        text = part.strip(" ;,.")
        named = _NAMED.search(text)
        names = tuple(name.strip() for name in named[1].split(",")) if named else ()
        told = _NAMED.sub("", text).strip(" ;,.")
        if told:
            yield told, names


def first_person(description: str) -> str:
    """`The customer wants to move their money` → `I want to move my money`."""
    text = _POSSESSIVE.sub("my", description)
    text = _WHO.sub("I", text)
    return _with_me(f"I {text}" if _OPENING.match(text) else text)


def clauses(told: str) -> list[str]:
    """The parts of a first-person description that say something by themselves, without `I ask about`."""
    parts = (part.strip() for part in _CLAUSE.split(told))
    said = (_with_me(f"I {part}") if _TALKING.match(part) else part for part in parts)
    bare = (_TALKS.sub("", part).strip(" .") for part in said)
    return [part for part in dict.fromkeys(bare) if len(part.split()) >= _FEWEST_WORDS]


def _with_me(text: str) -> str:
    text = re.sub(r"\b(?:their own|their)\b", "my", text)
    text = re.sub(r"\bthem\b", "me", text)
    text = re.sub(r"\bI are\b", "I am", text)
    return re.sub(r"\bI (\w+s)\b", lambda match: f"I {_plain(match[1])}", text)


def _plain(verb: str) -> str:
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    return verb if verb.endswith(("ss", "was", "us")) else verb[:-1]
