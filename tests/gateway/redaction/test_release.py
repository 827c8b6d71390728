"""Streams that pass by sentences: what is cut where, and that the whole becomes what it becomes when it is held."""

import json
import random
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.patterns.find import find
from gateway.protocols import sse
from gateway.protocols.chat_answers import CHAT
from gateway.redaction.placeholders import Edit, Placeholders, RedactedSpan, edits, holds_json, moved, replace_spans
from gateway.redaction.release import ReleasedEvents, held_from, sentence_end

WORDS = ["The", "order", "is", "card", "IBAN", "password:", "ssn", "call me at", "phone", "customers", "We", "know."]
FORMS = [
    "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "GB29 NWBK 6016 1331 9268 19", "joe@example.com",
    "ann [at] example [dot] org", "+49 170 123 4567", "(415) 555-2671", "123-45-6789", "078 05 1120", "hunter22!",
    "10.1.2.3", "42", "1200000", "sk-abcdefghijklmnopqrstuvwx", "RSS MRA 85T10 A562S", "ZZ 1234567", "[EMAIL_1]",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE abc. def\n-----END RSA PRIVATE KEY-----",
    '```json\n{"a": 4111111111111111, "b": "joe@example.com"}\n```', "```\ncode. here\n```",
]  # fmt: skip
BETWEEN = [" ", " ", " ", ". ", ".\n", "\n", "! ", ", ", "? ", "\n\n", "。", " - "]
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS + FORMS), st.sampled_from(BETWEEN)), min_size=1, max_size=60).map(
    lambda pairs: "".join(word + between for word, between in pairs)
)


NUMBERED = re.compile(r"_\d+\]")


def redacted(text: str, placeholders: Placeholders, before: str = "") -> list[Edit]:
    shift = len(before)
    spans = [RedactedSpan(start=one.start + shift, end=one.end + shift, kind=one.kind) for one in find(text)]
    return edits(before + text, spans, placeholders, is_json=holds_json(before + text))


def released(text: str, size: Callable[[], int]) -> str:
    """The text after a stream in pieces, each read and redacted as soon as it may be."""
    events, placeholders, left = ReleasedEvents(CHAT.answers), Placeholders(), text
    passed: list[bytes] = []
    while True:
        cut = size()
        if left:
            events.add(sse.event(json.dumps({"choices": [{"delta": {"content": left[:cut]}}]}).encode()))
        else:
            events.finish(b"")
        while (part := events.due()) is not None:
            own = redacted(part.text, placeholders, part.before)
            part.source.settle(part.end, [moved(edit, part.start - len(part.before)) for edit in own])
        passed += events.leaving()
        if not left:
            return "".join(json.loads(sse.data_of(one) or b"")["choices"][0]["delta"]["content"] for one in passed)
        left = left[cut:]


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(0, 1000))
def test_a_stream_by_sentences_becomes_what_it_becomes_when_held(text: str, seed: int) -> None:
    sizes = random.Random(seed)
    whole = replace_spans(text, redacted(text, Placeholders()))
    passed = released(text, lambda: sizes.choice([1, 2, 4, 7, 30, 200]))
    # a number that is found in part, and then as a whole, has used up a placeholder
    assert NUMBERED.sub("]", passed) == NUMBERED.sub("]", whole)


LONG = "word " * 80


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("The first sentence is this. And", 28),
        ("The first sentence is this.", None),
        ("The first sentence is this.\n\nAnd", 29),
        ('He wrote to all: "Come." And', 25),
        ("Short. The next is read with it. And", 33),
        ("これは最初の文であり、十分に長いものです。次の文", 21),
        (LONG, 300),
        ("x" * 400, None),
        ("x" * 400 + " y", 401),
        ('{"a": "The first sentence is this. And', None),
        ("[see](here) The first sentence is this. And", 40),
        ("Here is what is asked:\n```json\n{}. \n", 23),
        ('Here is what is asked:\n```json\n{"a": "b. c"}\n``` And so on it goes.', 23),
    ],
)
def test_a_sentence_ends(text: str, end: int | None) -> None:
    assert sentence_end(text, 0) == end


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("The first sentence is this. ", ""),
        ("Its number is 4111 1111 ", "number is 4111 1111 "),
        ("The price is 42. That is much more than all others cost. ", ""),
        ("write to ann [at] ", "to ann [at] "),
        ("The IBAN is GB29 NWBK ", "IBAN is GB29 NWBK "),
    ],
)
def test_what_may_begin_a_match_waits(text: str, waits: str) -> None:
    assert text[held_from(text, len(text)) :] == waits
