import pytest

from classifiers.training.write.speech import clauses, exclusions, first_person, name_words, positive


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("The customer wants to move their money", "I want to move my money"),
        ("asks when a card will arrive", "I ask when a card will arrive"),
        ("The customer's phone is lost and they worry", "my phone is lost and I worry"),
        ("A withdrawal shows as pending", "A withdrawal shows as pending"),
        ("the user has a card", "I have a card"),
    ],
)
def test_third_person_becomes_first(said: str, told: str) -> None:
    assert first_person(said) == told


def test_what_is_excluded_is_taken_apart() -> None:
    means = "wants a card; NOT a virtual one (virtual_card), and NOT a late card or a lost card (late, lost)"
    assert positive(means) == "wants a card"
    assert list(exclusions(means)) == [
        ("a virtual one", ("virtual_card",)),
        ("a late card or a lost card", ("late", "lost")),
    ]
    assert list(exclusions("anything at all")) == []
    assert positive("not working") == "not working"


def test_clauses_stand_alone() -> None:
    told = first_person("asks how long it takes to come, whether it can be faster, or wants to pay for express")
    assert clauses(told) == ["how long it takes to come", "whether it can be faster", "I want to pay for express"]


def test_names() -> None:
    assert name_words("card_arrival") == "card arrival"
    assert name_words("reverted_card_payment?") == "reverted card payment"
    assert name_words("कार्ड_आगमन") == "कार्ड आगमन"
    assert len({name_words(name) for name in ("C", "C++", "C#")}) == 3
