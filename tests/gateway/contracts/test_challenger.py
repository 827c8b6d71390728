"""How a version that is tried does beside the one in use, by what they answer of the same calls."""

from collections.abc import Sequence

import pytest

from gateway.contracts.contract import Contract, Pair, Phase, Terms
from gateway.contracts.memory import ContractMemory, Trial
from gateway.contracts.scope import Scope

Confidences = Sequence[float | None]


def kept(version: str, seen: Confidences) -> ContractMemory:
    """A contract that is live from 0.5 on. seen: None of a call that there is no label for."""
    scope = Scope(rule="r", model="m", prompt="p", labels=("a",), classifier="c", version=version, terms="t")
    contract = Contract(terms=Terms(target=0.05, confidence=0.95), phase=Phase.LIVE, threshold=0.5)
    one = ContractMemory(scope=scope, contract=contract, at=1.0)
    for confidence in seen:
        if confidence is None:
            one.pass_over()
        else:
            pair = Pair(chosen=True, confidence=confidence, agrees=True, attempt=0, threshold=0.5)
            one.keep(pair, contract, number=0)
    return one


@pytest.mark.parametrize(
    ("old", "new", "outdoes"),
    [
        # sure of six calls in ten, against a label for three that it is always sure of
        ([0.9] * 6 + [0.1] * 4, [0.9] * 3 + [None] * 7, False),
        ([0.9] * 6 + [0.1] * 4, [0.9] * 7 + [None] * 3, True),
        # a label for five calls in ten that it is always sure of, against nearly all
        ([0.9] * 5 + [None] * 5, [0.9] * 9 + [0.1], True),
        ([0.9] * 5 + [None] * 5, [0.9] * 4 + [0.1] * 6, False),
        ([0.9] * 5, [0.9] * 5, False),
        ([0.9] * 5, [None] * 5, False),
    ],
)
def test_a_version_outdoes_another_by_calls_not_by_those_with_a_label(
    old: Confidences, new: Confidences, *, outdoes: bool
) -> None:
    contracts = [kept("v1", list(old) * 20), kept("v2", list(new) * 20)]
    assert Trial.of(contracts, "v2", current="v1", since=0.0).outdoes is outdoes


@pytest.mark.parametrize(
    ("seen", "over", "hopeful"),
    [
        ([0.9] * 3 + [None] * 7, 0.6, False),
        ([0.9] * 3 + [None] * 7, 0.2, True),
        ([0.9] * 10, 0.9, True),
        ([0.9] * 10, 1.0, False),
        ([None] * 10, 0.0, False),
    ],
)
def test_a_version_with_labels_for_too_few_calls_has_no_hope_to_answer_more(
    seen: Confidences, over: float, *, hopeful: bool
) -> None:
    one = kept("v2", list(seen) * 40)
    one.over = over
    assert one.hopeful is hopeful
    assert Trial.of([one], "v2", current="v1", since=0.0).hopeful is hopeful
    few = kept("v2", list(seen) * 20)
    few.over = over
    assert few.hopeful


def test_only_the_latest_calls_count() -> None:
    one = kept("v1", [0.9] * 1000 + [None] * 100)
    assert (one.share(one.contract), one.labelled) == (0.75, 0.75)
