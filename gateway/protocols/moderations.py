"""POST /v1/moderations in OpenAI's shape, and the categories of OpenAI's own endpoint."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

CATEGORIES: Final = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""A policy's `taxonomy: {openai: …}` names them; its other labels join them under their own names."""


class ModerationRequest(Struct):
    """`input`: a text, a list of texts, or a list of text parts (which are one input)."""

    input: str | list[Raw]
    model: str | None = None


class ModerationPart(Struct):
    """A part of a multi-part input."""

    type: str
    text: str | None = None


class ItemError(Struct):
    """Why one text of a list was not judged, with an error's keys. code: `language` or `too_long`."""

    message: str
    param: str
    code: str
    type: str = "invalid_request_error"


class ModerationResult(Struct):
    """What was found in one input. Where it was not judged, `error` says why: no category has a value, and `flagged`
    is true for those who look at nothing else."""

    flagged: bool
    categories: Mapping[str, bool | None]
    category_scores: Mapping[str, float | None]
    category_applied_input_types: Mapping[str, Sequence[str]]
    error: ItemError | UnsetType = UNSET


class ModerationAnswer(Struct):
    """The whole answer."""

    id: str
    model: str
    results: list[ModerationResult]


class HeardResult(Struct):
    """What a moderation endpoint found in one input. categories: None, of which a model knows nothing."""

    categories: dict[str, bool | None]


class HeardModeration(Struct):
    """A moderation endpoint's answer."""

    results: list[HeardResult]


decode_heard = msgspec.json.Decoder(HeardModeration).decode
