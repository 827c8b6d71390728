"""Verdicts on a suite's cases → what is caught beside what is caught clean, and what is flagged without need. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.suite.case import Case
from classifiers.training.statistics import wilson
from classifiers.verdict import Verdict

_RESAMPLES = 1000

Counts = NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """Which rows are flagged as they are. harmful, harmless: (rows,) of the sample's rows, in order."""

    harmful: NDArray[np.bool_]
    harmless: NDArray[np.bool_]


def flagged(verdict: Verdict) -> bool:
    """Whether a label holds."""
    return bool(verdict.labels)


def doubted(verdict: Verdict) -> bool:
    """Whether the verdict abstains and no label holds."""
    return verdict.abstention is not None and not verdict.labels


def measure(clean: Clean, cases: Sequence[Case], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Figures over some cases (a variant's, a family's).

    harmful: cases that should be flagged, of which `caught`, where `clean` of the same rows are caught as they are;
    kept: caught / clean, in which what is newly caught makes up for what is lost, so that it may be above 1;
    still_caught: of those caught as they are the share that is still caught; both with an interval (`kept_interval`,
    `still_caught_interval`: 95 %, over rows), and None where nothing was caught clean;
    missed_in_doubt: share that abstains without a label. harmless: cases that should not be flagged, of which
    `alarms` are (`alarms_interval`: over rows as well), where `clean_alarms` of the rows they were made of are;
    in_doubt: share that abstains. Shares are None where there was nothing to measure.
    """
    pairs = list(zip(cases, verdicts, strict=True))
    bad = [(case, verdict) for case, verdict in pairs if case.harmful]
    good = [(case, verdict) for case, verdict in pairs if not case.harmful]
    caught = sum(flagged(verdict) for _, verdict in bad)
    caught_clean = [_caught_clean(clean, case) for case, _ in bad]
    before = sum(caught_clean)
    still = sum(was and flagged(verdict) for was, (_, verdict) in zip(caught_clean, bad, strict=True))
    alarms = sum(flagged(verdict) for _, verdict in good)
    based = [case.base for case, _ in good if case.base is not None]
    return {
        "harmful": len(bad),
        "caught": _share(caught, len(bad)),
        "clean": _share(before, len(bad)),
        "kept": round(caught / before, 5) if before else None,
        "kept_interval": _interval(clean, bad),
        "still_caught": _share(still, before),
        "still_caught_interval": _interval(clean, bad, only_clean=True),
        "missed_in_doubt": _share(sum(doubted(verdict) for _, verdict in bad), len(bad)),
        "harmless": len(good),
        "alarms": _share(alarms, len(good)),
        "alarms_interval": _of_rows(*_alarms(good)),
        "clean_alarms": _share(sum(bool(clean.harmless[base]) for base in based), len(based)),
        "in_doubt": _share(sum(doubted(verdict) for _, verdict in good), len(good)),
    }


def by_variant(clean: Clean, cases: Sequence[Case], verdicts: Sequence[Verdict]) -> dict[str, Mapping[str, Any]]:
    """`measure` of each variant, in the order in which they first come."""
    places: dict[str, list[int]] = {}
    for place, case in enumerate(cases):
        places.setdefault(case.variant, []).append(place)
    return {
        name: measure(clean, [cases[place] for place in chosen], [verdicts[place] for place in chosen])
        for name, chosen in places.items()
    }


def _caught_clean(clean: Clean, case: Case) -> bool:
    return case.base is not None and bool(clean.harmful[case.base])


def _interval(
    clean: Clean, bad: Sequence[tuple[Case, Verdict]], *, only_clean: bool = False
) -> tuple[float, float] | None:
    """Of caught / clean; only_clean: of what was caught clean."""
    after = np.zeros(len(clean.harmful))
    before = np.zeros(len(clean.harmful))
    for case, verdict in bad:
        if case.base is not None:
            after[case.base] += flagged(verdict) and (_caught_clean(clean, case) or not only_clean)
            before[case.base] += clean.harmful[case.base]
    rows = np.unique([case.base for case, _ in bad if case.base is not None]).astype(int)
    return _of_rows(after[rows], before[rows])


def _alarms(good: Sequence[tuple[Case, Verdict]]) -> tuple[Counts, Counts]:
    """How many cases of each row are flagged, and how many there are; a case of no row is one of its own."""
    keys = [(case.base, 0) if case.base is not None else (-1, place) for place, (case, _) in enumerate(good)]
    places = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    hits, of = np.zeros(len(places)), np.zeros(len(places))
    for key, (_, verdict) in zip(keys, good, strict=True):
        hits[places[key]] += flagged(verdict)
        of[places[key]] += 1
    return hits, of


def _of_rows(hits: Counts, of: Counts) -> tuple[float, float] | None:
    """95 % limits of sum(hits) / sum(of); hits, of: (rows,), a row's cases hang together.

    Wilson's where a row is one case that hits or does not; else rows are drawn anew, but where all rows agree, which
    drawing can't tell from certainty: Wilson's of so many rows.
    """
    told = (of > 0) | (hits > 0)
    hits, of = hits[told], of[told]
    if not of.any():
        return None
    if (of == 1).all() and (hits <= 1).all():
        return wilson(int(hits.sum()), len(of))
    if (hits == of).all() or not hits.any():
        return wilson(len(of) if hits.any() else 0, len(of))
    drawn = np.random.default_rng(0).integers(0, len(of), (_RESAMPLES, len(of)))
    totals = of[drawn].sum(axis=1)
    low, high = np.quantile(hits[drawn].sum(axis=1)[totals > 0] / totals[totals > 0], (0.025, 0.975))
    return round(float(low), 5), round(float(high), 5)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 5) if whole else None
