"""Text without labels is made of rows, is none of them, and is the same each time."""

from hypothesis import given
from hypothesis import strategies as st

from classifiers import data
from classifiers.training.fit.distil import recombined

EVERYDAY = data.lines("everyday.txt")
TEXTS = [f"the {word} of number {place} is not what it was last year" for place, word in enumerate("abcdefghij")]


def test_there_is_as_much_as_was_asked_for() -> None:
    made = recombined(TEXTS, 50, seed=1, everyday=EVERYDAY)
    assert len(made) == len(set(made)) == 50
    assert not set(made) & set(TEXTS)
    again, other = (recombined(TEXTS, 50, seed=seed, everyday=EVERYDAY) for seed in (1, 2))
    assert made == again != other


def test_parts_and_pairs_are_among_it() -> None:
    made = recombined(TEXTS, 60, seed=0, everyday=EVERYDAY)
    assert any(one in text and other in text for text in made for one in TEXTS for other in TEXTS if one != other)
    assert any(text in one for text in made for one in TEXTS)


@given(st.lists(st.text(max_size=40), max_size=8), st.integers(0, 30))
def test_any_texts_will_do(texts: list[str], count: int) -> None:
    made = recombined(texts, count, seed=0, everyday=EVERYDAY[:1])
    assert len(made) <= count
    assert all(made)


def test_only_what_is_given_as_everyday_text_stands_beside_rows() -> None:
    made = recombined(TEXTS, 60, seed=0, everyday=("will it rain",))
    assert any("will it rain" in text for text in made)
    assert not [text for text in recombined(TEXTS, 60, seed=0, everyday=()) if "will it rain" in text]
    others = set(EVERYDAY) - {"will it rain"}
    assert not [text for text in made if any(other in text for other in others)]
