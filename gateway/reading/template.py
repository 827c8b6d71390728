"""Which part of a text is the input that a caller's prompt puts into its template. Pure."""

import json
import re
from dataclasses import dataclass

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_NOWHERE = (-1, -1)


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
        found = self._split(text)
        if found is None:
            return text if self.whole else None
        return found[1].strip()

    def frame_of(self, text: str) -> str:
        """What stands around the input, which is the same in each call; of a text that does not fit, all of it."""
        found = self._split(text)
        return text if found is None else found[0]

    def _split(self, text: str) -> tuple[str, str] | None:
        """(what stands around the input, the input)."""
        if self.path:
            return _at(text, self.path)
        start, end = self._matched(text) if self.pattern is not None else self._between(text)
        return (text[:start] + "\0" + text[end:], text[start:end]) if 0 <= start <= end else None

    def _between(self, text: str) -> tuple[int, int]:
        """From the first `after` to the last `before`: an input that holds such words is not cut short."""
        start, end = text.find(self.after), text.rfind(self.before) if self.before else len(text)
        return (start + len(self.after), end) if start >= 0 else _NOWHERE

    def _matched(self, text: str) -> tuple[int, int]:
        assert self.pattern is not None
        match = self.pattern.search(text)
        if match is None:
            return _NOWHERE
        return match.span("input" if "input" in self.pattern.groupindex else min(self.pattern.groups, 1))


def steps(path: str) -> tuple[str | int, ...]:
    """`ticket.messages[0].text` → ("ticket", "messages", 0, "text")."""
    return tuple(int(index) if index else key for key, index in _STEP.findall(path))


def _at(text: str, path: tuple[str | int, ...]) -> tuple[str, str] | None:
    try:
        whole = found = json.loads(text)
        for step in path[:-1]:
            found = found[step]
        value = found[path[-1]]
        if not isinstance(value, str):
            return None
        found[path[-1]] = "\0"
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    return json.dumps(whole, sort_keys=True), value
