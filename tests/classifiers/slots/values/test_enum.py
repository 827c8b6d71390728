"""A policy's own values."""

import pytest

from classifiers.slots.values import enum

VALUES = {
    "birthday": ("bday", "turning 30"),
    "wedding_anniversary": ("anniversary",),
    "business": ("work", "work lunch"),
}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Birthday", "birthday"), ("bday!", "birthday"), ("my mother's birthday party", "birthday"),
        ("wedding anniversary", "wedding_anniversary"), ("our anniversary", "wedding_anniversary"),
        ("a work lunch", "business"), ("birthdya", "birthday"), ("busines", "business"),
    ],
)  # fmt: skip
def test_names_other_words_and_slips_are_known(text: str, name: str) -> None:
    assert enum.read(text, VALUES) == name


@pytest.mark.parametrize("text", ["funeral", "", "workshop", "!?"])
def test_what_is_none_of_the_values_is_none(text: str) -> None:
    assert enum.read(text, VALUES) is None
