"""Estimates for calls that were not made."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.savings import UsageRatios


def learn(ratios: UsageRatios, model: str, given: int, tokens: int, *, times: int = 1, **rules: int) -> None:
    for _ in range(times):
        ratios.learn(model, rules, prompt_bytes=given, input_tokens=tokens, output_tokens=30)


def test_a_rule_has_its_own_ratio_once_its_calls_weigh_enough_and_the_models_before() -> None:
    ratios = UsageRatios()
    learn(ratios, "m", 1000, 1000, times=1000)
    assert 950 <= ratios.input_tokens("m", "", 1000) <= 1000
    assert ratios.input_tokens("other", "", 1000) == 250
    learn(ratios, "m", 1000, 500, mine=0)
    assert ratios.input_tokens("m", "mine", 1000) > 600
    learn(ratios, "m", 1000, 500, times=200, mine=0)
    assert 500 <= ratios.input_tokens("m", "mine", 1000) <= 510
    assert ratios.input_tokens("m", "other", 1000) > 900


def test_the_caches_share_is_of_the_rules_own_calls_and_nothing_before_any() -> None:
    ratios = UsageRatios()
    for _ in range(100):
        ratios.learn("m", {"mine": 0}, prompt_bytes=4000, input_tokens=1000, output_tokens=1, cached_input_tokens=800)
    assert 780 <= ratios.cached_input_tokens("m", "mine", 1000) <= 800
    assert ratios.cached_input_tokens("m", "other", 1000) == 0
    assert ratios.cached_input_tokens("other", "mine", 1000) == 0


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 100))), st.integers(0, 10**7))
def test_an_estimate_is_a_positive_count_that_grows_with_the_text(calls: list[tuple[int, int, int]], size: int) -> None:
    ratios = UsageRatios()
    for given_bytes, tokens, instead in calls:
        learn(ratios, "m", given_bytes, tokens, mine=instead)
    assert 1 <= ratios.input_tokens("m", "mine", size) <= ratios.input_tokens("m", "mine", size + 1000)
    assert 1 <= ratios.output_tokens("m", "mine", size) <= ratios.output_tokens("m", "mine", size + 1000)
