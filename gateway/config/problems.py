"""Problems in a configuration or policy file: where, what, and how to mend it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, NamedTuple

_QUOTED: Final = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_MEANT: Final = "; did you mean "


class Position(NamedTuple):
    """A place in a file, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. path: the keys and indices that lead to it."""

    file: str
    mark: Position | None
    path: tuple[str | int, ...]
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.mark.line}:{self.mark.column}" if self.mark else self.file
        return f"{where}: {dotted(self.path)}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(Exception):
    """All problems of one or more files, at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = sorted(problems, key=lambda p: (p.file, p.mark or Position(0, 0)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def dotted(path: tuple[str | int, ...]) -> str:
    """("rules", 1, "then") → `rules[1].then`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` for the closest known word, or the known words."""
    choices = sorted(set(known))
    close = get_close_matches(word, choices, n=1, cutoff=0.6)
    if close:
        return f'{_MEANT}"{close[0]}"?'
    return f" (known: {', '.join(choices)})" if 0 < len(choices) <= 12 else ""


def without(value: str, message: str, written: str) -> str:
    """A message with `written` in place of a secret value or a part of it; a guess that shows the value is cut off."""
    bare = value.strip()
    if not bare:
        return message

    def instead(match: re.Match[str]) -> str:
        if match[0] == bare:
            return written
        part = match[0][1:-1]
        return repr(written) if part and (part in value or part in repr(value)) else match[0]

    text, meant, guess = message.partition(_MEANT)
    text = re.sub(rf"{_QUOTED}|(?<!\w){re.escape(bare)}(?!\w)", instead, text)
    return text if bare in guess else text + meant + guess
