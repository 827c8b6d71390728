"""The input that a caller's prompt template surrounds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Final

import regex

WITHIN_S: Final = 0.1
"""How long a pattern may search in all texts together, in seconds of the process's processor time, as regex counts."""
LONGEST: Final = 500_000
"""Characters of a text that a pattern is tried on: time is looked at between steps, and one may go over all of it."""
_NOWHERE = (-1, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTemplate:
    """after, before: the words that stand around the input, each empty where it reaches the text's end. pattern: its
    group `input`, its first group, or all of what it finds. whole: a text that does not fit is read as it is. A text
    that is too long for a pattern, or that its time does not suffice for, does not fit."""

    after: str = ""
    before: str = ""
    pattern: regex.Pattern[str] | None = None
    whole: bool = False

    def input_of(self, text: str) -> str | None:
        """The input, without blanks at its ends; of a text that does not fit the template nothing, or all."""
        inputs, _ = self.inputs_of((text,))
        return inputs[0] if inputs else None

    def inputs_of(self, texts: Sequence[str]) -> tuple[tuple[str, ...], bool]:
        """The inputs of texts, likewise; and whether one that has to be read was not searched to its end."""
        inputs, unknown = [], False
        for text, found, in_time in self._splits(texts):
            if found is not None:
                inputs.append(found[1].strip())
            elif self.whole:
                inputs.append(text)
                unknown = unknown or not in_time
        return tuple(inputs), unknown

    def frames_of(self, texts: Sequence[str]) -> list[str]:
        """What stands around the inputs, which is the same in each call; of a text that does not fit, all of it."""
        return [text if found is None else found[0] for text, found, _ in self._splits(texts)]

    def _splits(self, texts: Sequence[str]) -> Iterator[tuple[str, tuple[str, str] | None, bool]]:
        """Each text, (what stands around its input, the input) where it fits, and whether it was searched in time."""
        until = process_time() + WITHIN_S
        for text in texts:
            try:
                yield text, self._split(text, until), True
            except TimeoutError:
                yield text, None, False

    def _split(self, text: str, until: float) -> tuple[str, str] | None:
        """(what stands around the input, the input). Raises TimeoutError where a pattern is still searching then."""
        start, end = self._matched(text, until) if self.pattern is not None else self._between(text)
        return (text[:start] + "\0" + text[end:], text[start:end]) if 0 <= start <= end else None

    def _between(self, text: str) -> tuple[int, int]:
        """From the first `after` to the last `before`: an input that holds such words is not cut short."""
        start, end = text.find(self.after), text.rfind(self.before) if self.before else len(text)
        return (start + len(self.after), end) if start >= 0 else _NOWHERE

    def _matched(self, text: str, until: float) -> tuple[int, int]:
        assert self.pattern is not None
        left_s = until - process_time()
        if left_s <= 0 or len(text) > LONGEST:
            raise TimeoutError
        match = self.pattern.search(text, timeout=left_s)
        if match is None:
            return _NOWHERE
        return match.span("input" if "input" in self.pattern.groupindex else min(self.pattern.groups, 1))
