from gateway.spelling import Names, folded, spelled

NAMES = Names(("card_lost", "top_up", "lost"), {"card_lost": ("Missing card", "lost"), "top_up": ("recharge",)})


def test_spellings_of_one_label() -> None:
    assert len({folded(word) for word in ("Card Lost", "card-lost", "card_lost", "CARD_LOST", " card lost. ")}) == 1
    assert folded("+") != folded("-")
    assert len({folded(word) for word in ("C", "C+", "C++", "C#", "C-")}) == 5
    assert folded("<18") != folded("18+") != folded("18")
    assert folded("\u0915\u093f") != folded("\u0915\u093e")  # ki, ka
    assert folded("cafe\u0301") == folded("Caf\u00e9")
    assert {folded(word) for word in ("> spam", "#spam", "- spam", "**spam**", "spam \u2764\ufe0f")} == {"spam"}


def test_the_callers_word_is_the_one_as_it_stands_or_the_only_one_alike() -> None:
    assert spelled("card_lost", ["Card Lost", "card_lost"]) == "card_lost"
    assert spelled("card_lost", ["Card Lost", "fees"]) == "Card Lost"
    assert spelled("card_lost", ["Card Lost", "card-lost"]) is None


def test_an_alias_means_its_label_and_a_labels_own_name_counts_first() -> None:
    assert [NAMES.meant(word) for word in ("MISSING-CARD", "Recharge", "lost")] == ["card_lost", "top_up", "lost"]
    assert NAMES.meant("missing") is None
    assert NAMES.meant("") is None


def test_the_label_itself_is_given_before_an_alias() -> None:
    assert NAMES.spelled("top_up", ["recharge", "Top-Up"]) == "Top-Up"
    assert NAMES.spelled("top_up", ["Recharge", "fees"]) == "Recharge"
    assert NAMES.spelled("top_up", ["Recharge", "RE-CHARGE"]) is None
    assert NAMES.spelled("card_lost", ["lost", "fees"]) is None
