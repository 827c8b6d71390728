"""The passages of a reading that patterns tell; what was found in a text is remembered for when it is read again."""

from collections.abc import Iterator, Mapping, Sequence

from classifiers.patterns.find import Found, find
from classifiers.patterns.kind import Kind
from classifiers.reader import check_time
from classifiers.recent import Recent
from classifiers.verdict import Passage

_REMEMBERED_CHARS = 4_000_000


class Passages:
    """For one thread at a time. remember: whether what was found is kept, in memory, beside the text."""

    def __init__(self, *, remember: bool = True) -> None:
        self._found: Recent[tuple[str, frozenset[Kind]], tuple[Found, ...]] = Recent(
            _REMEMBERED_CHARS if remember else 0, lambda key, found: len(key[0]) + 64 * len(found) + 64
        )

    def of(
        self, texts: Sequence[str], labels: Mapping[Kind, str], deadline: float | None = None
    ) -> tuple[Passage, ...]:
        """By text and start. Those of one label do not overlap; those of several at one place have the same characters,
        the strongest kind first. labels: for which label a kind stands; other kinds are not sought.

        deadline: by time.monotonic(). Raises DeadlinePassed.
        """
        if not labels:
            return ()
        return tuple(self._passages(texts, labels, deadline))

    def _passages(self, texts: Sequence[str], labels: Mapping[Kind, str], deadline: float | None) -> Iterator[Passage]:
        kinds = frozenset(labels)
        for place, text in enumerate(texts):
            found = self._found.get((text, kinds))
            if found is None:
                found = tuple(find(text, kinds, lambda: check_time(deadline)))
                self._found.put((text, kinds), found)
            for one in found:
                told: dict[str, Kind] = {}
                for kind in (one.kind, *one.also):
                    told.setdefault(labels[kind], kind)
                for label, kind in told.items():
                    yield Passage(label=label, kind=kind, start=one.start, end=one.end, text=place)
