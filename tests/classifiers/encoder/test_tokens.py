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


def test_a_tokenizer_without_special_tokens(tmp_path: Path) -> None:
    Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    tokens = Tokens.open(tmp_path / "tokenizer.json")
    assert (tokens.specials, tokens.surround([1])) == (0, [1])
    assert tokens.encode("😀") == [0]


def test_a_text_is_ended_where_a_decoder_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    tokenizer.add_special_tokens(["<eos>"])
    tokenizer.save(str(path))
    ended = Tokens.open(path, ended=True)
    assert (ended.surround([1]), ended.after_system([0], [1]), ended.specials) == ([1, 2], [0, 2, 1], 1)
    assert Tokens.open(path).suffix == ()
    assert ended.encode("<eos>") == [0]
    Tokenizer(models.WordLevel({"a": 0, "b": 1, "<eos>": 2}, unk_token="a")).save(str(path))
    with pytest.raises(EncoderError, match="sets no token behind a text and has none of <eos>"):
        Tokens.open(path, ended=True)
