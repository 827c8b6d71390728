"""What moved under a live contract, and what did not."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.contracts.contract import Phase
from gateway.contracts.drift import drift
from gateway.contracts.store import PairRow

LIVE = [(400.0, Phase.LIVE.value, "certified")]


def pairs(
    start: int, count: int, *, below: float = 0.3, novel: float = 0.2, wrong: float = 0.0, live: bool = True
) -> Iterator[PairRow]:
    """One a second. novel: how high novelty goes."""
    chance = random.Random(start)
    for number in range(start, start + count):
        yield PairRow(
            number=number,
            at=float(number),
            request_id="r",
            chosen=True,
            rate=0.2,
            attempt=1,
            threshold=0.8 if live else None,
            confidence=0.5 if chance.random() < below else 0.9,
            label="a",
            result="differs" if chance.random() < wrong else "agrees",
            novelty=chance.random() * novel,
        )


CERTIFIED = list(pairs(1, 400, live=False))


@pytest.mark.parametrize(
    ("later", "moved"),
    [({}, []), ({"below": 0.6}, ["below"]), ({"novel": 0.4}, ["unlike"]), ({"wrong": 0.2}, ["disagree"])],
)
def test_each_that_moves_is_named(later: dict[str, Any], moved: list[str]) -> None:
    found = drift([*CERTIFIED, *pairs(401, 400, **later)], LIVE)
    assert found is not None
    assert [reason.split(" ")[0] for reason in found.moved()] == moved
    assert (found.threshold, found.certified.below.total) == (0.8, 400)
    assert [window.below.total for window in found.windows] == [50] * 8


def test_before_a_certificate_there_is_nothing_to_hold_against() -> None:
    assert drift(CERTIFIED, []) is None
    assert drift(CERTIFIED, LIVE) is None


def test_it_ends_with_the_withdrawal_and_begins_anew_after_it() -> None:
    withdrawn = [*LIVE, (700.0, Phase.DEMOTED.value, "why")]
    rows = [*CERTIFIED, *pairs(401, 300, wrong=0.2), *pairs(701, 300, live=False), *pairs(1001, 300)]
    found = drift(rows, withdrawn)
    assert found is not None
    assert found.windows[-1].until == 700
    again = drift(rows, [*withdrawn, (800.0, Phase.SHADOW.value, "anew"), (1000.0, Phase.LIVE.value, "certified")])
    assert again is not None
    assert (again.certified.since, again.certified.until, again.moved()) == (801, 1000, [])
