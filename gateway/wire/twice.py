"""Whether a key stands twice in one object of a JSON text: some servers take its first value, others its last."""

import json
from typing import Final


class _Twice(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def key_twice(data: bytes) -> str | None:
    """The first key that is found twice in one object, however deep. Raises ValueError where data is no JSON, and
    RecursionError."""
    try:
        _decoder.decode(str(data, "utf-8"))
    except _Twice as found:
        return found.key
    return None


def _once(pairs: list[tuple[str, object]]) -> None:
    """Keeps nothing of an object, since only its keys are looked at."""
    if len(dict(pairs)) == len(pairs):
        return
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _Twice(key)
        seen.add(key)


_decoder: Final = json.JSONDecoder(object_pairs_hook=_once, parse_int=str, parse_float=str, strict=False)
"""Numbers stay text: one of thousands of digits is none to Python."""
