from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.savings import UsageRatios


def learn(ratios: UsageRatios, model: str, given: int, tokens: int, *, times: int = 1, **rules: int) -> None:
    for _ in range(times):
        ratios.learn(model, rules, prompt_bytes=given, input_tokens=tokens, output_tokens=30)


def test_before_any_call_four_bytes_are_a_token() -> None:
    ratios = UsageRatios()
    assert ratios.input_tokens("m", "r", 4000) == 1000
    assert ratios.output_tokens("m", "r", 40) == 10


def test_nothing_is_at_least_one_token() -> None:
    assert UsageRatios().input_tokens("m", "", 0) == 1
    assert UsageRatios().output_tokens("m", "", 0) == 1


def test_the_ratio_follows_what_is_reported_for_the_model_alone() -> None:
    ratios = UsageRatios()
    learn(ratios, "dense", 1000, 1000, times=1000)
    assert 950 <= ratios.input_tokens("dense", "", 1000) <= 1000
    assert ratios.input_tokens("other", "", 1000) == 250


def test_a_rule_has_its_own_ratio_once_its_calls_weigh_enough_and_the_models_before() -> None:
    ratios = UsageRatios()
    learn(ratios, "m", 1000, 1000, times=1000)
    learn(ratios, "m", 1000, 500, mine=0)
    assert ratios.input_tokens("m", "mine", 1000) > 600
    learn(ratios, "m", 1000, 500, times=200, mine=0)
    assert 500 <= ratios.input_tokens("m", "mine", 1000) <= 510
    assert ratios.input_tokens("m", "other", 1000) > 900


def test_what_the_model_writes_is_told_by_the_calls_that_could_have_been_answered_here() -> None:
    ratios = UsageRatios()
    learn(ratios, "m", 1000, 250, times=500, unknown=0, mine=8)
    assert 29 <= ratios.output_tokens("m", "mine", 8) <= 30
    assert 57 <= ratios.output_tokens("m", "mine", 16) <= 60
    assert ratios.output_tokens("m", "unknown", 8) == 2
    assert ratios.output_tokens("other", "mine", 8) == 2


def test_the_caches_share_is_of_the_rules_own_calls_and_nothing_before_any() -> None:
    ratios = UsageRatios()
    for _ in range(100):
        ratios.learn("m", {"mine": 0}, prompt_bytes=4000, input_tokens=1000, output_tokens=1, cached_input_tokens=800)
    assert 780 <= ratios.cached_input_tokens("m", "mine", 1000) <= 800
    assert ratios.cached_input_tokens("m", "other", 1000) == 0
    assert ratios.cached_input_tokens("other", "mine", 1000) == 0


def test_one_odd_call_does_not_turn_it_over() -> None:
    ratios = UsageRatios()
    learn(ratios, "m", 10, 500, mine=8)
    assert ratios.input_tokens("m", "", 1000) < 400
    assert ratios.input_tokens("m", "mine", 1000) < 600
    assert ratios.output_tokens("m", "mine", 8) < 5


def test_models_beyond_the_bound_share_one_ratio() -> None:
    ratios = UsageRatios(most_models=1)
    learn(ratios, "first", 1, 1)
    learn(ratios, "second", 1000, 1000, times=1000, mine=8)
    assert ratios.input_tokens("third", "mine", 1000) > 900
    assert ratios.input_tokens("first", "mine", 1000) == 250
    assert ratios.output_tokens("second", "mine", 8) == 2


@given(
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 100))),
    st.integers(0, 10**7),
)
def test_an_estimate_is_a_positive_count_that_grows_with_the_text(calls: list[tuple[int, int, int]], size: int) -> None:
    ratios = UsageRatios()
    for given_bytes, tokens, instead in calls:
        learn(ratios, "m", given_bytes, tokens, mine=instead)
    assert 1 <= ratios.input_tokens("m", "mine", size) <= ratios.input_tokens("m", "mine", size + 1000)
    assert 1 <= ratios.output_tokens("m", "mine", size) <= ratios.output_tokens("m", "mine", size + 1000)
