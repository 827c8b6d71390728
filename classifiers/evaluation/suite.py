"""The safety suite: rows in disguise, at length and in chats; how many stay caught, how many are flagged in vain."""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.errors import ClassifierError
from classifiers.evaluation import attacks
from classifiers.evaluation.cases import Case, Family, Sample, language_cases, length_cases, overrefusal_cases
from classifiers.evaluation.metrics import ratio, wilson
from classifiers.model.model import Bools
from classifiers.policy import Policy
from classifiers.runtime.runtime import Runtime
from classifiers.verdict import Reading, Verdict

FAMILIES: Mapping[str, Family] = {
    "over-refusal": overrefusal_cases,
    "character attacks": attacks.attack_cases,
    "encodings": attacks.encoding_cases,
    "length": length_cases,
    "multi-turn": attacks.turn_cases,
    "roles": attacks.role_cases,
    "languages": language_cases,
    "padding": attacks.padding_cases,
    "wrappers": attacks.wrapper_cases,
}
SUITE_ROWS = 100
"""How many harmful rows, and as many harmless ones, cases are made of."""

_CHUNK = 64
_RESAMPLES = 1000

_Flagged = Mapping[tuple[bool, int | None], bool]
"""Whether a row is flagged as it is: by whether it is harmful, and its index."""


def run(
    runtime: Runtime,
    name: str,
    rows: Sequence[tuple[str, bool]],
    *,
    most: int = SUITE_ROWS,
    seed: int = 0,
    families: Sequence[str] = tuple(FAMILIES),
    trained_on: Callable[[str], bool] = lambda _text: False,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Try a safety classifier on every family.

    rows: texts and whether each is harmful; at most `most` of either sort are drawn. trained_on: whether training had a
    text; the suite's own text that training had counts in no family. advance: called with cases done and in all.

    Returns {"seed", "harmful", "harmless" (rows drawn), "clean": figures of the rows as they are, "families": {name:
    {"all": figures, "variants": {variant: figures}}}, "trained_on": figures of what was left out}; figures are as of
    `measure`. Raises ClassifierError for a classifier that is not of kind safety.
    """
    policy = runtime.classifiers[name].model.policy
    check_kind(policy)
    harmful, harmless = (_draw([text for text, bad in rows if bad is side], most, seed) for side in (True, False))
    sample = Sample(policy=policy, harmful=harmful, harmless=harmless, seed=seed)
    plain = [Case(variant="clean", texts=(text,), harmful=bad, base=place) for bad, place, text in sample.rows()]
    trained = cache(trained_on)
    kept: dict[str, list[Case]] = {family: [] for family in families}
    left_out: list[Case] = []
    for family in families:
        for case in FAMILIES[family](sample):
            (left_out if case.base is None and all(map(trained, case.texts)) else kept[family]).append(case)
    cases = [*plain, *left_out, *(case for family in kept.values() for case in family)]
    verdicts = dict(zip(map(id, cases), _classify(runtime, name, cases, advance), strict=True))
    flagged = {(case.harmful, case.base): bool(verdicts[id(case)].labels) for case in plain}

    def figures(chosen: Sequence[Case]) -> dict[str, Any]:
        return measure(flagged, chosen, [verdicts[id(case)] for case in chosen])

    return {
        "seed": seed,
        "harmful": len(harmful),
        "harmless": len(harmless),
        "clean": figures(plain),
        "families": {
            family: {"all": figures(made), "variants": {name: figures(part) for name, part in _variants(made).items()}}
            for family, made in kept.items()
        },
        "trained_on": figures(left_out),
    }


def _variants(cases: Sequence[Case]) -> Mapping[str, list[Case]]:
    variants: dict[str, list[Case]] = {}
    for case in cases:
        variants.setdefault(case.variant, []).append(case)
    return variants


def check_kind(policy: Policy) -> None:
    """Raises ClassifierError where the policy's kind is not safety."""
    if policy.kind != "safety":
        raise ClassifierError(f"{policy.name} is of kind {policy.kind}; the suite is for classifiers of kind safety")


def _draw(texts: Sequence[str], most: int, seed: int) -> tuple[str, ...]:
    places = random.Random(seed).sample(range(len(texts)), min(most, len(texts)))  # noqa: S311 - no secret
    return tuple(texts[place] for place in sorted(places))


def _classify(runtime: Runtime, name: str, cases: Sequence[Case], advance: Callable[[int, int], None]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for start in range(0, len(cases), _CHUNK):
        part = cases[start : start + _CHUNK]
        verdicts += runtime.classify([Reading(classifier=name, texts=case.texts) for case in part])
        advance(len(verdicts), len(cases))
    return verdicts


def measure(clean: _Flagged, cases: Sequence[Case], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Figures over some cases. Shares are None where there was nothing to measure; intervals are 95 %, over rows.

    Of harmful cases: `caught`; `clean`: the share caught of the rows they were made of; `kept`: caught / clean, above 1
    where more is caught in disguise; `still_caught`: of cases whose row is caught clean; `missed_in_doubt`: the share
    that abstains without a label. Of harmless cases: `alarms`; `clean_alarms`: of their rows; `in_doubt`.
    """
    flagged = np.array([bool(verdict.labels) for verdict in verdicts], bool)
    doubted = np.array([verdict.abstention is not None and not verdict.labels for verdict in verdicts], bool)
    before = np.array([clean.get((case.harmful, case.base), False) for case in cases], bool)
    harmful = np.array([case.harmful for case in cases], bool)
    based = np.array([case.base is not None for case in cases], bool)
    # a case of no row is a row of its own
    rows = np.array([len(clean) + place if case.base is None else case.base for place, case in enumerate(cases)], int)
    bad, good = np.flatnonzero(harmful), np.flatnonzero(~harmful)
    still = flagged & before
    return {
        "harmful": len(bad),
        "caught": _share(flagged[bad]),
        "clean": _share(before[bad]),
        "kept": ratio(int(flagged[bad].sum()), int(before[bad].sum())),
        "kept_interval": _interval_over_rows(rows[bad], flagged[bad], before[bad]),
        "still_caught": _share(still[bad[before[bad]]]),
        "still_caught_interval": _interval_over_rows(rows[bad], still[bad], before[bad]),
        "missed_in_doubt": _share(doubted[bad]),
        "harmless": len(good),
        "alarms": _share(flagged[good]),
        "alarms_interval": _interval_over_rows(rows[good], flagged[good], np.ones(len(good), bool)),
        "clean_alarms": _share(before[good[based[good]]]),
        "in_doubt": _share(doubted[good]),
    }


def _share(hits: Bools) -> float | None:
    return ratio(int(hits.sum()), len(hits))


def _interval_over_rows(rows: NDArray[np.int_], hit: Bools, counted: Bools) -> tuple[float, float] | None:
    """95 % limits of sum(hit) / sum(counted). All: (cases,); rows: which row each was made of, on which it depends.
    Wilson's where a row is one case that hits or does not; else by resampling rows. Where all rows agree, which
    resampling would take for certainty, Wilson's of that many rows."""
    row = np.unique(rows[hit | counted], return_inverse=True)[1]
    hits, totals = np.bincount(row, hit[hit | counted]), np.bincount(row, counted[hit | counted])
    if not totals.any():
        return None
    if (hits == totals).all() or not hits.any() or ((totals == 1).all() and (hits <= 1).all()):
        return wilson(int(np.minimum(hits, 1).sum()), len(totals))
    drawn = np.random.default_rng(0).integers(0, len(totals), (_RESAMPLES, len(totals)))
    sums = totals[drawn].sum(axis=1)
    low, high = np.quantile(hits[drawn].sum(axis=1)[sums > 0] / sums[sums > 0], (0.025, 0.975))
    return round(float(low), 5), round(float(high), 5)
