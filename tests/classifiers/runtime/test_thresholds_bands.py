from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.encoder.session import Encoder
from classifiers.model.model import Band, Model, Threshold
from classifiers.runtime.classifier import from_model
from classifiers.runtime.runtime import Runtime
from classifiers.runtime.thresholds import CUTS, band_of, families, language_of, within
from classifiers.text.language import LanguageDetector
from classifiers.verdict import Reading, Verdict

STRICT = {name: Threshold(act=1.0, unsure=1.0) for name in ("card_arrival", "exchange_rate", "lost_card")}
SHORT, LONG = "where is my new card?", "where is my new card, it was sent two weeks ago and has still not arrived here"
GERMAN = "wo bleibt denn meine neue Karte?"


@given(st.integers(1, 100_000), st.sampled_from(["", "de"]))
def test_a_text_is_in_one_band(chars: int, language: str) -> None:
    mine = band_of(chars, language)
    others = {band_of(above + 1, language) for above in CUTS} - {mine}
    assert mine.holds(chars, language)
    assert not any(band.holds(chars, language) for band in others)


def test_a_band_without_a_language_holds_texts_in_all() -> None:
    assert Band(above=0, up_to=40).holds(10, "de")
    assert not Band(above=0, up_to=40, language="en").holds(10, "de")
    assert not Band(above=0, up_to=40).holds(0, "")


@pytest.mark.parametrize(("named", "told"), [(["en"], []), (["en", "any"], []), (["en", "de-AT"], ["en", "de-AT"])])
def test_languages_count_where_there_are_several_that_are_known(named: list[str], told: list[str]) -> None:
    assert list(families(named)) == told


def test_the_language_of_a_text_is_one_of_the_policys(detector: LanguageDetector) -> None:
    known = families(["en", "de"])
    assert language_of(detector.stretches(SHORT), known) == "en"
    assert language_of(detector.stretches(GERMAN), known) == "de"
    assert language_of((), known) == ""
    assert language_of(detector.stretches(GERMAN), {}) == ""


def test_a_stage_has_the_thresholds_of_the_texts_band(bare_model: Callable[..., Model]) -> None:
    stage = replace(bare_model().last, bands={Band(above=0, up_to=40): STRICT})
    assert within(stage, 40, "").thresholds == STRICT
    assert within(stage, 41, "") is stage


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
