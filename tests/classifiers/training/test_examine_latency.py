"""How long a classifier takes is told of real texts, and takes no longer than it may."""

from collections.abc import Callable

import pytest

from classifiers.encoder.session import Encoder
from classifiers.model.model import Model
from classifiers.training import examine
from classifiers.training.rows import Row


def rows(count: int, text: str = "where is my card") -> list[Row]:
    return [Row(text=text, labels=("card_arrival",), group=str(index), source="data") for index in range(count)]


@pytest.fixture
def measured(encoder: Encoder, make_model: Callable[..., Model]) -> Callable[..., int]:
    """measured(rows, most_s=…): of how many rows the latency is told."""
    runtime = examine.alone(make_model(limit=2.0), [encoder])

    def measure(texts: list[Row], most_s: float = 600.0) -> int:
        told = examine.latency(runtime, "bank", texts, most_s=most_s)
        assert told
        assert 0 < told["p50_ms"] <= told["p95_ms"]
        rows_told: int = told["rows"]
        return rows_told

    return measure


def test_at_most_a_hundred_rows_are_measured(measured: Callable[..., int]) -> None:
    assert [measured(rows(count)) for count in (1, 100, 250)] == [1, 100, 84]


def test_no_row_is_begun_when_the_time_is_over(measured: Callable[..., int]) -> None:
    assert measured(rows(50), most_s=0.0) == 1
