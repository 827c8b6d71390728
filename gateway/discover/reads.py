"""A frame as a rule's `reads`: as few words as tell the input for certain. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.discover.template import Frame
from gateway.reading.template import Template

_CUT = re.compile(r"(?<=\n)|(?<=[.:] )")
_LINE_END = re.compile(r"\n|$")
_WORD = re.compile(r"\w")
_LEAST_CHARS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """As in gateway.yaml. roles: whose messages, of the system prompt those that it has; all empty: the last turn of
    the user, whole."""

    roles: tuple[str, ...] = ()
    after: str = ""
    before: str = ""

    def __bool__(self) -> bool:
        return bool(self.after or self.before)

    @property
    def template(self) -> Template:
        """As the gateway reads it."""
        return Template(after=self.after, before=self.before)

    def __str__(self) -> str:
        if not self:
            return "the user's last turn"
        parts = [
            f"after {_shown(self.after)}" if self.after else "",
            f"before {_shown(self.before)}" if self.before else "",
        ]
        where = "the system prompt, " if self.roles else ""
        return where + ", ".join(part for part in parts if part)


def reads_of(frame: Frame, *, roles: tuple[str, ...] = (), others: Sequence[str] = ()) -> Reads:
    """What tells the input of every text of the frame, and fits none of the others if it can be helped.

    A text that begins with all of `frame.before` holds a tail of it for the first time there, if the frame itself
    does not hold it earlier; and likewise its end.
    """
    if not frame:
        return Reads(roles=roles)
    found = [
        Reads(roles=roles, after=after, before=before)
        for after in _tails(frame.before)
        for before in _heads(frame.after)
    ]
    return next(
        (one for one in found if not any(one.template.input_of(text) is not None for text in others)), found[-1]
    )


def _tails(before: str) -> Iterator[str]:
    """Ends of what stands before the input, the shortest first, that stand there only once; last all of it."""
    for start in sorted({match.start() for match in _CUT.finditer(before)} - {len(before)}, reverse=True):
        tail = before[start:]
        if len(tail) >= _LEAST_CHARS and _WORD.search(tail) and before.find(tail) == start:
            yield tail
    yield before


def _heads(after: str) -> Iterator[str]:
    """Beginnings of what stands after the input, the shortest first, that stand there only once; last all of it."""
    for end in sorted({match.start() for match in _LINE_END.finditer(after)} - {0, len(after)}):
        head = after[:end]
        if _WORD.search(head) and after.rfind(head) == 0:
            yield head
    yield after


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:18]} … {text[-18:]}")
