"""Whatever text comes, there is a verdict: a label, or an abstention that says why."""

from collections.abc import Callable, Mapping
from math import isfinite

import pytest

from classifiers.encoder.session import Encoder
from classifiers.model.model import Model
from classifiers.runtime.classifier import from_model
from classifiers.runtime.runtime import Runtime
from classifiers.verdict import Abstention, Reading, Verdict

KINDS = ("intent", "topic", "safety")
NOTHING = {"empty", "white space", "control characters", "a megabyte of spaces"}
TOO_LONG = {"a megabyte of words", "a megabyte without a space", "a megabyte right to left", "a megabyte of lines"}
FOREIGN = {"right to left", "mixed scripts", "a megabyte right to left"}
BUDGET = 8


@pytest.fixture
def runtime(encoder: Encoder, make_model: Callable[..., Model]) -> Runtime:
    made = {kind: make_model(kind, limit=2.0) for kind in KINDS}
    return Runtime([encoder], {kind: from_model(model) for kind, model in made.items()})


def verdict_on(runtime: Runtime, kind: str, *texts: str) -> Verdict:
    return runtime.classify([Reading(classifier=kind, texts=texts, max_windows=BUDGET)])[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_verdict_comes_of_any_text(runtime: Runtime, kind: str, odd: str, odd_texts: Mapping[str, str]) -> None:
    verdict = verdict_on(runtime, kind, odd_texts[odd])
    assert (verdict.abstention is Abstention.BROKEN) == (verdict.windows_unread > 0)
    assert verdict.windows_read <= BUDGET
    assert all(isfinite(score) and 0 <= score <= 1 for score in verdict.scores.values())
    assert 0 <= verdict.confidence <= 1
    assert verdict.labels or verdict.abstention or kind == "safety"
    assert verdict.reason or not verdict.abstention
    if odd in NOTHING:
        assert (verdict.labels, verdict.windows_read, verdict.reason) == ((), 0, "nothing to read")
    if odd in TOO_LONG:
        assert verdict.abstention is Abstention.BROKEN
    elif odd in FOREIGN:
        assert (verdict.labels, verdict.abstention) == ((), Abstention.LANGUAGE)


def test_odd_texts_beside_a_plain_one_do_not_change_what_is_said_of_it(
    runtime: Runtime, odd_texts: Mapping[str, str]
) -> None:
    short = [text for name, text in odd_texts.items() if "megabyte" not in name]
    readings = [Reading(classifier="intent", texts=(text,)) for text in (*short, "where is my new card")]
    alone = runtime.classify(readings[-1:])[0]
    assert runtime.classify(readings)[-1] == alone
    assert alone.labels == ("card_arrival",)


def test_harm_among_odd_texts_is_found(runtime: Runtime, odd_texts: Mapping[str, str]) -> None:
    harm = "I will kill you, I am going to hurt them badly"
    for name, text in odd_texts.items():
        if "megabyte" not in name:
            assert verdict_on(runtime, "safety", text, harm).labels == ("violence",), name
