"""What a teacher's model was asked for, and what that brought: in all, and of each label."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from classifiers.training.write.answers import Labels
from classifiers.training.write.prompts import Ask

_NONE = "none"


class Tally:
    """Counts of batches and of sentences. A batch of several labels counts for each of them.

    wanted: what was to be asked for; answered: taken from the cache, or asked for, whatever came of it; unusable:
    answered without any sentence; sentences: all that came.
    """

    def __init__(self) -> None:
        self.wanted = self.answered = self.unusable = self.sentences = 0
        self._wanted: Counter[str] = Counter()
        self._unusable: Counter[str] = Counter()
        self._sentences: Counter[str] = Counter()

    def want(self, asks: Sequence[Ask]) -> None:
        """Count what is to be asked for."""
        self.wanted += len(asks)
        for ask in asks:
            self._wanted.update(_labels(ask))

    def take(self, ask: Ask, texts: Sequence[tuple[str, Labels]]) -> None:
        """Count what one of these brought."""
        self.answered += 1
        self.sentences += len(texts)
        for _, labels in texts:
            self._sentences.update(labels or (_NONE,))
        if not texts:
            self.unusable += 1
            self._unusable.update(_labels(ask))

    def told(self) -> dict[str, Any]:
        """For the report."""
        return {
            "batches": {"wanted": self.wanted, "answered": self.answered, "unusable": self.unusable},
            "labels": {
                name: {"batches": wanted, "unusable": self._unusable[name], "sentences": self._sentences[name]}
                for name, wanted in self._wanted.items()
            },
        }


def _labels(ask: Ask) -> set[str]:
    return {name for names in ask.labels.values() for name in names} or {_NONE}
