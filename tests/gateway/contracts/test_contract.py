"""How pairs move a contract: a certificate, a lower threshold, an alarm, a new beginning."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway.contracts.contract import Contract, Pair, Phase, begin, count, due, see
from gateway.contracts.detector import AlarmDetector
from gateway.rules.terms import Terms

NEW = Contract(terms=Terms(target=0.02, confidence=0.95))
PAIR = Pair(chosen=True, confidence=0.9, agrees=False, attempt=0, threshold=0.5)


def stream(contract: Contract, pairs: Iterable[tuple[float, bool]], *, seed: int = 0) -> Iterator[Contract]:
    """The contract after each call, as its owner would take them: those that certify never order."""
    chance = random.Random(seed)
    ordering: list[tuple[float, bool]] = []
    certifying: list[tuple[float, bool]] = []
    for confidence, agrees in pairs:
        rate = contract.rate(0.01)
        chosen = chance.random() < rate
        if contract.answers(confidence) and not chosen:
            yield contract
            continue
        pair = Pair(
            chosen=chosen,
            chance=rate if contract.answers(confidence) else 1.0,
            least=rate,
            confidence=confidence,
            agrees=agrees,
            attempt=contract.attempt.number if contract.attempt else 0,
            threshold=contract.threshold,
        )
        after = count(see(contract, pair), pair)
        if after.fresh_from > contract.fresh_from:
            ordering, certifying = [], []
        if after.attempt is None and certifying:
            ordering, certifying = ordering + certifying, []
        if chosen:
            (certifying if after.certifies(pair) else ordering).append((confidence, agrees))
        contract = begin(after, ordering, number=after.attempts + 1) if due(after) else after
        yield contract


def calls(count: int, *, wrong: float, seed: int = 1) -> Iterator[tuple[float, bool]]:
    """Calls of even confidence; those below one half disagree often, the others so often as `wrong` says."""
    chance = random.Random(seed)
    for _ in range(count):
        confidence = chance.random()
        yield confidence, chance.random() >= (wrong if confidence > 0.5 else 0.3)


def test_it_goes_live_where_the_bound_holds_and_lowers_its_threshold_only_so_far() -> None:
    seen = list(stream(NEW, calls(12_000, wrong=0.002)))
    assert (seen[0].phase, seen[-1].phase) == (Phase.SHADOW, Phase.LIVE)
    thresholds = [contract.threshold for contract in seen if contract.threshold is not None]
    assert thresholds == sorted(thresholds, reverse=True)
    # 0.002 above one half and 0.3 below it come to 2 % at about 0.47
    assert 0.47 < thresholds[-1] < 0.75


def test_it_stays_in_shadow_where_the_bound_does_not_hold_and_each_attempt_has_less_to_spend() -> None:
    seen = list(stream(NEW, [*[(0.9, True)] * 150, *calls(3000, wrong=0.08)]))
    assert {(contract.phase, contract.rate(0.01)) for contract in seen} == {(Phase.SHADOW, 1.0)}
    attempts = {contract.attempt.number: contract.attempt.alpha for contract in seen if contract.attempt}
    assert len(attempts) > 1
    assert list(attempts.values()) == sorted(attempts.values(), reverse=True)


def test_more_calls_are_audited_while_the_latest_audits_speak_for_a_change() -> None:
    live = replace(NEW, phase=Phase.LIVE, threshold=0.5, detector=AlarmDetector(target=0.02))
    doubted = see(live, PAIR)
    assert doubted.phase is Phase.LIVE
    assert doubted.rate(0.01) > 2 * live.rate(0.01)
    for _ in range(10):
        doubted = see(doubted, replace(PAIR, agrees=True))
    assert doubted.rate(0.01) <= live.rate(0.01)


def test_it_is_demoted_when_it_disagrees_and_comes_back_when_it_agrees_again() -> None:
    live = [contract for contract in stream(NEW, calls(4000, wrong=0.0)) if contract.threshold][-1]
    drifted = stream(live, calls(6000, wrong=0.3, seed=2), seed=2)
    demoted = next(contract for contract in drifted if contract.phase is Phase.DEMOTED)
    assert (demoted.threshold, demoted.answers(1.0), demoted.fresh_from) == (None, False, demoted.pairs)
    again = list(stream(demoted, calls(8000, wrong=0.0, seed=3), seed=3))
    assert list(dict.fromkeys(contract.phase for contract in again)) == [Phase.DEMOTED, Phase.SHADOW, Phase.LIVE]
    assert again[-1].attempts > live.attempts


def test_pairs_that_came_before_an_attempt_certify_nothing() -> None:
    begun = next(contract for contract in stream(NEW, [(0.9, True)] * 400) if contract.attempt)
    early = replace(PAIR, agrees=True, attempt=0, threshold=None)
    assert count(see(begun, early), early).attempt == begun.attempt


def test_an_attempt_is_begun_only_for_more_than_is_answered_without_it() -> None:
    seen = [(number / 400, True) for number in range(400)]
    contract = replace(NEW, pairs=400)
    for over in (0.0, 0.5):
        attempt = begin(contract, seen, number=1, over=over).attempt
        assert attempt is not None
        assert attempt.rungs[0].threshold < 1 - over
    for over, labelled, begins in ((1.0, 1.0, False), (0.5, 0.5, False), (0.4, 0.5, True), (0.0, 0.0, False)):
        assert bool(begin(contract, seen, number=1, over=over, labelled=labelled).attempt) is begins
