from classifiers.text.language import DETECTED
from classifiers.text.scripts import ANOTHER, letters, written_in

SCRIPTS = {
    "где карта": "Cyrillic", "πού": "Greek", "كم": "Arabic", "这里": "Chinese",
    "ひらがな": "Japanese", "한국": "Korean", "कार्ड": "Indic", "บัตร": "Thai", "ކާޑު": "Thaana", "ᏣᎳᎩ": "Cherokee",
    "ⵜⴰⴽⴰⵕⴹⴰ": "Tifinagh", "ߞߊ߬ߙߕ": "N'Ko", "ܟܪܛܐ": "Syriac", "ꯀꯥꯔꯗ": "Meetei Mayek", "𞤳𞤢𞤪𞤼": "Adlam",
    "ᠺᠠᠷᠲ": "Mongolian", "ᱠᱟᱨᱰ": "Ol Chiki", "ᑲᕐᑦ": "Canadian syllabics", "ꃚꉬ": "Yi", "ㄎㄚ": "Chinese",
    "ᚲᚨᚱᛏ": ANOTHER, "𐎠𐎡": ANOTHER,
}  # fmt: skip


def test_letters_are_counted_by_script() -> None:
    for text, script in SCRIPTS.items():
        assert letters(f"card {text}") == {script: sum(not char.isspace() for char in text)}


def test_languages_name_their_scripts() -> None:
    assert written_in(["en", "de"]) == frozenset()
    assert written_in(["en", "ru-RU"]) == {"Cyrillic"}
    assert written_in(["JA"]) == {"Japanese", "Chinese"}
    assert written_in(["zh_Hant"]) == {"Chinese"}
    assert written_in(["dv", "iu"]) == {"Thaana", "Canadian syllabics"}
    assert written_in(["mn"]) == {"Cyrillic", "Mongolian"}
    assert {"Latin", "Thaana", "Indic", ANOTHER} - written_in(["any"]) == {"Latin"}


IN_LATIN_LETTERS = (
    "ace af an az bcl br bs ca crh cs cy da de en eo es et eu ext fi fo fr fy ga gcf gcr gd gl gug guw ha hr ht hu "
    "id ig is it kik ku la lb lg lij ln lt ltg lv mg ms mt nl nn no nso oc om pcm pl pt qu ro rw se sk sl sn so "
    "sq st sv sw tk tl tr vec vi vo wa xh yo zu zxx"
)


def test_every_detected_language_is_written_in_latin_letters_or_a_known_script() -> None:
    assert {code for code in DETECTED if not written_in([code])} == set(IN_LATIN_LETTERS.split())
