import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.model.model import NEVER, Threshold
from classifiers.policy import OTHER
from classifiers.runtime.thresholds import name_any, name_one
from classifiers.verdict import Abstention

LIMITS = {"a": Threshold(act=0.8, unsure=0.4), "b": Threshold(act=0.6, unsure=0.6)}
SHARES = st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3)


def of(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_one_label_from_its_threshold_on() -> None:
    assert name_one("ab", of(0.85, 0.15), LIMITS).labels == ("a",)
    unsure = name_one("ab", of(0.75, 0.25), LIMITS)
    assert (unsure.labels, unsure.abstention, unsure.reason) == ((), Abstention.UNSURE, "a at 0.750, 0.800 is needed")
    assert unsure.confidence == pytest.approx(0.75)


def test_what_is_never_enough_is_not_said_to_need_more() -> None:
    certain = name_one("ab", of(1.0, 0.0), {"a": NEVER})
    assert (certain.abstention, certain.reason) == (Abstention.UNSURE, "a at 1.000, never enough here")
    grey = name_any("ab", of(1.0, 0.0), {"a": Threshold(act=NEVER.act, unsure=0.4)})
    assert (grey.labels, grey.abstention, grey.reason) == ((), Abstention.UNSURE, "a at 1.000, never enough here")


def test_what_is_novel_is_other_or_unsure() -> None:
    other = name_one("ab", of(0.9, 0.1), LIMITS, novel=True)
    assert (other.labels, other.abstention) == ((OTHER,), None)
    assert other.confidence == pytest.approx(0.1)
    assert name_one("ab", of(0.9, 0.1), LIMITS, novel=True, has_other=False).abstention is Abstention.UNSURE
    assert name_one(("a", OTHER), of(0.1, 0.9), LIMITS, novel=True).confidence == pytest.approx(0.9)


def test_any_labels_likeliest_first() -> None:
    both = name_any("ab", of(0.85, 0.9), LIMITS)
    assert (both.labels, both.abstention) == (("b", "a"), None)
    assert both.confidence == pytest.approx(0.9)


def test_a_grey_label_makes_unsure_beside_one_that_holds() -> None:
    grey = name_any("ab", of(0.5, 0.9), LIMITS)
    assert (grey.labels, grey.abstention) == (("b",), Abstention.UNSURE)
    assert grey.reason == "a at 0.500, 0.800 is needed"


def test_clean_unless_novel() -> None:
    clean = name_any("ab", of(0.1, 0.3), LIMITS)
    assert (clean.labels, clean.abstention) == ((), None)
    assert clean.confidence == pytest.approx(0.7)
    assert name_any("ab", of(0.1, 0.3), LIMITS, novel=True).abstention is Abstention.UNSURE
    assert name_any("ab", of(0.9, 0.3), LIMITS, novel=True).abstention is None


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
