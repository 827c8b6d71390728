"""Tags of words, words of a text and their places, and windows of words."""

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from classifiers import Reading, Runtime
from classifiers.encoder.session import Encoder
from classifiers.encoder.tokens import Words
from classifiers.model.model import Model, Tagger, tag_count
from classifiers.runtime.classifier import from_model
from classifiers.slots.tags import SlotMark, TagRun, of_places, read, runs, word_windows
from classifiers.text.normalise import normalise
from classifiers.verdict import Abstention

SLOTS = ("people", "time")


def test_a_word_belongs_to_the_mark_that_covers_any_of_it() -> None:
    places = [(0, 5), (6, 9), (10, 11), (11, 13), (14, 17)]
    marks = (SlotMark(name="time", start=10, end=13), SlotMark(name="people", start=14, end=16))
    assert of_places(places, marks, SLOTS) == [0, 0, 3, 4, 1]


def test_the_likeliest_tags_make_runs_with_the_confidence_of_the_least_certain_word() -> None:
    logits = np.full((4, tag_count(2)), -5.0, np.float32)
    logits[0, 0] = logits[1, 3] = logits[3, 1] = 5.0
    logits[2, 4], logits[2, 0] = 1.0, 0.0
    found = runs(logits)
    assert [(run.slot, run.first, run.last) for run in found] == [(1, 1, 2), (0, 3, 3)]
    assert 0.6 < found[0].confidence < 0.75
    assert found[1].confidence > 0.99


@given(arrays(np.float32, st.tuples(st.integers(1, 7), st.just(tag_count(2))), elements=st.floats(-6, 6, width=32)))
def test_runs_are_in_order_apart_and_of_the_best_sequence(logits: np.ndarray) -> None:
    found: list[TagRun] = runs(logits)
    assert all(0 <= run.first <= run.last < len(logits) for run in found)
    assert all(left.last < right.first for left, right in pairwise(found))
    # no single word's tag can be exchanged for `outside` with a gain, where that keeps the sequence whole
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for run in found:
        if run.first == run.last:
            assert shares[run.first, 1 + 2 * run.slot] >= shares[run.first, 0] - 1e-4


@given(st.lists(st.integers(1, 4), max_size=80), st.integers(4, 20), st.integers(0, 3))
def test_every_word_is_judged_once_by_a_window_that_holds_its_first_token(
    lengths: list[int], room: int, overlap: int
) -> None:
    firsts = tuple(np.cumsum([0, *lengths])[:-1].tolist()) if lengths else ()
    words = Words(ids=tuple(range(sum(lengths))), firsts=firsts, places=((0, 1),) * len(firsts))
    found = list(word_windows(words, room=room, overlap=overlap, most=1000))
    assert (
        np.concatenate([piece.words for piece in found]).tolist() == list(range(len(firsts))) if found else not firsts
    )
    assert not list(word_windows(words, room=room, overlap=overlap, most=0))
    for piece in found:
        assert [piece.window[row] for row in piece.rows] == [firsts[word] for word in piece.words]


def words(encoder: Encoder, text: str) -> list[str]:
    return [text[start:end] for start, end in read(text, encoder.words).places]


def test_invisible_and_odd_characters_keep_their_places(encoder: Encoder) -> None:
    texts = {
        "Table  for\tfour,\n7pm": ["Table", "for", "four", ",", "7pm"],
        "um １９:30 bitte": ["um", "１９", ":", "30", "bitte"],
        "for fo\u200bur": ["for", "fo\u200bur"],
        "\ufeffcafé at ½ past": ["café", "at", "½", "past"],
        "\u2026Rene\u0301-Andre\u0301": ["\u2026"] * 3 + ["Rene\u0301", "-", "Andre\u0301"],
        "\u2116:Peter\u200b": ["\u2116", ":", "Peter"],
        "pay $20": ["pay", "$", "20"],
        " \n ": [],
    }
    assert {text: words(encoder, text) for text in texts} == texts
    chinese = "\u4f60\u597d\uff0c\u6211\u60f3\u9884\u8ba2\u660e\u5929\u665a\u4e0a\u7684\u4f4d\u5b50\u3002" * 8
    assert {len(word) for word in words(encoder, chinese)} == {1}


@pytest.mark.parametrize("before", ["", "\u2026"])
def test_words_in_a_long_run_without_blanks_have_their_own_places(encoder: Encoder, before: str) -> None:
    text = before + (
        '{"customer":{"first_name":"Joe","last_name":"Okafor","city":"Leeds"},"people":4,"time":"19:30","team":"north"}'
    )
    found = words(encoder, text)
    assert {"Joe", "Okafor", "Leeds", "north"} <= set(found)
    assert list(read(text, encoder.words).ids) == encoder.tokenize(normalise(text))


@settings(max_examples=30)
@given(st.text(max_size=60))
def test_places_are_in_order_and_within_the_text(encoder: Encoder, text: str) -> None:
    found = read(text, encoder.words)
    assert len(found.firsts) == len(found.places)
    assert list(found.firsts) == sorted(set(found.firsts))
    assert all(0 <= start <= end <= len(text) for start, end in found.places)
    starts = [start for start, _ in found.places]
    assert starts == sorted(starts)


@pytest.fixture
def marking(encoder: Encoder, make_model: Callable[..., Model]) -> Runtime:
    """A tagger that takes every word for a value: what it has read is found."""
    made = make_model("slots", other="else", slots={"person": {"means": "a name"}})
    begins = np.zeros(tag_count(1), np.float32)
    begins[1] = 50
    weights = np.zeros((tag_count(1), encoder.dimensions), np.float32)
    model = replace(made, tagger=Tagger(slots=("person",), weights=weights, bias=begins))
    return Runtime([encoder], {"details": from_model(model)})


@pytest.mark.parametrize(
    "before", ["Hello." + "\n" * 9_000, ("| x" + " " * 300 + "|\n") * 10, " ".join("this agreement is made") * 9]
)
def test_all_that_counts_as_read_was_searched(marking: Runtime, before: str) -> None:
    text = f"{before} Signed: John Smith"
    (verdict,) = marking.classify([Reading(classifier="details", texts=(text,), every_slot=True)])
    assert verdict.windows_unread == 0
    last = verdict.slots[-1]
    assert (last.raw, last.end) == ("Smith", len(text))


def test_past_the_deadline_what_is_not_at_hand_is_late(marking: Runtime) -> None:
    late = Reading(classifier="details", texts=("never read before", "nor this"))
    (verdict,) = marking.classify([late], deadline=time.monotonic())
    assert (verdict.abstention, verdict.reason) == (Abstention.LATE, "deadline")
