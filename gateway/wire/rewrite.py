"""JSON with some of its values replaced; all that does not lie on the way to one of them keeps its bytes."""

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from gateway.wire.decode import of_upstream

Path = tuple[str | int, ...]
"""The way to a value: keys of objects, indexes of lists."""

_object = msgspec.json.Decoder(dict[str, Raw]).decode
_list = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.Encoder().encode


def rewrite(data: bytes | Raw, changes: Mapping[Path, bytes]) -> bytes:
    """changes: the new JSON of each value, by its path; none lies within another.

    Of a key that stands twice in an object on the way, the last is kept, which is the one that was read.
    Raises KeyError or IndexError where a path leads nowhere, and msgspec.DecodeError where it leads through no object.
    """
    if () in changes:
        return changes[()]
    within: dict[str | int, dict[Path, bytes]] = {}
    for (first, *rest), value in changes.items():
        within.setdefault(first, {})[tuple(rest)] = value
    if not within:
        return bytes(data)
    of_keys = isinstance(next(iter(within)), str)
    holder: dict[str, Raw] | list[Raw] = of_upstream(_object, bytes(data)) if of_keys else _list(data)
    for key, inner in within.items():
        holder[key] = Raw(rewrite(holder[key], inner))  # type: ignore[index]
    return _encode(holder)
