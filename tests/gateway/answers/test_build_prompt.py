import pytest

from gateway.answers.build import key_in_prompt, word_in_prompt
from gateway.answers.format import Unsupported, UnsupportedReason
from gateway.spelling import Names

KNOWN = Names(("card_lost", "top_up", "fees"), {"card_lost": ("missing card", "lost")})


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Answer with one of: card_lost, top_up, fees.", "card_lost"),
        ("Answer with Card Lost, Top Up or Fees.", "Card Lost"),
        ("Categories:\n- CARD-LOST\n- TOP-UP", "CARD-LOST"),
        ("card_lost or top_up? (Card lost means …)", "card_lost"),
        ("Answer with Missing-Card, Top Up or Fees.", "Missing-Card"),
        ("Missing card or fees? Card lost means missing.", "Card lost"),
    ],
)
def test_a_label_is_given_as_the_prompt_spells_it(prompt: str, expected: str) -> None:
    assert word_in_prompt("card_lost", KNOWN, prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What shall I do? I have lost my card.", UnsupportedReason.NO_PLACE),
        ("Is it about fees?", UnsupportedReason.NO_PLACE),
        ("Answer with top_up or fees.", UnsupportedReason.LABEL_NOT_ASKED),
        ("Answer Card Lost, card lost or fees.", UnsupportedReason.AMBIGUOUS),
        ("Missing card, lost, or fees?", UnsupportedReason.AMBIGUOUS),
        ("discard_lost, top_up, fees", UnsupportedReason.LABEL_NOT_ASKED),
    ],
)
def test_prompts_that_ask_for_something_else(prompt: str, expected: UnsupportedReason) -> None:
    found = word_in_prompt("card_lost", KNOWN, prompt)
    assert isinstance(found, Unsupported)
    assert found.reason == expected


def test_labels_without_a_letter_are_looked_for_as_they_are() -> None:
    assert word_in_prompt("+", Names(("+", "-")), "Say + or -") == "+"
    suns = Names(("☀️", "🌧️"))
    assert [word_in_prompt(label, suns, "☀️ or 🌧️?") for label in suns.labels] == ["☀️", "🌧️"]
    assert word_in_prompt("⚠️ warning", Names(("⚠️ warning", "fine")), "Answer with ⚠️ warning or fine.") == "warning"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("Is it billing, fees or none?", "none"),
        ("Answer with billing, fees or other.", "other"),
        ("Answer with billing, fees or none. Write no other words.", None),
    ],
)
def test_other_is_a_word_of_prose_as_well(prompt: str, expected: str | None) -> None:
    found = word_in_prompt("other", Names(("billing", "fees", "other"), {"other": ("none",)}), prompt)
    assert (found.reason if isinstance(found, Unsupported) else found) == (expected or UnsupportedReason.AMBIGUOUS)


def test_the_key_of_an_object() -> None:
    assert key_in_prompt('Reply as {"intent": "<one of the labels>"}') == "intent"
    assert key_in_prompt("Reply as JSON: {'label': 'fees'} or {'label': 'top_up'}") == "label"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("Reply in JSON.", UnsupportedReason.NO_PLACE), ('{"intent": "", "why": ""}', UnsupportedReason.AMBIGUOUS)],
)
def test_keys_that_cannot_be_told(prompt: str, expected: UnsupportedReason) -> None:
    found = key_in_prompt(prompt)
    assert isinstance(found, Unsupported)
    assert found.reason == expected


@pytest.mark.parametrize(
    ("labels", "prompt"),
    [
        (("A+", "A", "A-", "B"), "Grade the essay with one of: A+, A, A-, B."),
        (("C#", "C++", "Java"), "Which language: C#, C++ or Java?"),
        (("<18", "18+"), "Say <18 or 18+."),
    ],
)
def test_labels_that_differ_in_signs_are_told_apart(labels: tuple[str, ...], prompt: str) -> None:
    assert [word_in_prompt(label, Names(labels), prompt) for label in labels] == list(labels)


@pytest.mark.parametrize(
    ("labels", "prompt", "expected"),
    [
        (("हिन्दी", "தமிழ்", "हिन्द"), "उत्तर दें: हिन्दी, தமிழ் या हिन्द।", ["हिन्दी", "தமிழ்", "हिन्द"]),
        (("खाता_बंद", "शुल्क"), "खाता बंद या शुल्क", ["खाता बंद", "शुल्क"]),
        (("café", "thé"), "Cafe\u0301 ou the\u0301 ?", ["Cafe\u0301", "the\u0301"]),
        (("CO²", "CO"), "CO² or CO?", ["CO²", "CO"]),
        (("ÉTÉ", "hiver_long"), "été, HIVER-LONG", ["été", "HIVER-LONG"]),
    ],
)
def test_labels_with_marks_are_found_whole(labels: tuple[str, ...], prompt: str, expected: list[str]) -> None:
    assert [word_in_prompt(label, Names(labels), prompt) for label in labels] == expected


def test_a_word_that_another_begins_with_is_not_named_by_it() -> None:
    found = word_in_prompt("हिन्द", Names(("हिन्द", "हिन्दी", "शुल्क")), "हिन्दी या शुल्क")
    assert isinstance(found, Unsupported)
    assert found.reason == UnsupportedReason.LABEL_NOT_ASKED
