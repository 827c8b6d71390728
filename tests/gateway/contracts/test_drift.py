"""What moved under a live contract, and what did not."""

import random
from collections.abc import Iterator

from gateway.contracts.contract import Phase
from gateway.contracts.drift import drift
from gateway.contracts.store import PairRow

LIVE = [(400.0, Phase.LIVE.value, "certified")]


def pairs(
    start: int,
    count: int,
    *,
    below: float = 0.3,
    novel: float = 0.2,
    wrong: float = 0.0,
    live: bool = True,
    seed: int = 0,
) -> Iterator[PairRow]:
    """One a second. novel: how high novelty goes."""
    chance = random.Random(seed)
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


def certified(**more: float) -> list[PairRow]:
    return list(pairs(1, 400, live=False, **more))


def test_before_a_certificate_there_is_nothing_to_hold_against() -> None:
    assert drift(certified(), []) is None
    assert drift(certified(), LIVE) is None


def test_traffic_that_stays_as_it_was_has_not_moved() -> None:
    found = drift([*certified(), *pairs(401, 400, seed=1)], LIVE)
    assert found is not None
    assert found.moved() == []
    assert (found.threshold, found.certified.below.of, len(found.windows)) == (0.8, 400, 8)
    assert [window.below.of for window in found.windows] == [50] * 8
    assert found.certified.novel.value is not None
    assert 0.03 < found.certified.novel.value < 0.06


def test_each_that_moves_is_named() -> None:
    less_sure = drift([*certified(), *pairs(401, 300, below=0.6)], LIVE)
    unlike = drift([*certified(), *pairs(401, 300, novel=0.4)], LIVE)
    changed = drift([*certified(), *pairs(401, 300, wrong=0.2)], LIVE)
    assert [found.moved()[0].split(" ")[0] for found in (less_sure, unlike, changed) if found] == [
        "below",
        "unlike",
        "disagree",
    ]
    assert all(found is not None and len(found.moved()) == 1 for found in (less_sure, unlike, changed))


def test_it_ends_with_the_withdrawal_and_begins_anew_after_it() -> None:
    withdrawn = [*LIVE, (700.0, Phase.DEMOTED.value, "why")]
    rows = [*certified(), *pairs(401, 300, wrong=0.2), *pairs(701, 300, live=False), *pairs(1001, 300)]
    found = drift(rows, withdrawn)
    assert found is not None
    assert found.windows[-1].until == 700
    again = drift(rows, [*withdrawn, (800.0, Phase.SHADOW.value, "anew"), (1000.0, Phase.LIVE.value, "certified")])
    assert again is not None
    assert (again.certified.since, again.certified.until) == (801, 1000)
    assert again.moved() == []
