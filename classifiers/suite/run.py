"""The suite on a classifier: rows and what the families make of them → a table as plain data."""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from classifiers.errors import ClassifierError
from classifiers.policy import Policy
from classifiers.runtime import Runtime
from classifiers.suite import (
    attacks,
    encodings,
    languages,
    lengths,
    overrefusal,
    padding,
    roles,
    turns,
    wrappers,
)
from classifiers.suite.case import Case, Family, Sample
from classifiers.suite.figures import Clean, by_variant, flagged, measure
from classifiers.verdict import Reading, Verdict

FAMILIES: Mapping[str, Family] = {
    "over-refusal": overrefusal.cases,
    "character attacks": attacks.cases,
    "encodings": encodings.cases,
    "length": lengths.cases,
    "multi-turn": turns.cases,
    "roles": roles.cases,
    "languages": languages.cases,
    "padding": padding.cases,
    "wrappers": wrappers.cases,
}
ROWS = 100
"""Harmful rows, and as many harmless ones, of which cases are made."""

_CHUNK = 64


def run(
    runtime: Runtime,
    name: str,
    rows: Sequence[tuple[str, bool]],
    *,
    most: int = ROWS,
    seed: int = 0,
    families: Sequence[str] = tuple(FAMILIES),
    trained_on: Callable[[str], bool] = lambda _text: False,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Try a safety classifier. rows: texts and whether each is harmful; of either sort at most `most` are drawn.
    trained_on: whether training had a text; what the suite says itself and training had counts in no family.

    Returns {"seed", "harmful", "harmless" (rows drawn), "clean": their figures as they are, "families": {name:
    {"all": figures, "variants": {variant: figures}}}, "trained_on": figures of what was left out}; figures are as
    `figures.measure` returns them. `advance` is called with cases done and in all. Raises ClassifierError for a
    classifier that is not of kind safety.
    """
    policy = runtime.classifiers[name].model.policy
    check_kind(policy)
    sample = Sample(
        policy=policy,
        harmful=_draw([text for text, harmful in rows if harmful], most, seed),
        harmless=_draw([text for text, harmful in rows if not harmful], most, seed),
        seed=seed,
    )
    plain = [Case(variant="clean", texts=(text,), harmful=harmful, base=at) for harmful, at, text in sample.rows()]
    made = {family: list(FAMILIES[family](sample)) for family in families}
    own = {text for cases in made.values() for case in cases if case.base is None for text in case.texts}
    taught = {text for text in own if trained_on(text)}
    seen = [case for cases in made.values() for case in cases if _is_of(case, taught)]
    made = {family: [case for case in cases if not _is_of(case, taught)] for family, cases in made.items()}
    total = len(plain) + len(seen) + sum(map(len, made.values()))
    done = 0

    def judge(cases: Sequence[Case]) -> list[Verdict]:
        nonlocal done
        verdicts: list[Verdict] = []
        for start in range(0, len(cases), _CHUNK):
            part = cases[start : start + _CHUNK]
            verdicts += runtime.classify([Reading(classifier=name, texts=case.texts) for case in part])
            done += len(part)
            advance(done, total)
        return verdicts

    verdicts = judge(plain)
    hits = np.array([flagged(verdict) for verdict in verdicts], bool)
    clean = Clean(harmful=hits[: len(sample.harmful)], harmless=hits[len(sample.harmful) :])
    found: dict[str, Any] = {}
    for family, cases in made.items():
        said = judge(cases)
        found[family] = {"all": measure(clean, cases, said), "variants": by_variant(clean, cases, said)}
    return {
        "seed": seed,
        "harmful": len(sample.harmful),
        "harmless": len(sample.harmless),
        "clean": measure(clean, plain, verdicts),
        "families": found,
        "trained_on": measure(clean, seen, judge(seen)),
    }


def check_kind(policy: Policy) -> None:
    """Raises ClassifierError where the suite has nothing to try on what a policy describes."""
    if policy.kind != "safety":
        raise ClassifierError(f"{policy.name} is of kind {policy.kind}; the suite is for classifiers of kind safety")


def _is_of(case: Case, texts: Collection[str]) -> bool:
    return case.base is None and all(text in texts for text in case.texts)


def _draw(texts: Sequence[str], most: int, seed: int) -> tuple[str, ...]:
    if len(texts) <= most:
        return tuple(texts)
    chosen = random.Random(seed).sample(range(len(texts)), most)  # noqa: S311 - no secret
    return tuple(texts[place] for place in sorted(chosen))
