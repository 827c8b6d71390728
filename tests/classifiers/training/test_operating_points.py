from collections.abc import Callable

import numpy as np

from classifiers.model.model import NEVER, Band
from classifiers.policy import Policy
from classifiers.training.operating_points import LEAST_ROWS, of_texts, stricter, told

SHORT, LONG = Band(above=0, up_to=40), Band(above=40, up_to=120)


def rows(wrong_short: int, *, short: int = 200, long: int = 200) -> tuple[list[Band], np.ndarray, np.ndarray]:
    """All at 0.8, but for the wrong short ones, which lie at 0.7."""
    confidences = np.full(short + long, 0.8, np.float32)
    confidences[:wrong_short] = 0.7
    correct = np.ones(short + long, bool)
    correct[:wrong_short] = False
    return [SHORT] * short + [LONG] * long, confidences, correct


def test_a_band_in_which_more_is_wrong_than_is_wanted_has_a_threshold_of_its_own() -> None:
    own = stricter(*rows(20), act=0.6, max_error=0.05)
    assert own == {SHORT: np.float32(0.8)}


def test_what_may_be_chance_is_left_to_the_common_threshold() -> None:
    assert stricter(*rows(12), act=0.6, max_error=0.05) == {}


def test_a_band_of_few_rows_is_judged_by_the_common_threshold() -> None:
    assert stricter(*rows(LEAST_ROWS - 1, short=LEAST_ROWS - 1), act=0.6, max_error=0.05) == {}


def test_where_no_threshold_keeps_to_it_nothing_is_answered() -> None:
    bands, confidences, correct = rows(20)
    confidences[:200] = 1.0
    own = stricter(bands, confidences, correct, act=0.6, max_error=0.05)
    assert own == {SHORT: NEVER.act}
    short = told(bands, confidences, correct, act=0.6, own=own)[0]
    assert (short["act"], short["answered"]) == (1.0, 0.0)


def test_what_is_right_below_the_common_threshold_excuses_nothing_above_it() -> None:
    confidences = np.array([0.95] * 4 + [0.85] * 2 + [0.6] * 54, np.float32)
    correct = np.ones(60, bool)
    correct[4:6] = False
    assert stricter([SHORT] * 60, confidences, correct, act=0.8, max_error=0.05) == {SHORT: np.float32(0.95)}
    correct[:4] = False
    assert stricter([SHORT] * 60, confidences, correct, act=0.8, max_error=0.05) == {SHORT: NEVER.act}


def test_the_report_tells_what_both_thresholds_do() -> None:
    bands, confidences, correct = rows(20)
    short, long = told(bands, confidences, correct, act=0.6, own={SHORT: 0.8})
    assert (short["up_to"], short["rows"], short["own"], short["act"]) == (40, 200, True, 0.8)
    assert short["common"] == {"answered": 1.0, "error": 0.1}
    assert (short["answered"], short["error"]) == (0.9, 0.0)
    assert (long["own"], long["act"], long["common"]["error"]) == (False, 0.6, 0.0)


def test_languages_part_texts_only_where_the_policy_names_several(make_policy: Callable[..., Policy]) -> None:
    texts = ["where is my new card?", "wo bleibt denn meine neue Karte?"]
    assert of_texts(make_policy(), texts) == [SHORT, SHORT]
    told_apart = of_texts(make_policy(languages=["en", "de"]), texts)
    assert [band.language for band in told_apart] == ["en", "de"]
