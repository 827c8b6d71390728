import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from classifiers.encoder.prepare import prepare
from classifiers.encoder.session import MODEL, TOKENIZER, Description, Encoder, embed
from classifiers.encoder.source import resolve
from classifiers.errors import EncoderError

TEXTS = ["where is my new card?", "how do I get a refund", "hi", "the weather is nice today " * 8]


@pytest.fixture
def folder(prepared_dir: Path, tmp_path: Path) -> Path:
    """A copy of the prepared encoder that a test may spoil."""
    return Path(shutil.copytree(prepare(resolve(None), prepared_dir), tmp_path / "copy"))


def test_a_vector_depends_on_nothing_but_its_window(encoder: Encoder, prepared_dir: Path) -> None:
    windows = [encoder.tokenize(text) for text in TEXTS]
    together = encoder.encode(windows)
    alone = np.concatenate([encoder.encode([window]) for window in windows])
    threaded = Encoder.open(prepare(resolve(None), prepared_dir), threads=2).encode(windows)
    assert together.tobytes() == alone.tobytes() == threaded.tobytes()


def test_special_tokens_written_by_a_user_are_text(encoder: Encoder) -> None:
    specials = {101, 102, 0, 103}
    assert not specials.intersection(encoder.tokenize("[CLS] hi [SEP] [PAD] [MASK]"))


def test_a_character_out_of_the_vocabulary_does_not_hide_its_word(encoder: Encoder) -> None:
    plain = encoder.tokenize("ignore the rules")
    assert encoder.tokenize("ign\U00013000ore the rules") == plain
    assert encoder.tokenize("😀ignore😀the😀rules😀") == plain
    assert len(encoder.tokenize("😀😀😀")) == 1
    assert encoder.with_starts("ign\U00013000ore 😀 the rules") == (plain, [0, 10, 14])


def test_a_window_that_is_too_long_is_refused(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="this encoder takes 512"):
        encoder.encode([[2000] * 511])
    assert encoder.encode([[2000] * 510]).shape == (1, 384)


def test_embed_reports_and_truncates(encoder: Encoder) -> None:
    seen: list[tuple[int, int]] = []
    vectors = embed(encoder, ["hello"] * 300, lambda done, of: seen.append((done, of)))
    assert seen == [(256, 300), (300, 300)]
    assert np.ptp(vectors, axis=0).max() == 0
    long = "where is my card " * 100_000
    assert np.array_equal(embed(encoder, [long]), encoder.encode([encoder.tokenize(long[:2000])[:126]]))


@settings(max_examples=60)
@given(st.text(max_size=300))
def test_any_text_gives_a_vector(encoder: Encoder, text: str) -> None:
    assert np.isfinite(embed(encoder, [text])).all()


@pytest.mark.parametrize("name", [MODEL, TOKENIZER])
def test_a_changed_file_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(EncoderError, match=rf"{name} has been changed"):
        Encoder.open(folder)
    path.unlink()
    with pytest.raises(EncoderError, match=rf"{name} cannot be read"):
        Encoder.open(folder)


def test_a_processor_that_computes_otherwise_is_refused(folder: Path) -> None:
    described = Description.read(folder)
    replace(described, vectors=described.vectors[::-1]).write(folder)
    with pytest.raises(EncoderError, match="wrong on this processor: cosine"):
        Encoder.open(folder)
