from gateway.spelling import LabelNames, spell

NAMES = LabelNames(("card_lost", "top_up", "lost"), {"card_lost": ("Missing card", "lost"), "top_up": ("recharge",)})


def test_the_callers_word_is_the_one_as_it_stands_or_the_only_one_alike() -> None:
    assert spell("card_lost", ["Card Lost", "card_lost"]) == "card_lost"
    assert spell("card_lost", ["Card Lost", "fees"]) == "Card Lost"
    assert spell("card_lost", ["Card Lost", "card-lost"]) is None


def test_an_alias_means_its_label_and_a_labels_own_name_counts_first() -> None:
    assert [NAMES.resolve(word) for word in ("MISSING-CARD", "Recharge", "lost")] == ["card_lost", "top_up", "lost"]
    assert NAMES.resolve("missing") is None
    assert NAMES.resolve("") is None


def test_the_label_itself_is_given_before_an_alias() -> None:
    assert NAMES.spell("top_up", ["recharge", "Top-Up"]) == "Top-Up"
    assert NAMES.spell("top_up", ["Recharge", "fees"]) == "Recharge"
    assert NAMES.spell("top_up", ["Recharge", "RE-CHARGE"]) is None
    assert NAMES.spell("card_lost", ["lost", "fees"]) is None
