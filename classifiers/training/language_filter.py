"""Finds training rows in languages the policy does not list; at run time the classifier abstains on these."""

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
    """Marks rows in other languages, with a cache by text. About 0.2 ms a row.

    detector: of languages, opened already or opened when needed.
    """

    def __init__(self, policy: Policy, detector: LanguageDetector | None = None) -> None:
        self._scripts, self._languages = written_in(policy.languages), detectable(policy.languages)
        self._open, self._passage = ANY in policy.languages, policy.multi_label
        self._detector = detector or LanguageDetector()
        self._known: dict[str, str] = {}

    def marked(self, rows: Iterable[Row]) -> list[Row]:
        """The rows, each with its foreign language, if any. The built-in writer's rows are checked only where they may
        be held out; the many others are the author's own words again."""
        if self._open:
            return list(rows)
        return [
            replace(row, foreign=self._language(row.text)) if row.probe or row.source != "builtin" else row
            for row in rows
        ]

    def _language(self, text: str) -> str:
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
    """(rows kept, rows dropped): foreign rows of a teacher go, who was asked for the policy's languages."""
    stay: list[Row] = []
    go: list[Row] = []
    for row in rows:
        (go if row.foreign and row.source == "teacher" else stay).append(row)
    return stay, go


def as_served(policy: Policy, trained: MeasuredModel) -> MeasuredModel:
    """The model with held-out verdicts as when served: it abstains on foreign rows."""
    pairs = zip(trained.read, trained.verdicts, strict=True)
    return replace(trained, verdicts=tuple(_abstained(policy, row, verdict) for row, verdict in pairs))


def _abstained(policy: Policy, row: Row, verdict: Verdict) -> Verdict:
    if not row.foreign:
        return verdict
    return replace(verdict, labels=verdict.labels if policy.multi_label else (), abstention=Abstention.LANGUAGE)


def summary(rows: Iterable[Row], dropped: Sequence[Row]) -> dict[str, Any]:
    """For the report: how many given rows are foreign, in which languages, and how many sentences were dropped."""
    given = [row for row in rows if row.source != "builtin"]
    return {
        "rows": sum(bool(row.foreign) for row in given),
        "total": len(given),
        "languages": dict(Counter(row.foreign for row in given if row.foreign).most_common()),
        "dropped": len(dropped),
        "languages_dropped": dict(Counter(row.foreign for row in dropped).most_common()),
    }
