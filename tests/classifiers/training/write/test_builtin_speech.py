import pytest

from classifiers.training.write.builtin import clauses, exclusions, first_person, name_words, positive


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("The customer wants to move their money", "I want to move my money"),
        ("asks when a card will arrive", "I ask when a card will arrive"),
        ("The customer's phone is lost and they worry", "my phone is lost and I worry"),
        ("A withdrawal shows as pending", "A withdrawal shows as pending"),
        ("the user has a card", "I have a card"),
        ("Asks when a card will arrive", "I ask when a card will arrive"),
        ("Cancels a booking or wants their money back", "I cancel a booking or want my money back"),
        ("WANTS A REFUND", "I want A REFUND"),
        ("etwas an der Rechnung", "etwas an der Rechnung"),
        ("Patient's tooth hurts", "Patient's tooth hurts"),
        ("User can't log in", "I can't log in"),
        ("Customer received the wrong size", "I received the wrong size"),
        ("wants us to call them back", "I want us to call me back"),
        ("Customers want a card for themselves", "I want a card for myself"),
        ("The guest watches a film and asks how to pay", "I watch a film and ask how to pay"),
        ("someone tries to pay with their own card", "I try to pay with my own card"),
    ],
)
def test_third_person_becomes_first(said: str, told: str) -> None:
    assert first_person(said) == told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("wants to talk to a person or to someone in charge", "I want to talk to a person or to someone in charge"),
        ("asks when the customer service is open", "I ask when the customer service is open"),
        ("asks about the user settings", "I ask about the user settings"),
        ("Customer requests for refunds", "Customer requests for refunds"),
        ("Customer charged twice for one order", "Customer charged twice for one order"),
        ("wants us to delete them", "I want us to delete them"),
        ("As a guest, asks for a late checkout", "As a guest, asks for a late checkout"),
        ("threatens to hurt someone, or wishes them dead", "I threaten to hurt someone, or wish them dead"),
        ("attacks people because of their faith", "attacks people because of their faith"),
        ("asks how to invite friends and remove them", "I ask how to invite friends and remove them"),
        ("it was sent back without the customer asking", "it was sent back without the customer asking"),
    ],
)
def test_who_is_not_the_sender_stays_who_it_is(said: str, told: str) -> None:
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


def test_a_stressed_not_excludes_nothing() -> None:
    means = "says that the parcel has NOT come. This is NOT for letters (letters)"
    assert positive(means) == "says that the parcel has NOT come"
    assert list(exclusions(means)) == [("for letters", ("letters",))]
    assert positive("tells of a bug that is NOT about login (login)") == "tells of a bug"
    assert list(exclusions("tells of a bug that is NOT about login (login)")) == [("about login", ("login",))]
    assert positive("is NOT happy with it") == "is NOT happy with it"


def test_clauses_begin_without_what_joined_them() -> None:
    told = first_person("asks about or complains about a late fee (or a charge by others), e.g. a new one")
    assert clauses(told) == ["a late fee", "a charge by others", "a new one"]
    assert clauses(first_person("Player says a ban is wrong, and asks us to lift it")) == [
        "a ban is wrong",
        "I ask us to lift it",
    ]


def test_clauses_stand_alone() -> None:
    told = first_person("asks how long it takes to come, whether it can be faster, or wants to pay for express")
    assert clauses(told) == ["how long it takes to come", "whether it can be faster", "I want to pay for express"]


def test_names() -> None:
    assert name_words("card_arrival") == "card arrival"
    assert name_words("reverted_card_payment?") == "reverted card payment"
    assert name_words("कार्ड_आगमन") == "कार्ड आगमन"
    assert name_words("CardArrival") == "Card Arrival"
    assert name_words("AddToPlaylist") == "Add To Playlist"
    assert name_words("iPhone") == "iPhone"
    assert len({name_words(name) for name in ("C", "C++", "C#")}) == 3
