import pytest

from classifiers.patterns.secret import blocks, find


@pytest.mark.parametrize(
    "text", ["password: (see below)", "the key word is here", "token: string", "pwd is correct", "secret sauce recipe"]
)
def test_words_are_no_secrets(text: str) -> None:
    assert not list(find(text))


def test_only_the_value_is_the_secret() -> None:
    text = 'PASSWORD="hunter2x"'
    assert [text[start:end] for start, end in find(text)] == ["hunter2x"]


def test_a_private_key_goes_to_its_end_or_to_the_texts() -> None:
    text = "a -----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY----- b -----BEGIN PRIVATE KEY----- c"
    assert [text[start:end][-4:] for start, end in blocks(text)] == ["----", "-- c"]
