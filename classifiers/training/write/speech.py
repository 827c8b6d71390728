"""What a label's description says, as a person would say it: third person → first, one clause at a time. Pure."""

import re
from collections.abc import Iterator

_AUXILIARIES = (
    *("am", "are", "be", "been", "can", "could", "did", "do", "does", "had"),
    *("has", "have", "is", "may", "must", "should", "was", "were", "will", "would"),
)
_STRESSED = "".join(rf"(?<!\b{verb}\s)" for verb in (*_AUXILIARIES, *map(str.upper, _AUXILIARIES)))
"""Before a NOT that excludes nothing, but is part of what holds: `the parcel has NOT come`."""

_NOT = re.compile(
    rf"[;,.:(]?(?<!\s)\s*(?:(?:and|but|AND|BUT)\s+)?{_STRESSED}\bNOT\b|;\s*(?:(?:and|but)\s+)?not\b"
    r"|[;,.:(]\s*(?:[Tt]his|[Ii]t|[Tt]hese)\s+(?:is|are|does|do)\s+NOT\b"
    r"|(?:\b(?:[Tt]his|[Ii]t|[Tt]hese|[Tt]hat|[Ww]hich|and|but)\s+)?\b(?:is|are)\s+NOT\b(?=\s+about\b)"
)
_NAMED = re.compile(r"\(([^()]+)\)\s*$")
_ROLE = (
    r"(?:customer|user|caller|client|person|sender|writer|speaker|visitor|employee|patient|student|guest|resident|player"
    r"|member|parent|tenant|driver|passenger|traveller|buyer|subscriber|applicant)"
)
_POSSESSIVE = re.compile(rf"(?:\bthe|^an?)\s+{_ROLE}(?:'s|’s)", re.IGNORECASE)
_ADVERBS = r"(?:(?:already|also|always|just|never|no\s+longer|now|often|once|only|recently|sometimes|still)\s+)?"
_TALK = (
    r"(?:asks?|complains?|explains?|objects?(?=\s+to\b)|says?|thinks?|wants?|wonders?"
    # nouns as well
    r"|(?:mentions?|needs?|reports?|requests?|wish(?:es)?)(?!\s+(?:about|and|by|for|from|of|on|or)\b|\s*(?:[,;.]|$)))"
)
_FINITE = (
    rf"{_ADVERBS}(?:can|can't|cannot|could|did|didn't|do|don't|does|had|has|is|may|might|must|should|was|will|would|bought"
    rf"|found|forgot|gave|got|knew|left|lost|made|paid|saw|sent|took|tries|{_TALK}|\w{{2,}}ed"
    r"|\w{2,}s(?=\s+(?:a|an|her|his|how|the|their|to|us|what|when|whether|why)\b))\b(?!-)"
)
_WHO = re.compile(rf"\b(?:(?:the|a|an)\s+{_ROLE}|someone|he or she)(?=\s+{_FINITE})", re.IGNORECASE)
_PASSIVE = r"\w{2,}ed\b(?!\s+(?:a|an|her|his|how|our|that|the|their|to|us|what|when|whether|why)\b)"
"""Without a verb before it, most likely passive: `customer charged twice`."""
_BARE = re.compile(
    rf"^{_ROLE}(?:(?=\s+{_FINITE})(?!\s+{_ADVERBS}{_PASSIVE})|s(?=\s+(?:{_TALK}|are|have|see|try)\b))", re.IGNORECASE
)
_OTHERS = re.compile(
    r"\b(?:people|others|somebody|someone|anybody|anyone|persons?|child(?:ren)?|friends?|colleagues?|(?:an)?other\s+\w+)\b",
    re.IGNORECASE,
)
_PART = re.compile(r"[^,;:.()]+")
_US_TO_THEM = re.compile(
    r"\b(us to (?:call|contact|email|help|inform|notify|phone|refund|remind|send|show|tell|text)) them\b"
)
_MINE = {"they": "I", "their": "my", "themselves": "myself"}
_THEIRS = re.compile(rf"\b(?:{'|'.join(_MINE)})\b", re.IGNORECASE)
_TALKS = re.compile(
    r"^I (?:ask|want to know|would like to know|wonder|enquire|inquire|say|report|complain|mention|explain|request)"
    r"(?:\s+(?:about|that|for|of))?\s+(?!(?:us|you)\b)",
    re.IGNORECASE,
)
_OPENING = re.compile(
    rf"^(?:(?:{_TALK}|sees?|has|is|tries|threatens)\b"
    r"|[a-z]{2,}s(?=\s+(?:a|an(?= [aeiou])|her|his|someone|somebody|their|us)\b))",
    re.IGNORECASE,
)
_TALKING = re.compile(rf"^{_TALK}\b")
_TOO = re.compile(rf"(,|\b(?:or|and|but))(\s+)({_TALK}|tries)\b")
_IRREGULAR = {"has": "have", "is": "am", "does": "do", "goes": "go", "dies": "die", "lies": "lie", "ties": "tie"}
_HISSED = ("sses", "shes", "ches", "xes", "zzes")
_CLAUSE = re.compile(
    r",\s*(?:or |and )?(?:for example |e\.g\. )?|;\s*|:\s*|\bor whether\b|\((?:for example |e\.g\. )?|\)"
    r"|\bor (?=(?:says?|asks?|wants?)\b)"
)
_JOINED = re.compile(r"^(?:or|and|but)\s+")
_CAPITAL = re.compile(r"(?<=[a-z]{2})(?=[A-Z])|(?<=[a-z](?:At|By|In|Is|My|Of|On|Or|To))(?=[A-Z])")
"""Where a word begins in CamelCase, but not in iPhone."""
_FEWEST_WORDS = 3


def name_words(label: str) -> str:
    """`card_arrival` → `card arrival`, `CardArrival` → `Card Arrival`."""
    words = re.sub(r"[\s_./:-]+", " ", label).strip(" ?!,;")
    return words if " " in words else _CAPITAL.sub(" ", words)


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
    """`The customer wants to move their money` → `I want to move my money`. Whoever is not the sender stays who it is:
    `wants to send money to someone`, `threatens people because of their faith`."""
    text = _BARE.sub("I", description)
    text = _WHO.sub("I", _POSSESSIVE.sub("my", text))
    if _OPENING.match(text):
        verb, *rest = text.split(" ", 1)
        text = " ".join(("I", verb.lower(), *rest))
    return _with_me(text)


def clauses(told: str) -> list[str]:
    """The parts of a first-person description that say something by themselves, without `I ask about`."""
    parts = map(_by_itself, _CLAUSE.split(told))
    return [part for part in dict.fromkeys(parts) if len(part.split()) >= _FEWEST_WORDS]


def _by_itself(part: str) -> str:
    part = _JOINED.sub("", part.strip(" ."))
    said = _with_me(f"I {part}") if _TALKING.match(part) else part
    bare = _TALKS.sub("", said)
    # of `I ask about or complain about a fee` there is more to leave out
    return _by_itself(bare) if bare != said and _JOINED.match(bare) else bare


def _with_me(text: str) -> str:
    text = _US_TO_THEM.sub(r"\1 me", _PART.sub(lambda part: _mine(part[0]), text))
    text = re.sub(r"\bI are\b", "I am", re.sub(r"\bI were\b", "I was", text))
    text = re.sub(rf"\bI ({_ADVERBS})(is|\w{{2,}}s)\b", lambda match: f"I {match[1]}{_plain(match[2])}", text)
    if not text.startswith("I "):
        return text
    return _TOO.sub(lambda match: f"{match[1]}{match[2]}{_plain(match[3])}", text)


def _mine(part: str) -> str:
    """What is theirs is mine, up to where a part speaks of others."""
    others = _OTHERS.search(part)
    end = others.start() if others else len(part)
    return _THEIRS.sub(lambda match: _MINE[match[0].lower()], part[:end]) + part[end:]


def _plain(verb: str) -> str:
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("ies"):
        return f"{verb[:-3]}y"
    if verb.endswith(_HISSED):
        return verb[:-2]
    return verb if verb.endswith(("ss", "was", "us")) or not verb.endswith("s") else verb[:-1]
