"""The built-in writer: training sentences from a policy's own words. It needs no model and no network.

The weights of the forms were measured on text by others (docs/design/001-heads-and-thresholds.md): examples and their
variants count most, then the name, the description and its clauses. A label's rows of one form share its weight, but
each of the author's examples keeps a least weight. Everyday sentences serve as text out of scope for single-label
policies, and as harmless text for safety policies.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Container, Iterator, Sequence
from dataclasses import dataclass, replace

from classifiers import data
from classifiers.policy import OTHER, Policy
from classifiers.slots.fill import words as words_of
from classifiers.text.language import code_of
from classifiers.training.rows import Row

_FILLER = frozenset(
    {"a", "an", "the", "please", "just", "really", "very", "so", "to", "of", "for", "my", "me", "i", "i'm", "i've"}
    | {"is", "are", "was", "it's", "do", "does", "did", "can", "could", "would"}
)
_SHORTEST_TO_MANGLE = 4


def plain(text: str) -> str:
    """As typed in a hurry: lower case, no closing mark."""
    return text.lower().rstrip(".?! ")


def short(text: str) -> str:
    """As typed into a search box: filler words left out. The text itself where nothing would be left."""
    words = [word for word in plain(text).replace(",", "").split() if word not in _FILLER]
    return " ".join(words) if len(words) > 1 else plain(text)


def mistyped(text: str, chance: random.Random) -> str:
    """About one slip in six words, outside slot marks: a letter dropped, doubled or swapped with the next."""
    words = words_of(text)
    for _ in range(1 + len(words) // 6):
        place = chance.randrange(len(words))
        word = words[place]
        if len(word) >= _SHORTEST_TO_MANGLE and "](" not in word:
            i = chance.randrange(len(word) - 1)
            slip = chance.choice((word[i + 1 :], word[i] + word[i:], word[i + 1] + word[i] + word[i + 2 :]))
            words[place] = word[:i] + slip
    return " ".join(words)


_AUXILIARIES = "am are be been can could did do does had has have is may must should was were will would"
_STRESSED = "".join(rf"(?<!\b{verb}\s)" for verb in _AUXILIARIES.split())
"""Not preceded by an auxiliary verb: in `the parcel has NOT come`, NOT excludes nothing."""

_NOT = re.compile(rf"[;,.:(]?(?<!\s)\s*(?:(?:and|but)\s+)?{_STRESSED}\bNOT\b|;\s*(?:(?:and|but)\s+)?not\b")
_NAMED = re.compile(r"\(([^()]+)\)\s*$")
_ROLE = "(?:customer|user|caller|client|person|sender|writer|speaker|visitor|employee|patient|student|guest|member)"
_POSSESSIVE = re.compile(rf"(?:\bthe|^an?)\s+{_ROLE}(?:'s|’s)", re.IGNORECASE)
_ADVERBS = r"(?:(?:already|also|always|just|never|no\s+longer|now|often|once|only|recently|sometimes|still)\s+)?"
_TALK = (
    r"(?:asks?|complains?|explains?|objects?(?=\s+to\b)|says?|thinks?|wants?|wonders?"
    # nouns as well
    r"|(?:mentions?|needs?|reports?|requests?|wish(?:es)?)(?!\s+(?:about|and|by|for|from|of|on|or)\b|\s*(?:[,;.]|$)))"
)
_FINITE = (
    rf"{_ADVERBS}(?:can|can't|cannot|could|did|didn't|do|don't|does|had|has|is|may|might|must|should|was|will|would"
    rf"|bought|found|forgot|gave|got|knew|left|lost|made|paid|saw|sent|took|tries|{_TALK}|\w{{2,}}ed"
    r"|\w{2,}s(?=\s+(?:a|an|her|his|how|the|their|to|us|what|when|whether|why)\b))\b(?!-)"
)
_WHO = re.compile(rf"(?i)(?:^|\b(?:the|an?)\s+){_ROLE}(?=\s+{_FINITE})|\b(?:someone|he or she)(?=\s+{_FINITE})")
_OTHERS = re.compile(r"(?i)\b(?:people|others|(?:some|any)(?:body|one)|persons?|child(?:ren)?|(?:an)?other\s+\w+)\b")
_PART = re.compile(r"[^,;:.()]+")
_MINE = {"they": "I", "their": "my", "themselves": "myself"}
_THEIRS = re.compile(rf"\b(?:{'|'.join(_MINE)})\b", re.IGNORECASE)
_TALKS = re.compile(
    r"^I (?:ask|want to know|would like to know|wonder|enquire|inquire|say|report|complain|mention|explain|request)"
    r"(?:\s+(?:about|that|for|of))?\s+(?!(?:us|you)\b)"
)
_OPENING = re.compile(
    rf"(?i)(?:{_TALK}|has|is|tries|threatens|[a-z]{{2,}}s(?=\s+(?:a|an(?= [aeiou])|her|his|somebody|their|us)\b))\b"
)
_TOO = re.compile(rf"(,|\b(?:or|and|but))(\s+)({_TALK}|tries)\b")
_IRREGULAR = {"has": "have", "is": "am", "are": "am", "were": "was", "was": "was", "does": "do", "goes": "go"}
_SPOKEN_CLAUSE = re.compile(
    r"[,(]\s*(?:or |and )?(?:for example |e\.g\. )?|[;:)]\s*|\bor whether\b|\bor (?=(?:says?|asks?|wants?)\b)"
)
_JOINED = re.compile(r"^(?:or|and|but)\s+")
_CAPITAL = re.compile(r"(?<=\w[a-z])(?=[A-Z])")
"""Where a word begins in CamelCase, except in iPhone."""
_FEWEST_WORDS = 3


def name_words(label: str) -> str:
    """`card_arrival` → `card arrival`, `CardArrival` → `Card Arrival`."""
    words = re.sub(r"[\s_./:-]+", " ", label).strip(" ?!,;")
    return words if " " in words else _CAPITAL.sub(" ", words)


def positive(means: str) -> str:
    """The positive part of a description: everything before its first NOT."""
    return _NOT.split(means)[0].strip(" ;,.")


def exclusions(means: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each `NOT … (other_label, …)` of a description: the excluded text, and the names in parentheses."""
    for part in _NOT.split(means)[1:]:
        text = part.strip(" ;,.")
        named = _NAMED.search(text)
        names = tuple(name.strip() for name in named[1].split(",")) if named else ()
        excluded = _NAMED.sub("", text).strip(" ;,.")
        if excluded:
            yield excluded, names


def first_person(description: str) -> str:
    """`The customer wants to move their money` → `I want to move my money`. Other people stay in the third person:
    `wants to send money to someone`, `threatens people because of their faith`."""
    text = _WHO.sub("I", _POSSESSIVE.sub("my", description))
    if _OPENING.match(text):
        verb, *rest = text.split(" ", 1)
        text = " ".join(("I", verb.lower(), *rest))
    return _with_me(text)


def clauses(description: str) -> list[str]:
    """The parts of a first-person description that stand alone, without `I ask about`."""
    parts = map(_by_itself, _SPOKEN_CLAUSE.split(description))
    return [part for part in dict.fromkeys(parts) if len(part.split()) >= _FEWEST_WORDS]


def _by_itself(part: str) -> str:
    part = _JOINED.sub("", part.strip(" ."))
    spoken = _with_me(f"I {part}") if re.match(rf"{_TALK}\b", part) else part
    bare = _TALKS.sub("", spoken)
    # `I ask about or complain about a fee` has two verbs to remove
    return _by_itself(bare) if bare != spoken and _JOINED.match(bare) else bare


def _with_me(text: str) -> str:
    text = _PART.sub(lambda part: _mine(part[0]), text)
    text = re.sub(rf"\bI ({_ADVERBS})(are|were|is|\w{{2,}}s)\b", lambda match: f"I {match[1]}{_plain(match[2])}", text)
    return _TOO.sub(lambda match: f"{match[1]}{match[2]}{_plain(match[3])}", text) if text.startswith("I ") else text


def _mine(part: str) -> str:
    """Replaces `their` by `my`, up to the first mention of other people."""
    others = _OTHERS.search(part)
    end = others.start() if others else len(part)
    return _THEIRS.sub(lambda match: _MINE[match[0].lower()], part[:end]) + part[end:]


def _plain(verb: str) -> str:
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("ies"):
        return f"{verb[:-3]}y"
    return re.sub(r"(?<=ss|sh|ch|zz)es$|(?<=x)es$|(?<![su])s$", "", verb)


JOINTS = ("{one}. {two}", "{one}, and {two}", "{one} and also {two}", "{one}\n{two}", "{one}. By the way, {two}")
_ENDS = "!?…"
_WEIGHT = 0.75


def together(policy: Policy, rows: Sequence[Row], chance: random.Random) -> tuple[list[Row], int]:
    """(the rows with texts of two labels, how many texts were added): both orders of pairs of the policy's examples.
    Each example is in at most one pair. A pair and everything made of it is one group, so that no half of a text is
    measured on while the whole is trained on."""
    examples = [row for row in rows if row.source == "policy" and len(row.labels) == 1]
    chance.shuffle(examples)
    joined: list[Row] = []
    groups: dict[str, str] = {}
    while examples:
        first = examples.pop()
        place = next((n for n, other in enumerate(examples) if other.labels != first.labels), None)
        if place is None:
            continue
        second = examples.pop(place)
        group = f"{first.group} and {second.group}"
        groups |= {first.group: group, second.group: group}
        labels = tuple(label for label in policy.labels if label in {*first.labels, *second.labels})
        joined += [
            Row(text=text, labels=labels, group=group, source="builtin", weight=_WEIGHT)
            for text in (_join(first.text, second.text, chance), _join(second.text, first.text, chance))
        ]
    return [*(replace(row, group=groups.get(row.group, row.group)) for row in rows), *joined], len(joined)


def _join(first: str, second: str, chance: random.Random) -> str:
    """Two texts in one; a closing mark of the first replaces the joint's full stop."""
    joint, bare = chance.choice(JOINTS), first.rstrip(" .")
    if bare.endswith(tuple(_ENDS)):
        joint = joint.replace("{one}.", "{one}")
        bare = bare.rstrip(_ENDS) if joint.startswith(("{one},", "{one} and")) else bare
    return joint.format(one=bare, two=second)


_MOST_ROWS = 20_000
"""Over all labels. With many labels each gets fewer forms, the weightiest first; the author's texts always stay."""

_BRIEF_SCALE = 3.0
"""How much more the author's words count where any label has plenty of sentences by others (else 1.0 to 1.7 points less
where every second label has)."""

_EVERYDAY_WEIGHT = 8.0
"""The weight of all everyday rows together: about that of a label's rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinSentences:
    """The writer's rows and, for the report, how many of each form."""

    rows: tuple[Row, ...]
    forms: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to express a label. weight: shared by its rows; least: of each row; probe: whether rows are like users'
    messages; brief: whether it helps even with plenty of sentences by others."""

    name: str
    weight: float
    least: float = 0.0
    probe: bool = False
    brief: bool = False


_EXAMPLE = _Form("example", 1.5, 0.75, probe=True, brief=True)
_NAME = _Form("name", 1.0, brief=True)
_MEANS = _Form("description", 1.0, brief=True)
_SPOKEN = _Form("description in the first person", 1.0, brief=True)
_NAMED_EXAMPLE = _Form("name: example", 1.0, 0.2, brief=True)
_NAMED_CLAUSE = _Form("name: clause", 0.7)
_CLAUSE = _Form("clause", 0.7)
_FRAMED = _Form("framed example", 0.7, 0.05)
_PLAIN = _Form("hurried example", 0.5, 0.2)
_SHORT = _Form("short example", 0.3, 0.1)
_MISTYPED = _Form("mistyped example", 0.2, 0.1)
_EXCLUDED = _Form("exclusion of another label", 0.3)
_AUTHORS = (_EXAMPLE, _NAME, _MEANS)


def write(policy: Policy, seed: int, *, plenty: Collection[str] = (), without: Container[str] = ()) -> BuiltinSentences:
    """Rows for every label of the policy and for text of no label. The same seed writes the same rows. plenty: labels
    with plenty of sentences by others, which get no paraphrases; without: forms to leave out."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    limit = max(4, _MOST_ROWS // len(policy.labels))
    english = "en" in map(code_of, policy.languages)
    rows: list[Row] = []
    forms: Counter[str] = Counter()
    excluded = _excluded_elsewhere(policy)
    scale = _BRIEF_SCALE if plenty else 1.0
    for name in policy.labels:
        made = [
            (form, text, group)
            for form, text, group in _label_forms(policy, name, excluded.get(name, ()), chance, english=english)
            if (form.brief or name not in plenty) and form.name not in without
        ]
        made.sort(key=lambda form_text: -form_text[0].weight)
        made = [form_text for place, form_text in enumerate(made) if place < limit or form_text[0] in _AUTHORS]
        count = Counter(form.name for form, _, _ in made)
        rows += [
            Row(
                text=text,
                labels=(name,),
                group=f"{name}/{group}",
                source="policy" if form is _EXAMPLE else "builtin",
                weight=scale * max(form.least, form.weight / count[form.name]),
                probe=form.probe,
            )
            for form, text, group in made
        ]
        forms += count
    misses = list(_near_misses(policy, chance, plenty, english=english)) if "near miss" not in without else []
    rows += misses
    if policy.several:
        rows, joined = together(policy, rows, chance)
        forms["two labels"] = joined
    forms["near miss"] = len(misses)
    if english and policy.everyday and (policy.multi_label or policy.other is not None):
        everyday = _everyday(policy)
        # a guard that is tuned on plenty of rows learns it; one of few would learn little else
        learned = policy.reads_parts or (policy.kind == "safety" and policy.recipe == "finetune" and plenty)
        traffic = _ordinary_traffic(apart=policy.builds_on is not None) if learned else []
        rows += [*everyday, *traffic]
        forms["everyday text"], forms["ordinary traffic"] = len(everyday), len(traffic)
    return BuiltinSentences(rows=tuple(rows), forms={form: number for form, number in forms.items() if number})


def _everyday(policy: Policy) -> list[Row]:
    """Everyday sentences, which have none of the labels."""
    texts = data.lines("everyday.txt")
    labels = () if policy.multi_label else (OTHER,)
    weight = 1.0 if policy.kind == "safety" else _EVERYDAY_WEIGHT / len(texts)
    return [
        Row(text=text, labels=labels, group=f"everyday {index}", source="builtin", weight=weight)
        for index, text in enumerate(texts)
    ]


def _ordinary_traffic(*, apart: bool) -> list[Row]:
    """Harmless lines of ordinary traffic, some of which share words and subjects with harm. A linear head of few rows
    catches less with them: docs/design/004-guards.md. apart: a third of the groups, of which a network learns nothing:
    whoever builds on it is measured on them. Else the other groups."""
    groups = data.table("ordinary.json").items()
    kept = [(group, texts) for group, texts in groups if (int(group.rsplit("-", 1)[1]) % 3 == 0) is apart]
    weight = 0.0 if apart else 1.0
    return [
        Row(text=text, labels=(), group=group, source="builtin", weight=weight)
        for group, texts in kept
        for text in texts
    ]


def _label_forms(
    policy: Policy, name: str, excluded: Sequence[str], chance: random.Random, *, english: bool
) -> Iterator[tuple[_Form, str, str]]:
    """(form, text, group) of everything that a label's examples and description give."""
    label, words, safety = policy.labels[name], name_words(name), policy.kind == "safety"
    for index, example in enumerate(label.examples):
        group = f"example {index}"
        yield _EXAMPLE, example, group
        yield _PLAIN, plain(example), group
        if english:
            yield _NAMED_EXAMPLE, f"{words}: {example}", group
            yield _MISTYPED, mistyped(example, chance), group
            if safety:
                # near misses get the same frames, so that frames do not separate the sides
                yield _SHORT, short(example), group
                for frame in _some_frames(len(label.examples), chance):
                    yield _FRAMED, frame.format(x=example), group
    means = positive(label.means)
    spoken = first_person(means)
    yield _MEANS, means, "means"
    if not safety:
        # the bare name of a harmful label is no harmful message
        yield _NAME, words, _NAME.name
    if english:
        yield _SPOKEN, spoken, "means"
    if english and not safety:
        for clause in clauses(spoken):
            yield _CLAUSE, clause, "means"
            yield _NAMED_CLAUSE, f"{words}: {clause}", "means"
        yield from ((_EXCLUDED, text, _EXCLUDED.name) for text in excluded)


def _excluded_elsewhere(policy: Policy) -> dict[str, list[str]]:
    """By label, the texts that other descriptions exclude in its favour: `NOT a late card (card_arrival)`."""
    excluded: dict[str, list[str]] = defaultdict(list)
    for excluding, label in policy.labels.items():
        for text, names in exclusions(label.means):
            for name in names:
                if name in policy.labels and name != excluding:
                    excluded[name].append(text)
    return excluded


def _near_misses(policy: Policy, chance: random.Random, plenty: Container[str], *, english: bool) -> Iterator[Row]:
    """The `not:` lines: harmless for safety, and for single-label kinds only not that label. They get paraphrases where
    the label's examples do."""
    safety = policy.kind == "safety"
    for name, label in policy.labels.items():
        for index, text in enumerate(label.not_):
            group = f"{name}/not {index}"
            yield Row(text=text, labels=(), against=() if safety else (name,), group=group, source="policy")
            if english and safety and name not in plenty:
                forms = [plain(text), short(text), mistyped(text, chance)]
                forms += [frame.format(x=text) for frame in _some_frames(len(label.not_), chance)]
                for form in forms:
                    yield Row(text=form, labels=(), group=group, source="builtin", weight=0.15, probe=False)


def _some_frames(messages: int, chance: random.Random) -> list[str]:
    """All frames for a single message, two for each of many."""
    around = data.lines("around.txt")
    return chance.sample(around, max(2, len(around) // messages))
