import threading

import pytest

from classifiers.policy import Policy
from classifiers.text.language import STRETCH_CHARS, LanguageDetector, Stretch, detectable, strange

ENGLISH = detectable(["en"])


def of(detector: LanguageDetector, text: str, known: frozenset[str] = ENGLISH) -> str:
    (stretch,) = detector.stretches(text)
    return strange(stretch, known)


def test_short_asks_are_told(detector: LanguageDetector) -> None:
    asks = {
        "Wann kommt meine Karte an?": "de",
        "où est ma nouvelle carte": "fr",
        "quiero cerrar mi cuenta": "es",
        "ho dimenticato la password": "it",
        "kan du hj\u00e4lpa mig": "sv",
        "OÙ EST MA NOUVELLE CARTE": "fr",
        "te voy a matar": "es",
        "ich bring dich um": "de",
        "hilf mir bitte": "de",
        "vou te matar": "pt",
    }
    assert {text: of(detector, text) for text in asks} == asks
    assert [text for text, language in asks.items() if of(detector, text, detectable(["en", language]))] == []


def test_what_may_be_english_is_not_strange(detector: LanguageDetector) -> None:
    words = ("hi", "pls help", "where is my new card", "play Despacito by Luis Fonsi", "book a table at Le Bernardin")
    signs = (
        "DE89 3704 0044 0532 0130 00",
        "https://example.org/de/konto?id=7",
        '{"city": "Berlin"}',
        "😀😀",
        "4111 1111",
    )
    chat = ("ok thx", "idk lol", "pls help asap", "r u ok", "u there", "Magda Wójcik", "Samsung Galaxy A54", "thx")
    code = ("def f(x):\n    return x + 1",)
    assert [text for text in (*words, *signs, *chat, *code) if of(detector, text)] == []


def test_a_short_texts_clauses_without_english_are_a_stretch(detector: LanguageDetector) -> None:
    def strange_chars(text: str) -> dict[str, int]:
        return {strange(stretch, ENGLISH): stretch.chars for stretch in detector.stretches(text)}

    assert strange_chars("te voy a matar, please refund me now") == {"es": 15, "": 21}
    assert strange_chars("please refund me now. je vais te tuer") == {"": 21, "fr": 16}
    assert strange_chars("please refund me now, thanks.") == {"": 29}
    long = "je vais te tuer, " + "please refund me now " * 4
    assert strange_chars(long) == {"": len(long)}


def test_a_long_text_is_looked_at_in_stretches(detector: LanguageDetector) -> None:
    english, german = (
        "we met the new neighbours last night. " * 20,
        "gestern haben wir die neuen Nachbarn getroffen. " * 10,
    )
    stretches = list(detector.stretches(english + german))
    assert sum(stretch.chars for stretch in stretches) == len(english + german)
    assert all(stretch.chars <= STRETCH_CHARS for stretch in stretches)
    told = [strange(stretch, ENGLISH) for stretch in stretches]
    assert told[0] == ""
    assert told[-1] == "de"
    assert list(detector.stretches(" \n\t")) == []


def test_codes_of_languages() -> None:
    assert detectable(["pt-BR", "EN_us"]) == {"pt", "en", "pcm"}
    assert detectable(["nb"]) == {"no", "nn"}
    assert detectable(["en", "tlh"]) == detectable(["any"]) == frozenset()


def test_strange_is_what_is_far_likelier() -> None:
    def say(known: frozenset[str] = ENGLISH, *, hardly: bool = False, **likely: float) -> str:
        return strange(Stretch(chars=30, likely=likely, hardly_english=hardly), known)

    assert say(de=0.8, en=0.03) == "de"
    assert say(de=0.8, en=0.05) == ""
    assert say(de=0.9) == "de"
    assert say(de=0.9, zxx=0.08) == ""
    assert say(zxx=0.9) == ""
    assert say(frozenset(), de=1.0) == ""
    assert say(frozenset({"en", "fr"}), de=0.8, en=0.03, fr=0.03) == ""
    assert say(hardly=True, de=0.5, en=0.2) == "de"
    assert say(hardly=True, de=0.5, en=0.3) == ""
    assert say(frozenset({"en", "fr"}), hardly=True, de=0.5, en=0.1, fr=0.1) == ""


def test_threads_share_an_open_detector(detector: LanguageDetector) -> None:
    detector.open()
    texts = ["wo ist meine karte", "where is my card", "dov'è la mia carta"] * 30
    expected = [of(detector, text) for text in texts]
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append([of(detector, text) for text in texts])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


@pytest.mark.parametrize("code", ["english", "e", "de;", "Deutsch", ""])
def test_a_policy_names_codes(make_policy: type[Policy], code: str) -> None:
    with pytest.raises(ValueError, match="language"):
        make_policy(languages=[code])
