"""How pairs move a contract: a certificate, a lower threshold, an alarm, a new beginning."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace

from gateway.contracts.contract import Contract, Pair, Phase, Terms, begin, count, due, see
from gateway.contracts.detector import AlarmDetector

TERMS = Terms(target=0.02, confidence=0.95)


def stream(contract: Contract, pairs: Iterable[tuple[float, bool]], *, seed: int = 0) -> Iterator[Contract]:
    """The contract after each call, as its owner would take them: those that certify never order."""
    chance = random.Random(seed)
    ordering: list[tuple[float, bool]] = []
    certifying: list[tuple[float, bool]] = []
    for confidence, agrees in pairs:
        chosen = chance.random() < contract.rate(0.01)
        if contract.answers(confidence) and not chosen:
            yield contract
            continue
        attempt = contract.attempt.number if contract.attempt else 0
        rate = contract.rate(0.01)
        pair = Pair(
            chosen=chosen,
            chance=rate if contract.answers(confidence) else 1.0,
            least=rate,
            confidence=confidence,
            agrees=agrees,
            attempt=attempt,
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
    seen = list(stream(Contract(terms=TERMS), calls(12_000, wrong=0.002)))
    phases = [contract.phase for contract in seen]
    assert (phases[0], phases[-1]) == (Phase.SHADOW, Phase.LIVE)
    thresholds = [contract.threshold for contract in seen if contract.threshold is not None]
    assert thresholds == sorted(thresholds, reverse=True)
    # 0.002 above one half and 0.3 below it come to 2 % at about 0.47
    assert 0.47 < thresholds[-1] < 0.75
    assert "certified" in seen[-1].reason


def test_it_stays_in_shadow_where_the_bound_does_not_hold() -> None:
    for contract in stream(Contract(terms=TERMS), calls(6000, wrong=0.04)):
        assert contract.phase is Phase.SHADOW
        assert contract.rate(0.01) == 1.0


def test_more_calls_are_audited_while_the_latest_audits_speak_for_a_change() -> None:
    live = Contract(terms=TERMS, phase=Phase.LIVE, threshold=0.5, detector=AlarmDetector(target=TERMS.target))
    pair = Pair(chosen=True, confidence=0.9, agrees=False, attempt=0, threshold=0.5)
    doubted = see(live, pair)
    assert doubted.phase is Phase.LIVE
    assert doubted.rate(0.01) > 2 * live.rate(0.01)
    for _ in range(10):
        doubted = see(doubted, replace(pair, agrees=True))
    assert doubted.rate(0.01) <= live.rate(0.01)


def test_an_attempt_without_hope_is_given_up_and_the_next_has_less_to_spend() -> None:
    good = [(0.9, True)] * 150
    bad = list(calls(3000, wrong=0.08))
    seen = list(stream(Contract(terms=TERMS), [*good, *bad]))
    attempts = {contract.attempt.number: contract.attempt.alpha for contract in seen if contract.attempt}
    assert seen[-1].phase is Phase.SHADOW
    assert any("no certificate" in contract.reason for contract in seen)
    assert list(attempts.values()) == sorted(attempts.values(), reverse=True)


def test_it_is_demoted_when_it_disagrees_and_comes_back_when_it_agrees_again() -> None:
    live = [contract for contract in stream(Contract(terms=TERMS), calls(4000, wrong=0.0)) if contract.threshold][-1]
    drifted = list(stream(live, calls(6000, wrong=0.3, seed=2), seed=2))
    demoted = next(contract for contract in drifted if contract.phase is Phase.DEMOTED)
    assert demoted.threshold is None
    assert "disagreed" in demoted.reason
    assert not demoted.answers(1.0)
    assert demoted.fresh_from == demoted.pairs
    again = list(stream(demoted, calls(8000, wrong=0.0, seed=3), seed=3))
    phases = list(dict.fromkeys(contract.phase for contract in again))
    assert phases == [Phase.DEMOTED, Phase.SHADOW, Phase.LIVE]
    assert again[-1].attempts > live.attempts


def test_pairs_that_came_before_an_attempt_certify_nothing() -> None:
    begun = next(contract for contract in stream(Contract(terms=TERMS), [(0.9, True)] * 400) if contract.attempt)
    assert begun.attempt is not None
    early = Pair(chosen=True, confidence=0.9, agrees=True, attempt=begun.attempt.number - 1, threshold=None)
    assert count(see(begun, early), early).attempt == begun.attempt


def test_an_attempt_is_begun_only_for_more_than_is_answered_without_it() -> None:
    seen = [(number / 400, True) for number in range(400)]
    contract = Contract(terms=TERMS, pairs=400)
    for over in (0.0, 0.5):
        attempt = begin(contract, seen, number=1, over=over).attempt
        assert attempt is not None
        assert attempt.rungs[0].threshold < 1 - over
    assert begin(contract, seen, number=1, over=1.0).attempt is None
    assert begin(contract, seen, number=1, over=0.5, labelled=0.5).attempt is None
    assert begin(contract, seen, number=1, over=0.4, labelled=0.5).attempt is not None
    assert begin(contract, seen, number=1, labelled=0.0).attempt is None
