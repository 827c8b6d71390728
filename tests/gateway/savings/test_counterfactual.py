from hypothesis import given
from hypothesis import strategies as st

from gateway.savings.counterfactual import TokenRatio, output_tokens


def test_before_any_call_four_bytes_are_a_token() -> None:
    assert TokenRatio().input_tokens("m", 4000) == 1000
    assert output_tokens("x" * 40) == 10
    assert output_tokens("é" * 40) == 20


def test_nothing_is_at_least_one_token() -> None:
    assert TokenRatio().input_tokens("m", 0) == 1
    assert output_tokens("") == 1


def test_the_ratio_follows_what_is_reported_for_the_model_alone() -> None:
    ratio = TokenRatio()
    for _ in range(1000):
        ratio.learn("dense", 1000, 1000)
    assert 950 <= ratio.input_tokens("dense", 1000) <= 1000
    assert ratio.input_tokens("other", 1000) == 250


def test_one_odd_call_does_not_turn_it_over() -> None:
    ratio = TokenRatio()
    ratio.learn("m", 10, 500)
    assert ratio.input_tokens("m", 1000) < 400


def test_models_beyond_the_bound_share_one_ratio() -> None:
    ratio = TokenRatio(most_models=1)
    ratio.learn("first", 1, 1)
    for _ in range(1000):
        ratio.learn("second", 1000, 1000)
    assert ratio.input_tokens("third", 1000) > 900
    assert ratio.input_tokens("first", 1000) == 250


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**6))), st.integers(0, 10**7))
def test_an_estimate_is_a_positive_count_that_grows_with_the_text(calls: list[tuple[int, int]], size: int) -> None:
    ratio = TokenRatio()
    for message_bytes, tokens in calls:
        ratio.learn("m", message_bytes, tokens)
    assert 1 <= ratio.input_tokens("m", size) <= ratio.input_tokens("m", size + 1000)
