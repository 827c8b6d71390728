import pytest

from classifiers.patterns.secret import blocks, find


@pytest.mark.parametrize(
    "text",
    [
        *("password: (see below)", "the key word is here", "token: string", "pwd is correct", "secret sauce recipe"),
        "password: $PASSWORD1",
    ],
)
def test_words_are_no_secrets(text: str) -> None:
    assert not list(find(text))


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('PASSWORD="hunter2x"', "hunter2x"), ("password: Hunter22$x9!", "Hunter22$x9!"),
        ("password: pa$$w0rd2024", "pa$$w0rd2024"), ("redis://:p4ssw0rd@host:6379", "p4ssw0rd"),
        ("\u0130stanbul password: hunter2secret9", "hunter2secret9"),
    ],
)  # fmt: skip
def test_only_the_value_is_the_secret(text: str, secret: str) -> None:
    assert [text[start:end] for start, end in find(text)] == [secret]


def test_a_private_key_goes_to_its_end_or_to_the_texts() -> None:
    text = "a -----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY----- b -----BEGIN PRIVATE KEY----- c"
    assert [text[start:end][-4:] for start, end in blocks(text)] == ["----", "-- c"]
