"""How much of a schema is looked at: a few references to one long list are as much work as a caller likes."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.spelling import folded

_MOST: Final = 100_000
"""Parts, of about a microsecond each: far more than a schema of use has."""
_OF_A_PLACE: Final = 12
"""Parts that a place is worth beside what is listed there."""
_A_PART: Final = 8
"""So many letters of a word are one."""


class TooLarge(Exception):
    """The schema has more parts than are looked at, each counted as often as it is."""


class Looked:
    """A schema that is being looked at, and what has been read of it."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._left = _MOST
        self._targets: dict[str, object] = {}
        self._folds = _Folds(self)

    def parts(self, count: int) -> None:
        """Counts parts before they are looked at. Raises TooLarge."""
        self._left -= count
        if self._left < 0:
            raise TooLarge

    def place(self, schema: object) -> None:
        """Counts a place in the schema, with its keywords and what they list. Raises TooLarge."""
        within = sum(map(_size, schema.values()), len(schema)) if isinstance(schema, Mapping) else 0
        self.parts(_OF_A_PLACE + within)

    def words(self, values: object, times: int) -> None:
        """Counts words, by their letters, that are to be read so many times. Raises TooLarge."""
        if isinstance(values, list):
            self.parts(times * sum(_letters(one) if isinstance(one, str) else 1 for one in values))

    def folded(self, word: str) -> str:
        """`spelling.folded`, of each word once. Raises TooLarge."""
        return self._folds[word]

    def referred(self, reference: object) -> object:
        """What stands at a `$ref` within the schema; None where there is no such place."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        if reference not in self._targets:
            target: object = self.root
            for part in reference.removeprefix("#").strip("/").split("/"):
                target = target.get(part) if isinstance(target, Mapping) else None
            self._targets[reference] = target
        return self._targets[reference]

    def listed(self, schema: object) -> tuple[str, ...]:
        """The strings that a schema within the root lists as values. Raises TooLarge."""
        if isinstance(schema, Mapping) and "$ref" in schema:
            schema = self.referred(schema["$ref"])
        if not isinstance(schema, Mapping):
            return ()
        self.place(schema)
        values = [schema["const"]] if "const" in schema else schema.get("enum", ())
        return tuple(value for value in values if isinstance(value, str))


class _Folds(dict[str, str]):
    def __init__(self, looked: Looked) -> None:
        super().__init__()
        self._looked = looked

    def __missing__(self, word: str) -> str:
        self._looked.parts(_letters(word))
        found = self[word] = folded(word)
        return found


def _letters(word: str) -> int:
    return 1 + len(word) // _A_PART


def _size(part: object) -> int:
    """Parts of a keyword's value."""
    if isinstance(part, list | dict):
        return len(part)
    return part.bit_length() // 64 if isinstance(part, int) else 0
