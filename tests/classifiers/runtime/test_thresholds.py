from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.encoder.session import Encoder
from classifiers.model.model import Band, Model, Novelty, Threshold, Usual
from classifiers.policy import OTHER
from classifiers.runtime.classifier import from_model
from classifiers.runtime.runtime import Runtime
from classifiers.runtime.thresholds import (
    CUTS,
    NOVELTY_LIMIT,
    band_of,
    families,
    language_of,
    name_any,
    name_one,
    score,
)
from classifiers.text.language import LanguageDetector
from classifiers.verdict import Abstention, Reading, Verdict

LIMITS = {"a": Threshold(act=0.8, unsure=0.4), "b": Threshold(act=0.6, unsure=0.6)}
SHARES = st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3)


def of(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_what_is_novel_is_unsure() -> None:
    assert name_one("ab", of(0.9, 0.1), LIMITS, novel=True).abstention is Abstention.UNSURE
    assert name_one(("a", OTHER), of(0.1, 0.9), LIMITS, novel=True).confidence == pytest.approx(0.9)


def test_a_grey_label_makes_unsure_beside_one_that_holds() -> None:
    grey = name_any("ab", of(0.5, 0.9), LIMITS)
    assert (grey.labels, grey.abstention) == (("b",), Abstention.UNSURE)
    assert grey.reason == "a at 0.500, 0.800 is needed"


@given(SHARES, st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_properties(shares: list[float], one: float, other: float, novel: bool) -> None:
    limit = Threshold(act=max(one, other), unsure=min(one, other))
    thresholds = dict.fromkeys("abc", limit)
    single = name_one("abc", of(*shares), thresholds, novel=novel)
    many = name_any("abc", of(*shares), thresholds, novel=novel)
    assert 0 <= single.confidence <= 1
    assert 0 <= many.confidence <= 1
    assert len(single.labels) == (single.abstention is None)
    named = {label for label, share in zip("abc", of(*shares), strict=True) if share >= limit.act}
    assert set(many.labels) == named
    assert bool(many.reason) == (many.abstention is not None)


STRICT = {name: Threshold(act=1.0, unsure=1.0) for name in ("card_arrival", "exchange_rate", "lost_card")}
SHORT, LONG = "where is my new card?", "where is my new card, it was sent two weeks ago and has still not arrived here"
GERMAN = "wo bleibt denn meine neue Karte?"


@given(st.integers(1, 100_000), st.sampled_from(["", "de"]))
def test_a_text_is_in_one_band(chars: int, language: str) -> None:
    mine = band_of(chars, language)
    others = {band_of(above + 1, language) for above in CUTS} - {mine}
    assert mine.holds(chars, language)
    assert not any(band.holds(chars, language) for band in others)


def test_the_language_of_a_text_is_one_of_the_policys(detector: LanguageDetector) -> None:
    known = families(["en", "de"])
    assert language_of(detector.stretches(SHORT), known) == "en"
    assert language_of(detector.stretches(GERMAN), known) == "de"
    assert language_of((), known) == ""
    assert language_of(detector.stretches(GERMAN), {}) == ""


@pytest.mark.parametrize(("band", "unsure"), [(Band(above=0, up_to=40), {SHORT, GERMAN}),
                                             (Band(above=0, up_to=40, language="de"), {GERMAN}),
                                             (Band(above=40, up_to=120), {LONG})])  # fmt: skip
def test_the_runtime_decides_by_the_texts_band(
    band: Band, unsure: set[str], encoder: Encoder, make_model: Callable[..., Model], detector: LanguageDetector
) -> None:
    lax = {name: Threshold(act=0.0, unsure=0.0) for name in STRICT}
    model = make_model(thresholds=lax, limit=2.0, languages=["en", "de"])
    model = replace(model, stages=(replace(model.last, bands={band: STRICT}),))
    runtime = Runtime([encoder], {"bank": from_model(model)}, detector=detector)

    def verdict(text: str) -> Verdict:
        return runtime.classify([Reading(classifier="bank", texts=(text,))])[0]

    assert {text for text in (SHORT, LONG, GERMAN) if not verdict(text).labels} == unsure
    assert all(verdict(text).abstention is None for text in {SHORT, LONG, GERMAN} - unsure)


def test_where_it_is_known_what_is_usual_the_largest_logit_tells() -> None:
    novelty = Novelty(prototypes=np.eye(2, dtype=np.float32), limit=NOVELTY_LIMIT, usual=Usual(level=2.0, width=0.5))
    logits = np.array([[2, -9], [-9, 4], [0, -9], [1000, 0], [-1000, -2000]], np.float32)
    told = score(novelty, np.zeros((5, 2), np.float32), logits)
    assert told == pytest.approx([0.5, 1 / (1 + np.exp(4)), 1 / (1 + np.exp(-4)), 0, 1], abs=1e-6)
    assert told.dtype == np.float32
