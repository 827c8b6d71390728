"""Why a label cannot be given in the shape that was asked for, so that the call is forwarded."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Each is a value of a metric's label."""

    MALFORMED = "malformed"
    """Fields that say the shape are not as OpenAI's reference has them."""
    NO_PLACE = "no_place"
    """The schema, or the prompt, has no place that takes one of the classifier's labels."""
    AMBIGUOUS = "ambiguous"
    """Several places, or several spellings, could be meant."""
    LABEL_NOT_ASKED = "label_not_asked"
    """The caller's values hold other labels, but not this one."""
    OTHER_FIELD = "other_field"
    """A required field is neither for a label nor for a slot."""
    NO_VALUE = "no_value"
    """The text says nothing of what a required field is for."""
    UNFIT_VALUE = "unfit_value"
    """The text says something of it that the field does not take, or that could be read in two ways."""
    SCHEMA = "schema"
    """The schema uses what is not understood here, or may not allow what would be given."""
    FREE_TOOLS = "free_tools"
    """The model may choose whether, or which, function it calls."""
    MODALITY = "modality"
    """More than text is asked for: audio, a web search."""
    STOP = "stop"
    """A stop sequence would cut the answer."""
    LENGTH = "length"
    """`max_tokens` may be too few for the answer."""


@dataclass(frozen=True, slots=True)
class Unmet:
    """The shape cannot be met. detail: which field, for `explain`."""

    reason: Reason
    detail: str = ""


class Cannot(Exception):
    """Nothing can stand at a place of a schema. path: names of properties, from the outermost in; detail: a text, or
    several, which are put together only where they are asked for."""

    def __init__(self, reason: Reason, path: tuple[str, ...], detail: str | Iterable[object] = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self._path = path
        self._detail = detail

    def unmet(self) -> Unmet:
        where = ".".join(self._path)
        detail = self._detail if isinstance(self._detail, str) else ", ".join(map(str, self._detail))
        return Unmet(self.reason, f"{where}: {detail}" if where and detail else where or detail or "the whole answer")
