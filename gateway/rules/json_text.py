"""Text that is JSON, as a whole or in the Markdown fences that models put around it. Pure."""

import json

import msgspec

from gateway.answers.said import bare

_FENCE = "```"


def is_json(text: str) -> bool:
    """Whether the whole text is JSON, in a fence or without one."""
    try:
        msgspec.json.decode(bare(text))
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def holds_json(text: str) -> bool:
    """Whether the whole text is a JSON object or list, in a fence or without one."""
    return bare(text).lstrip()[:1] in ("{", "[") and is_json(text)


def fenced(text: str) -> list[tuple[int, int]]:
    """Where JSON stands in Markdown fences within other text, by start."""
    spans, start = [], 0
    for index, part in enumerate(text.split(_FENCE)):
        end = start + len(part)
        if index % 2 and holds_json(part.partition("\n")[2]):
            spans.append((start, end))
        start = end + len(_FENCE)
    return spans


def escaped(value: str) -> str:
    """A text as a part of a JSON string."""
    return json.dumps(value, ensure_ascii=False)[1:-1]


def decoded(value: str) -> str:
    """A part of a JSON string as the text that it spells."""
    try:
        return str(json.loads(f'"{value}"', strict=False))
    except ValueError:
        return value
