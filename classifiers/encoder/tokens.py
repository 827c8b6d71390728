"""Text → token ids, by the tokenizer.json that comes with an encoder."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tokenizers import Tokenizer

from classifiers.errors import EncoderError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A tokenizer, and the ids it sets before and after a text ([CLS] and [SEP] for BERT)."""

    tokenizer: Tokenizer
    unknown: int | None
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a tokenizer.json. Raises EncoderError where it is missing or no tokenizer."""
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the binding raises bare Exception
            raise EncoderError(f"{path} is no readable tokenizer.json: {error}") from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        prefix, suffix = _around(tokenizer)
        # from here on "[SEP]" written by a user is text like any other
        tokenizer.encode_special_tokens = True
        return cls(tokenizer=tokenizer, unknown=_unknown(tokenizer), prefix=prefix, suffix=suffix)

    @property
    def specials(self) -> int:
        """How many ids are set around each window."""
        return len(self.prefix) + len(self.suffix)

    def encode(self, text: str) -> list[int]:
        """The text's token ids, without the special ones; all of them, however long the text is.

        One character that the vocabulary lacks would turn the whole word around it into one unknown token,
        and so hide it. Such characters are left out: symbols part words, letters do not.
        """
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        if self.unknown is None or self.unknown not in ids or text.isascii():
            return ids
        strange = {ord(char): _stand_in(char) for char in set(text) if self._is_strange(char)}
        readable: list[int] = self.tokenizer.encode(text.translate(strange), add_special_tokens=False).ids
        return readable or ids[:1]

    def decode(self, ids: Sequence[int]) -> str:
        """The text that the ids stand for, spaced as the tokenizer's decoder does it."""
        text: str = self.tokenizer.decode(list(ids))
        return text

    def surround(self, window: Sequence[int]) -> list[int]:
        """A window's ids with the special ones around them."""
        return [*self.prefix, *window, *self.suffix]

    def _is_strange(self, char: str) -> bool:
        if char.isascii():
            return False
        return self.unknown in self.tokenizer.encode(char, add_special_tokens=False).ids


def _stand_in(char: str) -> str:
    return "" if unicodedata.category(char)[0] in "LMN" else " "


def _unknown(tokenizer: Tokenizer) -> int | None:
    for token in ("[UNK]", "<unk>"):
        number: int | None = tokenizer.token_to_id(token)
        if number is not None:
            return number
    return None


def _around(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    full = tokenizer.encode("a").ids
    for start in range(len(full) - len(plain) + 1):
        if full[start : start + len(plain)] == plain:
            return tuple(full[:start]), tuple(full[start + len(plain) :])
    return (), ()
