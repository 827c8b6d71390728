"""Odd text, and training rows that are odd in some way, as data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_MEGABYTE = 1_000_000
TEXTS: Mapping[str, str] = {
    "empty": "",
    "white space": " \n\t\u2028 ",
    "one word": "hi",
    "one letter": "a",
    "marks only": "?!",
    "control characters": "\x00\x01\x1b",
    "half of a surrogate pair": "card \ud83d arrived",
    "emoji": "😀🎉👍🏽👨‍👩‍👧🏳️‍🌈",
    "right to left": "كم سعر الصرف اليوم؟ متى تصل بطاقتي الجديدة؟",
    "mixed scripts": "please отмена my карта 我的卡 card كارت",
    "stacked marks": "a" + "\u0301" * 5000,
    "a megabyte of words": "where is my new card " * (_MEGABYTE // 21),
    "a megabyte without a space": "x" * _MEGABYTE,
    "a megabyte of emoji": "😀" * (_MEGABYTE // 4),
    "a megabyte right to left": "كم سعر " * (_MEGABYTE // 12),
    "a megabyte of nothing": "\u200b" * (_MEGABYTE // 3),
    "a megabyte of spaces": " " * _MEGABYTE,
    "a megabyte of base64": "QUJDZGVm" * (_MEGABYTE // 8),
    "a megabyte of lines": "a\n" * (_MEGABYTE // 2),
}
"""By what is odd about them."""

PLAIN = "descriptions alone"
"""The case whose model is asked about odd texts."""

SUBJECTS = ("card", "refund", "exchange rate", "lost phone", "new address", "limit")
ASKED = ("where is my", "tell me of the", "I need help with the", "what about the")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A training run. what: is odd about it; policy: as its YAML would hold it; rows: of text and label."""

    what: str
    policy: Mapping[str, Any]
    rows: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        """The policy's."""
        return str(self.policy["kind"])


def described(count: int, examples: int = 2) -> dict[str, Any]:
    """Labels, each with a description and examples of its own."""
    return {
        f"label {index}": {
            "means": f"asks about the {SUBJECTS[index % len(SUBJECTS)]} number {index}",
            "examples": [f"{ask} {SUBJECTS[index % len(SUBJECTS)]} {index}" for ask in ASKED[:examples]],
        }
        for index in range(count)
    }


def cases(most_labels: int) -> Iterator[Case]:
    """Every kind of odd rows for every kind of policy; and `most_labels` labels. Topics are trained as
    intents are, so one case of theirs will do."""
    for kind in ("intent", "safety"):
        yield from _labelled(kind, most_labels)
    yield next(_labelled("topic", most_labels))
    yield from _slots()


def _labelled(kind: str, most_labels: int) -> Iterator[Case]:
    def case(what: str, labels: Mapping[str, Any], rows: Iterator[tuple[str, str]] | None = None) -> Case:
        policy = {"version": 1, "name": "odd", "kind": kind, "about": "messages to a bank", "labels": labels}
        return Case(what=what, policy=policy, rows=tuple(rows or ()))

    texts = [text for text in TEXTS.values() if text.strip()]
    three, two = described(3, examples=0), described(2, examples=0)
    yield case(PLAIN, three)
    yield case("odd texts as rows", described(3), ((text, f"label {i % 3}") for i, text in enumerate(texts)))
    yield case("an empty text among rows", three, iter([("hi", "label 0"), ("", "label 1")]))
    yield case("two rows a label", three, ((f"{ask} {i}", f"label {i}") for i in range(3) for ask in ASKED[:2]))
    many = [(f"my card number {i} has not come", "label 0") for i in range(1000)]
    yield case("1,000 rows to 1", two, iter([*many, ("I want my money back", "label 1")]))
    yield case("a label without rows", three, ((f"question {i} on cards", f"label {i % 2}") for i in range(60)))
    yield case("a label of which nothing is left", {**two, "b": {"means": "."}})
    yield case(
        "each text under both labels", two, ((f"message {i}", f"label {j}") for i in range(40) for j in range(2))
    )
    yield case("labels at random", two, ((f"message about my card {i}", f"label {i % 2}") for i in range(200)))
    numbered = (
        (f"{ask} {SUBJECTS[i % len(SUBJECTS)]} number {i * 7 + turn}", f"label {i}")
        for i in range(most_labels)
        for turn, ask in enumerate(ASKED)
    )
    yield case(f"{most_labels:,} labels of 4 rows", described(most_labels, examples=0), numbered)


def _slots() -> Iterator[Case]:
    def case(what: str, rows: list[str]) -> Case:
        slots = {
            "people": {"means": "how many come", "type": "number", "required": True, "examples": ["2", "four"]},
            "time": {"means": "when", "type": "time", "hours": "11:00-23:00", "examples": ["7 pm", "noon"]},
        }
        policy = {"version": 1, "name": "odd", "kind": "slots", "about": "booking a table", "slots": slots}
        return Case(what=what, policy=policy, rows=tuple((row, "odd") for row in rows))

    plain = [f"table for [{count}](people) at [{time}](time)" for count in (2, "four", 6) for time in ("7 pm", "noon")]
    yield case(PLAIN, [])
    yield case("odd texts as rows", [*plain, *filter(str.strip, TEXTS.values()), "[" + "x" * 100_000 + "](people)"])
    yield case("no row marks anything", [f"table number {index} at night" for index in range(12)])
    both = ["at [7 pm](time)", "at [7 pm](people)"]
    uneven = [f"at [{i % 12 + 1} pm](time)" for i in range(100)]
    yield case("100 rows of one slot to 1 of another, one text marked as both", [*uneven, plain[0], *both])
