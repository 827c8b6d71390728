import pytest

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
