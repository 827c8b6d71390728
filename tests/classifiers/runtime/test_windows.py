from hypothesis import given
from hypothesis import strategies as st

from classifiers.runtime.windows import Recent


def test_the_oldest_is_forgotten_first() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, 3)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 7))))
def test_weight_never_exceeds_the_capacity(puts: list[tuple[int, int]]) -> None:
    recent: Recent[int, int] = Recent(10, lambda key, value: value)
    for key, value in puts:
        recent.put(key, value)
        assert recent.weight == sum(recent._entries.values()) <= 10
        assert recent.get(key) == value
