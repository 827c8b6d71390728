from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from classifiers.encoder.prepare import prepare
from classifiers.encoder.source import resolve
from classifiers.encoder.tokens import Tokens
from classifiers.errors import EncoderError


def test_special_tokens_are_found(prepared_dir: Path) -> None:
    tokens = Tokens.open(prepare(resolve(None), prepared_dir) / "tokenizer.json")
    assert (tokens.prefix, tokens.suffix, tokens.specials) == ((101,), (102,), 2)
    assert tokens.surround([7592]) == [101, 7592, 102]


def test_all_of_a_long_text_is_tokenised(prepared_dir: Path) -> None:
    tokens = Tokens.open(prepare(resolve(None), prepared_dir) / "tokenizer.json")
    assert len(tokens.encode("hello " * 5000)) == 5000


def test_a_tokenizer_without_special_tokens(tmp_path: Path) -> None:
    Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    tokens = Tokens.open(tmp_path / "tokenizer.json")
    assert (tokens.specials, tokens.surround([1])) == (0, [1])
    assert tokens.encode("😀") == [0]


def test_what_is_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"tokenizer\.json"):
        Tokens.open(tmp_path / "tokenizer.json")
