"""A text with slots is searched as far as it is read, however many blanks or letters by themselves it has."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from classifiers import Reading, Runtime
from classifiers.encoder.session import Encoder
from classifiers.model.model import Model, Tagger
from classifiers.runtime.classifier import from_model
from classifiers.slots.tags import count
from classifiers.verdict import Abstention


@pytest.fixture
def marking(encoder: Encoder, make_model: Callable[..., Model]) -> Runtime:
    """A tagger that takes every word for a value: what it has read is found."""
    made = make_model("slots", other="else", slots={"person": {"means": "a name"}})
    begins = np.zeros(count(1), np.float32)
    begins[1] = 50
    weights = np.zeros((count(1), encoder.dimensions), np.float32)
    model = replace(made, tagger=Tagger(slots=("person",), weights=weights, bias=begins))
    return Runtime([encoder], {"details": from_model(model)})


@pytest.mark.parametrize(
    "before",
    [
        "Hello.",
        "Hello." + " " * 3_100,
        "Hello." + "\n" * 9_000,
        ("| x" + " " * 300 + "|\n") * 10,
        " ".join("this agreement is made between the parties named below and comes into force") * 3,
    ],
)
def test_all_that_counts_as_read_was_searched(marking: Runtime, before: str) -> None:
    text = f"{before} Signed: John Smith"
    (verdict,) = marking.classify([Reading(classifier="details", texts=(text,), every_slot=True)])
    assert verdict.windows_unread == 0
    last = verdict.slots[-1]
    assert (last.raw, last.end) == ("Smith", len(text))


def test_past_the_deadline_what_is_not_at_hand_is_broken(marking: Runtime) -> None:
    late = Reading(classifier="details", texts=("never read before", "nor this"))
    (verdict,) = marking.classify([late], deadline=time.monotonic())
    assert (verdict.abstention, verdict.reason) == (Abstention.BROKEN, "deadline")
