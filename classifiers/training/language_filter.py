"""Training text in a language that the policy does not name: served, a classifier abstains on it, whatever it says."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from classifiers.policy import Policy
from classifiers.text.language import ANY, LanguageDetector, detectable, foreign
from classifiers.text.normalise import normalise
from classifiers.text.scripts import letters, written_in
from classifiers.training.fit.fitted import MeasuredModel
from classifiers.training.rows import Row
from classifiers.verdict import Abstention, Verdict


class Border:
    """Tells rows in such a language, of which it remembers each text. About 0.2 ms a row.

    detector: of languages; one at hand need not be opened again.
    """

    def __init__(self, policy: Policy, detector: LanguageDetector | None = None) -> None:
        self._scripts, self._languages = written_in(policy.languages), detectable(policy.languages)
        self._open, self._passage = ANY in policy.languages, policy.multi_label
        self._detector = detector or LanguageDetector()
        self._known: dict[str, str] = {}

    def marked(self, rows: Iterable[Row]) -> list[Row]:
        """The rows, each with the language in which it is foreign. Of the built-in writer's only those that may be held
        out: the others, of which there may be many, are the author's own words again."""
        if self._open:
            return list(rows)
        return [
            replace(row, foreign=self._of(row.text)) if row.probe or row.source != "builtin" else row for row in rows
        ]

    def _of(self, text: str) -> str:
        if text not in self._known:
            plain = normalise(text)
            stretches = self._detector.stretches(plain) if self._languages else ()
            self._known[text] = foreign(
                letters(plain),
                stretches,
                len(plain),
                scripts=self._scripts,
                languages=self._languages,
                passage=self._passage,
            )
        return self._known[text]


def at_the_border(rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """What may stay, and what goes: a teacher was asked for text in the policy's languages."""
    stay: list[Row] = []
    go: list[Row] = []
    for row in rows:
        (go if row.foreign and row.source == "teacher" else stay).append(row)
    return stay, go


def as_served(policy: Policy, trained: MeasuredModel) -> MeasuredModel:
    """With held-out verdicts as they are when served: an abstention on what is foreign."""
    pairs = zip(trained.read, trained.verdicts, strict=True)
    return replace(trained, verdicts=tuple(_abstained(policy, row, verdict) for row, verdict in pairs))


def _abstained(policy: Policy, row: Row, verdict: Verdict) -> Verdict:
    if not row.foreign:
        return verdict
    return replace(verdict, labels=verdict.labels if policy.multi_label else (), abstention=Abstention.LANGUAGE)


def told(rows: Iterable[Row], dropped: Sequence[Row]) -> dict[str, Any]:
    """For the report: how many of the rows that others than the built-in writer gave are foreign, in which languages,
    and how many sentences of teachers were dropped for it."""
    given = [row for row in rows if row.source != "builtin"]
    return {
        "rows": sum(bool(row.foreign) for row in given),
        "of": len(given),
        "languages": dict(Counter(row.foreign for row in given if row.foreign).most_common()),
        "dropped": len(dropped),
        "languages_dropped": dict(Counter(row.foreign for row in dropped).most_common()),
    }
