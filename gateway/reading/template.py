"""Which part of a text is the input that a caller's prompt puts into its template. Pure."""

import json
import re
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """after, before: the words that stand around the input, each empty where it reaches the text's end. pattern: its
    group `input`, its first group, or all of what it finds. path: keys and list indexes in a text that is JSON.
    whole: a text that does not fit is read as it is."""

    after: str = ""
    before: str = ""
    pattern: re.Pattern[str] | None = None
    path: tuple[str | int, ...] = ()
    whole: bool = False

    def input_of(self, text: str) -> str | None:
        """The input, without blanks at its ends; of a text that does not fit the template nothing, or all."""
        if self.path:
            found = _at(text, self.path)
        elif self.pattern is not None:
            found = _matched(self.pattern, text)
        else:
            found = self._between(text)
        if found is None:
            return text if self.whole else None
        return found.strip()

    def _between(self, text: str) -> str | None:
        """From the first `after` to the last `before`: an input that holds such words is not cut short."""
        start, end = text.find(self.after), text.rfind(self.before) if self.before else len(text)
        if start < 0 or end < start + len(self.after):
            return None
        return text[start + len(self.after) : end]


def steps(path: str) -> tuple[str | int, ...]:
    """`ticket.messages[0].text` → ("ticket", "messages", 0, "text")."""
    return tuple(int(index) if index else key for key, index in _STEP.findall(path))


def _matched(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    if match is None:
        return None
    return match.group("input" if "input" in pattern.groupindex else min(pattern.groups, 1))


def _at(text: str, path: tuple[str | int, ...]) -> str | None:
    try:
        found: Any = json.loads(text)
        for step in path:
            found = found[step]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) else None
