"""Finds training rows in languages the policy does not list; at run time the classifier abstains on these."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from classifiers.policy import Policy
from classifiers.text.language import ANY, LanguageDetector, detectable, foreign
from classifiers.text.normalise import normalise
from classifiers.text.scripts import letters, written_in
from classifiers.training.fit.fitted import MeasuredModel
from classifiers.training.rows import Row
from classifiers.verdict import Abstention


def mark_foreign(policy: Policy, rows: Iterable[Row], detector: LanguageDetector | None = None) -> list[Row]:
    """The rows, each with its foreign language, if any. About 0.2 ms a row. The built-in writer's rows are checked only
    where they may be held out; the many others are the author's own words again. detector: one that is already open."""
    if ANY in policy.languages:
        return list(rows)
    scripts, languages = written_in(policy.languages), detectable(policy.languages)
    stretches = (detector or LanguageDetector()).stretches

    @cache
    def language(text: str) -> str:
        plain = normalise(text)
        found = stretches(plain) if languages else ()
        passage = policy.multi_label
        return foreign(letters(plain), found, len(plain), scripts=scripts, languages=languages, passage=passage)

    return [replace(row, foreign=language(row.text)) if row.probe or row.source != "builtin" else row for row in rows]


def is_dropped(row: Row) -> bool:
    """Whether a row is a teacher's, who was asked for the policy's languages, in another one."""
    return bool(row.foreign) and row.source == "teacher"


def as_served(policy: Policy, trained: MeasuredModel) -> MeasuredModel:
    """The model with held-out verdicts as when served: it abstains on foreign rows."""
    pairs = zip(trained.read, trained.verdicts, strict=True)
    own: dict[str, Any] = {"abstention": Abstention.LANGUAGE} | ({} if policy.multi_label else {"labels": ()})
    served = (replace(verdict, **own) if row.foreign else verdict for row, verdict in pairs)
    return replace(trained, verdicts=tuple(served))


def summary(rows: Iterable[Row], dropped: Sequence[Row]) -> dict[str, Any]:
    """For the report: how many given rows are foreign, in which languages, and how many sentences were dropped."""
    given = [row.foreign for row in rows if row.source != "builtin"]
    languages = Counter(filter(None, given))
    return {
        "rows": languages.total(),
        "total": len(given),
        "languages": dict(languages.most_common()),
        "dropped": len(dropped),
        "languages_dropped": dict(Counter(row.foreign for row in dropped).most_common()),
    }
