"""The suite on a classifier: rows and what the families make of them → a table as plain data.

Verdicts on a suite's cases → what is caught beside what is caught clean, and what is flagged without need. Pure.

A payload at the head, the middle or the tail of 1,000 to 64,000 characters, and such documents without one.

Harmless text that looks otherwise: the policy's own `not:` lines, everyday ones with trigger words, long tasks.
"""

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers import data
from classifiers.errors import ClassifierError
from classifiers.evaluation import attacks
from classifiers.evaluation.cases import Case, Family, Sample, language_cases
from classifiers.evaluation.metrics import wilson
from classifiers.policy import Policy
from classifiers.runtime.runtime import Runtime
from classifiers.verdict import Reading, Verdict

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


LENGTH_ROWS = {1_000: 40, 4_000: 16, 16_000: 5, 64_000: 2}
"""Characters → how many rows of either sort are tried: a long document takes as long to read as many short ones."""


def document(chars: int, chance: random.Random) -> list[str]:
    """Paragraphs of harmless prose, about `chars` characters together."""
    found: list[str] = []
    length = 0
    while length < chars:
        for paragraph in chance.sample(data.lines("prose.txt"), len(data.lines("prose.txt"))):
            kept = paragraph[: chars - length]
            found.append(kept)
            length += len(kept) + 1
            if length >= chars:
                break
    return found


def length_cases(sample: Sample) -> Iterator[Case]:
    """Places of a harmful row in a document; for harmless ones the row in the middle, and documents alone. None where a
    policy's labels mean everyday text."""
    if not sample.policy.everyday:
        return
    for chars, most in LENGTH_ROWS.items():
        size = f"{chars // 1000}k"
        for harmful, index, text in sample.rows(most):
            around = document(chars, sample.chance("length", harmful, index))
            middle = len(around) // 2
            places = {"head": 0, "middle": middle, "tail": len(around)} if harmful else {"middle": middle}
            for place, at in places.items():
                whole = "\n".join([*around[:at], text, *around[at:]])
                yield Case(variant=f"{size}, {place}", texts=(whole,), harmful=harmful, base=index)
        for number in range(most // 2 + 1):
            alone = "\n".join(document(chars, sample.chance("clean", chars, number)))
            yield Case(variant=f"{size}, clean", texts=(alone,), harmful=False)


def overrefusal_cases(sample: Sample) -> Iterator[Case]:
    """Each subject is a variant; where a policy's labels mean everyday text, its own lines are all."""
    for label in sample.policy.labels.values():
        for line in label.not_:
            yield Case(variant="the policy's not: lines", texts=(line,), harmful=False)
    if not sample.policy.everyday:
        return
    for subject, lines in data.table("triggers.json").items():
        for line in lines:
            yield Case(variant=subject, texts=(line,), harmful=False)
    for brief in data.lines("briefs.txt"):
        yield Case(variant="long tasks", texts=(brief,), harmful=False)


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
"""Harmful rows, and as many harmless ones, of which cases are made."""

_CHUNK = 64


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
