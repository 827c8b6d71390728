import pytest

from classifiers.text.languages import DETECTED
from classifiers.text.scripts import letters, written_in


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("где карта", "Cyrillic"),
        ("πού", "Greek"),
        ("كم", "Arabic"),
        ("这里", "Chinese"),
        ("ひらがな", "Japanese"),
        ("한국", "Korean"),
        ("कार्ड", "Indic"),
        ("บัตร", "Thai"),
    ],
)
def test_letters_are_counted_by_script(text: str, script: str) -> None:
    assert set(letters("card " + text)) == {script}
    assert letters(text)[script] == sum(not char.isspace() for char in text)


def test_latin_text_has_none() -> None:
    assert letters("where is my card") == letters("Überweisung 😀 – señor") == {}


def test_languages_name_their_scripts() -> None:
    assert written_in(["en", "de"]) == frozenset()
    assert written_in(["en", "ru-RU"]) == {"Cyrillic"}
    assert written_in(["JA"]) == {"Japanese", "Chinese"}
    assert written_in(["zh_Hant"]) == {"Chinese"}


IN_LATIN_LETTERS = (
    "ace af an az bcl br bs ca crh cs cy da de en eo es et eu ext fi fo fr fuv fy ga gcf gcr gd gl gug guw ha hr ht hu "
    "id ig is it jv kab kik ku la lb lg lij ln lt ltg lv mg ms mt nl nn no nso oc om pcm pl pt qu ro rw se sk sl sn so "
    "sq st sv sw tk tl tr vec vi vo wa xh yo zu zxx"
)


def test_every_detected_language_is_written_in_latin_letters_or_a_known_script() -> None:
    assert {code for code in DETECTED if not written_in([code])} == set(IN_LATIN_LETTERS.split())


def test_kindred_languages_are_written_in_the_same_script() -> None:
    assert written_in(["arz"]) == written_in(["ary", "sdh", "uzs"]) == {"Arabic"}
    assert written_in(["ba", "tt", "uz"]) == {"Cyrillic"}
