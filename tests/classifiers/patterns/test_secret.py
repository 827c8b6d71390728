from pathlib import Path

import pytest
import yaml

from classifiers.patterns.secret import blocks, find

TABLES = yaml.safe_load((Path(__file__).parents[2] / "tables" / "patterns.yaml").read_text(encoding="utf-8"))


def secrets(text: str) -> list[str]:
    return sorted(text[start:end] for start, end in find(text))


def test_words_are_no_secrets() -> None:
    assert {text: secrets(text) for text in TABLES["no_secrets"] if secrets(text)} == {}


def test_only_the_value_is_the_secret() -> None:
    assert {text: secrets(text) for text in TABLES["secrets"]} == {
        text: [secret] for text, secret in TABLES["secrets"].items()
    }


@pytest.mark.parametrize("close", ["", "\n", " x", ";", '"'])
def test_a_long_secret_is_one_whole(close: str) -> None:
    secret = "aB3x" * 240
    assert secrets(f"aws_session_token={secret}{close} password: hunter2x") == [secret, "hunter2x"]


def test_a_private_key_goes_to_its_end_or_to_the_texts() -> None:
    text = "a -----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY----- b -----BEGIN PRIVATE KEY----- c"
    assert [text[start:end][-4:] for start, end in blocks(text)] == ["----", "-- c"]
