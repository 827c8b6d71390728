"""Whether a trained model may be published: it meets the policy's goals, passes its tests, and is not worse than the
version in use on labelled rows that neither was trained on.

Of the labelled rows that come besides the policy's own, a tenth is held out, chosen by the digest of the text: the same
rows in each training, so that a version trained on part of them meets the ones it has not seen. Rows of one group are
held out together, by the lowest digest among them, and only where the version in use was trained on none of them. Where
that leaves too little to compare, though a tenth of the rows would be enough, some groups of another tenth are as well;
where these do not do either, single rows of groups that are large or grow.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from classifiers.encoder.session import Encoder
from classifiers.errors import ArtifactError, EncoderError
from classifiers.evaluation.evaluate import top
from classifiers.model import selftest
from classifiers.model.model import Model
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.runtime.classifier import from_model
from classifiers.runtime.runtime import Runtime
from classifiers.text.language import LanguageDetector
from classifiers.training import data
from classifiers.training.clean import digest, known_by
from classifiers.training.fit.fitted import FittedModel
from classifiers.training.rows import Row
from classifiers.verdict import Reading, Verdict


def test_failures(model: Model, encoders: Iterable[Encoder], now: datetime, detector: LanguageDetector) -> list[str]:
    """Run the policy's own tests through the runtime that will serve; a line for each that fails.

    encoders: those of the model's stages. now: what the version will be named for. detector: of languages; one at
    hand need not be opened again.
    """
    policy = model.policy
    runtime = Runtime(encoders, {policy.name: from_model(model)}, cache_windows=0, detector=detector)
    return selftest.failures(model, runtime.classify, policy.name, now=now)


_ONE_IN: Final = 10
_FEWEST: Final = 20
"""Held-out rows below which nothing is held out: they would tell nothing, and they teach."""
_LARGEST: Final = 0.05
"""Of all rows, that may be in a group which is held out whole: a larger one is needed to learn from."""
_LINE: Final = re.compile(r"[^/]*:\d+")
"""The group of a row that names none: where it stands in its file, which in another training is another's place. One
that is named stands behind its file's name and a slash."""
_NOT_HELD: Final = "nothing is held out to compare with the version in use"
_NOT_COMPARED: Final = "the new version is not compared with the one in use"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How the version in use and the new one do on the same rows.

    before, after: how many of them the version in use and the new one name rightly.
    lost, won: how many only the one or only the other does.
    """

    version: str
    rows: int
    before: int
    after: int
    lost: int
    won: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % limits of the change in the share that is right, given how many rows they differ on (McNemar 1947,
        with exact limits)."""
        differ = self.lost + self.won
        if not differ:
            return 0.0, 0.0
        from scipy.stats import binomtest

        limits = binomtest(self.won, differ).proportion_ci(0.95, "exact")
        low, high = ((2 * float(limit) - 1) * differ / self.rows for limit in (limits.low, limits.high))
        return low, high

    @property
    def missed(self) -> tuple[str, ...]:
        """Why the new version is refused; empty where it is not worse beyond noise."""
        low, high = self.interval
        if high >= 0:
            return ()
        was, now = 100 * self.before / self.rows, 100 * self.after / self.rows
        why = (
            f"worse than {self.version}, which is in use: of the same {self.rows} held-out rows it names {now:.1f} % "
            f"rightly instead of {was:.1f} % ({now - was:+.1f} points, 95 %: {100 * low:+.1f} to {100 * high:+.1f})"
        )
        return (why,)

    def record(self) -> dict[str, Any]:
        """For report.json."""
        low, high = self.interval
        return {
            "version": self.version,
            "rows": self.rows,
            "right_before": self.before,
            "right_after": self.after,
            "change": round((self.after - self.before) / self.rows, 5),
            "interval": [round(low, 5), round(high, 5)],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What is known of a model before it is published.

    made_at: what the version will be named for.
    missed_goals: a line for each goal that is missed; failures: for each of the policy's tests.
    comparison: with the version in use; where there is none, `note` may say why.
    latency: as `examine.of_model` measures it.
    """

    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    missed_goals: Sequence[str] = ()
    failures: Sequence[str] = ()
    comparison: Comparison | None = None
    note: str = ""
    latency: Mapping[str, Any] | None = None

    @property
    def missed(self) -> tuple[str, ...]:
        """Why the model may not be published; empty where it may."""
        worse = self.comparison.missed if self.comparison else ()
        return (*self.missed_goals, *(f"tests: {failure}" for failure in self.failures), *worse)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incumbent:
    """The version in use.

    version: None where none is in use, or it is not known what it was trained on.
    held: rows that it has not seen, and the new version must not.
    note: why nothing can be held out, where what is in use is damaged or its rows are not kept.
    """

    version: str | None = None
    held: tuple[Row, ...] = ()
    note: str = ""

    @classmethod
    def find(cls, policy: Policy, rows: Sequence[Row], models_dir: Path) -> Self:
        """rows: those that come besides the policy's own."""
        if not rows:
            return cls()
        try:
            version = Registry(models_dir).current(policy.name)
            trained_on = data.load(models_dir, policy.name, version) if version else None
        except ArtifactError as error:
            return cls(note=f"{_NOT_HELD}: {error}")
        if version is None:
            return cls()
        if trained_on is None:
            return cls(note=f"{_NOT_HELD}: {version}'s rows are not kept here")
        seen, names = {known_by(row) for row in trained_on}, [known_by(row) for row in rows]
        known = {row.group for row in trained_on if not _LINE.fullmatch(row.group)}
        known |= {row.group for row, name in zip(rows, names, strict=True) if name in seen}
        barred = seen.union(digest(test.text, test.system) for test in policy.tests)
        held = _draw(list(zip(names, rows, strict=True)), known=known, barred=barred)
        return cls(version=version, held=tuple(held.values()) if len(held) >= _FEWEST else ())

    def spared(self, rows: Iterable[Row]) -> list[Row]:
        """The rows without those that are held out."""
        held = {known_by(row) for row in self.held}
        return [row for row in rows if known_by(row) not in held]

    def compared(self, made: FittedModel, trained_on: Sequence[Row], models_dir: Path) -> tuple[Comparison | None, str]:
        """The comparison with a new version, or why there is none: the version in use cannot be asked any more, or
        nothing is held out that neither has seen.

        trained_on: by the new version, of which some may have been written alike.
        """
        if not self.held:
            return None, self.note
        seen = {known_by(row) for row in trained_on}
        rows = [row for row in self.held if known_by(row) not in seen]
        policy = made.trained.model.policy
        try:
            old = Runtime.load(models_dir, [policy.name], self_test=False, cache_windows=0, opened=made.encoders)
        except (ArtifactError, EncoderError) as error:
            return None, f"{_NOT_COMPARED}: {error}"
        if (current := old.classifiers[policy.name].version) != self.version:
            return None, f"{_NOT_COMPARED}: {self.version} gave way to {current} meanwhile"
        if not rows:
            return None, f"{_NOT_COMPARED}: all {len(self.held)} rows that were held out for it stand elsewhere as well"
        new = Runtime(made.encoders, {policy.name: from_model(made.trained.model)}, cache_windows=0)
        before, after = _right(old, policy, rows), _right(new, policy, rows)
        comparison = Comparison(
            version=self.version or "",
            rows=len(rows),
            before=sum(before),
            after=sum(after),
            lost=sum(was and not now for was, now in zip(before, after, strict=True)),
            won=sum(now and not was for was, now in zip(before, after, strict=True)),
        )
        return comparison, ""


def _draw(rows: Sequence[tuple[str, Row]], *, known: AbstractSet[str], barred: AbstractSet[str]) -> dict[str, Row]:
    """The rows that are held out, by digest, in their order.

    known: groups that are not held out whole; barred: rows that are not at all. Both are passed over, and what else is
    drawn goes by the digests alone: so the next training, to which only what was held out is unknown, draws the same.
    """
    sizes = Counter(row.group for _, row in rows)
    places: dict[str, int] = {}
    for name, row in rows:
        places[row.group] = min(_place(name), places.get(row.group, _place(name)))
    small = {group for group, size in sizes.items() if size <= max(1, _LARGEST * len(rows))} - known
    fresh = {name: row for name, row in rows if name not in barred}
    held = {name: row for name, row in fresh.items() if row.group in small and places[row.group] % _ONE_IN == 0}
    single = {name for name, _ in rows if _place(name) % _ONE_IN == 0}
    if len(single) < _FEWEST:
        return held
    # no more than a tenth again: what is new is to teach
    further = [group for group in small if sizes[group] > 1 and places[group] % _ONE_IN == 1]
    for group in sorted(further, key=places.__getitem__):
        if len(held) < _FEWEST:
            held |= {name: row for name, row in fresh.items() if row.group == group}
    if len(held) < _FEWEST:
        held |= {name: fresh[name] for name in fresh if name in single and fresh[name].group not in small}
    return held


def _place(name: str) -> int:
    """By which a digest is drawn or not."""
    return int(name, 16)


def _right(runtime: Runtime, policy: Policy, rows: Sequence[Row]) -> list[bool]:
    verdicts = runtime.classify([Reading(classifier=policy.name, texts=(row.text,), system=row.system) for row in rows])
    return [named(verdict, policy) == set(row.labels) for verdict, row in zip(verdicts, rows, strict=True)]


def named(verdict: Verdict, policy: Policy) -> set[str]:
    """The labels that hold; where one must and none is sure enough, the likeliest: thresholds are no merit."""
    return set(verdict.labels) if policy.multi_label else {top(verdict)[0]}
