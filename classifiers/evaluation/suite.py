"""The safety suite: rows in disguise, at length and in chats; how many stay caught, how many are flagged in vain."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.errors import ClassifierError
from classifiers.evaluation import attacks
from classifiers.evaluation.cases import Case, Family, Sample, language_cases, length_cases, overrefusal_cases
from classifiers.evaluation.metrics import ratio, wilson
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

_Counts = NDArray[np.floating]
_Judge = Callable[[Sequence[Case]], list[Verdict]]
_Interval = tuple[float, float] | None


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
    sample = Sample(
        policy=policy,
        harmful=_draw([text for text, harmful in rows if harmful], most, seed),
        harmless=_draw([text for text, harmful in rows if not harmful], most, seed),
        seed=seed,
    )
    plain = [Case(variant="clean", texts=(text,), harmful=harmful, base=i) for harmful, i, text in sample.rows()]
    made, left_out = _without_trained(sample, families, trained_on)
    judge = _judge(runtime, name, len(plain) + len(left_out) + sum(map(len, made.values())), advance)
    verdicts = judge(plain)
    hits = np.array([flagged(verdict) for verdict in verdicts], bool)
    clean = Clean(harmful=hits[: len(sample.harmful)], harmless=hits[len(sample.harmful) :])
    return {
        "seed": seed,
        "harmful": len(sample.harmful),
        "harmless": len(sample.harmless),
        "clean": measure(clean, plain, verdicts),
        "families": {family: _family(clean, cases, judge(cases)) for family, cases in made.items()},
        "trained_on": measure(clean, left_out, judge(left_out)),
    }


def check_kind(policy: Policy) -> None:
    """Raises ClassifierError where the policy's kind is not safety."""
    if policy.kind != "safety":
        raise ClassifierError(f"{policy.name} is of kind {policy.kind}; the suite is for classifiers of kind safety")


def _draw(texts: Sequence[str], most: int, seed: int) -> tuple[str, ...]:
    if len(texts) <= most:
        return tuple(texts)
    chosen = random.Random(seed).sample(range(len(texts)), most)  # noqa: S311 - no secret
    return tuple(texts[place] for place in sorted(chosen))


def _without_trained(
    sample: Sample, families: Sequence[str], trained_on: Callable[[str], bool]
) -> tuple[dict[str, list[Case]], list[Case]]:
    """The cases of each family, and apart from them the suite's own texts that training had."""
    kept: dict[str, list[Case]] = {family: [] for family in families}
    left_out: list[Case] = []
    trained = cache(trained_on)
    for family in families:
        for case in FAMILIES[family](sample):
            (left_out if case.base is None and all(map(trained, case.texts)) else kept[family]).append(case)
    return kept, left_out


def _judge(runtime: Runtime, name: str, total: int, advance: Callable[[int, int], None]) -> _Judge:
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

    return judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """Which rows are flagged as they are. harmful, harmless: (rows,) of the sample's rows, in order."""

    harmful: NDArray[np.bool_]
    harmless: NDArray[np.bool_]

    def caught(self, case: Case) -> bool:
        """Whether the harmful row of a case is flagged as it is."""
        return case.base is not None and bool(self.harmful[case.base])


def flagged(verdict: Verdict) -> bool:
    """Whether a label holds."""
    return bool(verdict.labels)


def doubted(verdict: Verdict) -> bool:
    """Whether the verdict abstains and no label holds."""
    return verdict.abstention is not None and not verdict.labels


def _family(clean: Clean, cases: Sequence[Case], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The figures of all cases, and of each variant in the order of first occurrence."""
    variants: dict[str, list[tuple[Case, Verdict]]] = {}
    for case, verdict in zip(cases, verdicts, strict=True):
        variants.setdefault(case.variant, []).append((case, verdict))
    figures = {
        name: measure(clean, [case for case, _ in pairs], [verdict for _, verdict in pairs])
        for name, pairs in variants.items()
    }
    return {"all": measure(clean, cases, verdicts), "variants": figures}


def measure(clean: Clean, cases: Sequence[Case], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Figures over some cases. Shares are None where there was nothing to measure; intervals are 95 %, over rows.

    Of harmful cases: `caught`; `clean`: the share caught of the rows they were made of; `kept`: caught / clean, above 1
    where more is caught in disguise; `still_caught`: of cases whose row is caught clean; `missed_in_doubt`: the share
    that abstains without a label. Of harmless cases: `alarms`; `clean_alarms`: of their rows; `in_doubt`.
    """
    pairs = list(zip(cases, verdicts, strict=True))
    bad = [(case, verdict) for case, verdict in pairs if case.harmful]
    good = [(case, verdict) for case, verdict in pairs if not case.harmful]
    caught = sum(flagged(verdict) for _, verdict in bad)
    caught_clean = [clean.caught(case) for case, _ in bad]
    before = sum(caught_clean)
    still = sum(was and flagged(verdict) for was, (_, verdict) in zip(caught_clean, bad, strict=True))
    alarms = sum(flagged(verdict) for _, verdict in good)
    based = [case.base for case, _ in good if case.base is not None]
    return {
        "harmful": len(bad),
        "caught": ratio(caught, len(bad)),
        "clean": ratio(before, len(bad)),
        "kept": ratio(caught, before),
        "kept_interval": _kept_interval(clean, bad),
        "still_caught": ratio(still, before),
        "still_caught_interval": _kept_interval(clean, bad, only_clean=True),
        "missed_in_doubt": ratio(sum(doubted(verdict) for _, verdict in bad), len(bad)),
        "harmless": len(good),
        "alarms": ratio(alarms, len(good)),
        "alarms_interval": _interval_over_rows(*_alarms(good)),
        "clean_alarms": ratio(sum(bool(clean.harmless[base]) for base in based), len(based)),
        "in_doubt": ratio(sum(doubted(verdict) for _, verdict in good), len(good)),
    }


def _kept_interval(clean: Clean, bad: Sequence[tuple[Case, Verdict]], *, only_clean: bool = False) -> _Interval:
    """The interval of caught / clean. only_clean: count only cases whose row is caught clean."""
    after = np.zeros(len(clean.harmful))
    before = np.zeros(len(clean.harmful))
    for case, verdict in bad:
        if case.base is not None:
            after[case.base] += flagged(verdict) and (clean.caught(case) or not only_clean)
            before[case.base] += clean.harmful[case.base]
    rows = np.unique([case.base for case, _ in bad if case.base is not None]).astype(int)
    return _interval_over_rows(after[rows], before[rows])


def _alarms(good: Sequence[tuple[Case, Verdict]]) -> tuple[_Counts, _Counts]:
    """How many cases of each row are flagged, and how many there are; a case without a row is a row of its own."""
    keys = [(case.base, 0) if case.base is not None else (-1, place) for place, (case, _) in enumerate(good)]
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    hits, totals = np.zeros(len(places)), np.zeros(len(places))
    for key, (_, verdict) in zip(keys, good, strict=True):
        hits[places[key]] += flagged(verdict)
        totals[places[key]] += 1
    return hits, totals


def _interval_over_rows(hits: _Counts, totals: _Counts) -> _Interval:
    """95 % limits of sum(hits) / sum(totals). hits, totals: (rows,); a row's cases depend on each other.

    Wilson's where a row is one case that hits or does not; else by resampling rows. Where all rows agree, which
    resampling would take for certainty, Wilson's of that many rows.
    """
    counted = (totals > 0) | (hits > 0)
    hits, totals = hits[counted], totals[counted]
    if not totals.any():
        return None
    if (totals == 1).all() and (hits <= 1).all():
        return wilson(int(hits.sum()), len(totals))
    if (hits == totals).all() or not hits.any():
        return wilson(len(totals) if hits.any() else 0, len(totals))
    drawn = np.random.default_rng(0).integers(0, len(totals), (_RESAMPLES, len(totals)))
    sums = totals[drawn].sum(axis=1)
    low, high = np.quantile(hits[drawn].sum(axis=1)[sums > 0] / sums[sums > 0], (0.025, 0.975))
    return round(float(low), 5), round(float(high), 5)
