"""Text → token ids, by the tokenizer.json that comes with an encoder."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer

from classifiers.errors import EncoderError
from classifiers.text.normalise import normalise

LONGEST_CHARS_A_TOKEN = 24
"""What lies further on than so many characters for each token is not read."""
_UNKNOWN = ("[UNK]", "<unk>")
_ENDS = ("<eos>", "</s>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A text's token ids and the words that they make up.

    firsts: for each word the index of its first token; places: for each word its characters (start, end exclusive).
    """

    ids: tuple[int, ...] = ()
    firsts: tuple[int, ...] = ()
    places: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A tokenizer, and the ids it sets before and after a text ([CLS] and [SEP] for BERT)."""

    tokenizer: Tokenizer
    unknown: int | None
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    @classmethod
    def open(cls, path: Path, *, ended: bool = False) -> Self:
        """Read a tokenizer.json. ended: set the id that ends a text behind each even where the tokenizer sets none, as
        decoders' do: its vector is pooled, and it parts a system prompt from a text.

        Raises EncoderError where it is missing or no tokenizer, or knows no such id.
        """
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the binding raises bare Exception
            raise EncoderError(f"{path} is no readable tokenizer.json: {error}") from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        prefix, suffix = _around(tokenizer)
        if ended and not suffix:
            # what is no special token could be written by a user
            special = {str(token) for token in tokenizer.get_added_tokens_decoder().values() if token.special}
            end = _first_known(tokenizer, [name for name in _ENDS if name in special])
            if end is None:
                raise EncoderError(f"{path} sets no token behind a text and has none of {', '.join(_ENDS)}")
            suffix = (end,)
        # from here on "[SEP]" written by a user is text like any other
        tokenizer.encode_special_tokens = True
        return cls(tokenizer=tokenizer, unknown=_first_known(tokenizer, _UNKNOWN), prefix=prefix, suffix=suffix)

    @property
    def specials(self) -> int:
        """How many ids are set around each window."""
        return len(self.prefix) + len(self.suffix)

    def room(self, tokens: int, longest: int, system_tokens: int) -> int:
        """How many ids of a text a window of at most `tokens` holds beside so many of a system prompt. longest: what
        the encoder takes of both together."""
        system = system_tokens + len(self.suffix) if system_tokens else 0
        return min(tokens, longest - system) - self.specials

    def encode(self, text: str) -> list[int]:
        """The text's token ids, without the special ones; all of them, however long the text is.

        One character that the vocabulary lacks would turn the whole word around it into one unknown token,
        and so hide it. Such characters are left out: symbols part words, letters do not.
        """
        ids: list[int] = self._encode(text)[0].ids
        return ids

    def with_starts(self, text: str) -> tuple[list[int], list[int]]:
        """The same ids, and the characters at which they begin."""
        encoding, kept = self._encode(text)
        starts = [start for start, _ in encoding.offsets]
        return encoding.ids, starts if kept is None else [kept[start] for start in starts]

    def words(self, text: str) -> Words:
        """The same ids, word by word, with their places in the text."""
        encoding, kept = self._encode(text)
        firsts: list[int] = []
        places: list[tuple[int, int]] = []
        last = None
        for index, (word, (start, end)) in enumerate(zip(encoding.word_ids, encoding.offsets, strict=True)):
            if word is None or word != last:
                firsts.append(index)
                places.append((start, end))
            else:
                places[-1] = (places[-1][0], end)
            last = word
        if kept is not None:
            places = [(kept[start], kept[end - 1] + 1) if end > start else (0, 0) for start, end in places]
        return Words(ids=tuple(encoding.ids), firsts=tuple(firsts), places=tuple(places))

    def _encode(self, text: str) -> tuple[Any, list[int] | None]:
        """The tokenizer's encoding and, where characters were left out, the places of those that were not."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        if self.unknown is None or text.isascii() or self.unknown not in encoding.ids:
            return encoding, None
        strange = {
            char: "" if unicodedata.category(char)[0] in "LMN" else " "
            for char in set(text)
            if not char.isascii() and self.unknown in self.tokenizer.encode(char, add_special_tokens=False).ids
        }
        readable = self.tokenizer.encode("".join(strange.get(char, char) for char in text), add_special_tokens=False)
        if not readable.ids:
            encoding.truncate(1)
            return encoding, None
        return readable, [place for place, char in enumerate(text) if strange.get(char, char)]

    def system(self, text: str, tokens: int) -> list[int]:
        """A system prompt, normalised: its first `tokens` ids; of a longer one the first and last halves of that."""
        reach = tokens * LONGEST_CHARS_A_TOKEN
        if len(text) <= 2 * reach:
            ids = self.encode(normalise(text))
            head, tail = ids[: tokens // 2], ids[len(ids) - (tokens - tokens // 2) :]
            return ids if len(ids) <= tokens else [*head, *tail]
        head, tail = self.encode(normalise(text[:reach])), self.encode(normalise(text[-reach:]))
        return [*head[: tokens // 2], *tail[-(tokens - tokens // 2) :]]

    def decode(self, ids: Sequence[int]) -> str:
        """The text that the ids stand for, spaced as the tokenizer's decoder does it."""
        return self.tokenizer.decode(list(ids))

    def after_system(self, system: Sequence[int], window: Sequence[int]) -> list[int]:
        """A window with a system prompt's ids before it, parted by what ends a text; nobody can write that id."""
        return [*system, *self.suffix, *window] if system else list(window)

    def surround(self, window: Sequence[int]) -> list[int]:
        """A window's ids with the special ones around them."""
        return [*self.prefix, *window, *self.suffix]


def _first_known(tokenizer: Tokenizer, names: Sequence[str]) -> int | None:
    return next((number for name in names if (number := tokenizer.token_to_id(name)) is not None), None)


def _around(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    full = tokenizer.encode("a").ids
    for start in range(len(full) - len(plain) + 1):
        if full[start : start + len(plain)] == plain:
            return tuple(full[:start]), tuple(full[start + len(plain) :])
    return (), ()
