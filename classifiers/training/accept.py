"""Whether a trained model may be published: it meets the policy's goals, passes its tests, and is not worse than the
version in use on labelled rows that neither was trained on.

Of the labelled rows that come besides the policy's own, a tenth is held out, chosen by the digest of the text: the same
rows in each training, so that a version trained on part of them meets the ones it has not seen. Rows of one group are
held out together, by the lowest digest among them, and only where the version in use was trained on none of them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from classifiers.errors import ArtifactError, EncoderError
from classifiers.evaluation.evaluate import top
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.runtime.classifier import Classifier, from_model
from classifiers.runtime.runtime import Runtime
from classifiers.training import data
from classifiers.training.clean import digest, known_by
from classifiers.training.fit.fitted import FittedModel
from classifiers.training.rows import Row
from classifiers.verdict import Reading

_ONE_IN: Final = 10
_FEWEST: Final = 20
"""Held-out rows below which nothing is held out: they would tell nothing, and they teach."""
_LARGEST: Final = 0.05
"""Of all rows, that may be in a group which is held out: a larger one is needed to learn from."""
_LINE: Final = re.compile(r"[^/]*:\d+")
"""The group of a row that names none: its line, which in another training may be another row's."""
_NOT_HELD: Final = "nothing is held out to compare with the version in use"
_NOT_COMPARED: Final = "the new version is not compared with the one in use"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both versions on the same rows. before, after: whether the one in use and the new one name each rightly."""

    version: str
    before: Sequence[bool]
    after: Sequence[bool]

    @property
    def change(self) -> float:
        """Of the share that is right."""
        return (sum(self.after) - sum(self.before)) / len(self.before)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % limits of the change in the share that is right, by the rows they differ on (McNemar 1947, exact)."""
        won = [now for was, now in zip(self.before, self.after, strict=True) if was is not now]
        if not won:
            return 0.0, 0.0
        from scipy.stats import binomtest

        limits = binomtest(sum(won), len(won)).proportion_ci(0.95, "exact")
        low, high = ((2 * float(limit) - 1) * len(won) / len(self.before) for limit in limits)
        return low, high

    @property
    def missed(self) -> str:
        """Why the new version is refused; empty where it is not worse beyond noise."""
        low, high = self.interval
        rows = len(self.before)
        was, now = sum(self.before) / rows, sum(self.after) / rows
        worse = (
            f"worse than {self.version}, which is in use: of the same {rows} held-out rows it names {100 * now:.1f} % "
            f"rightly instead of {100 * was:.1f} % ({100 * self.change:+.1f} points, "
            f"95 %: {100 * low:+.1f} to {100 * high:+.1f})"
        )
        return worse if high < 0 else ""

    def record(self) -> dict[str, Any]:
        low, high = self.interval
        return {
            "version": self.version,
            "rows": len(self.before),
            "right_before": sum(self.before),
            "right_after": sum(self.after),
            "change": round(self.change, 5),
            "interval": [round(low, 5), round(high, 5)],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What is known of a model before it is published. made_at: what the version will be named for. missed_goals: a
    line for each goal that is missed; failures: for each of the policy's tests. comparison: with the version in use;
    where there is none, `note` may say why. latency: as `examine.latency` measures it."""

    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    missed_goals: Sequence[str] = ()
    failures: Sequence[str] = ()
    comparison: Comparison | None = None
    note: str = ""
    latency: Mapping[str, Any] | None = None

    @property
    def missed(self) -> tuple[str, ...]:
        """Why the model may not be published; empty where it may."""
        worse = self.comparison.missed if self.comparison else ""
        return (*self.missed_goals, *(f"tests: {failure}" for failure in self.failures), *filter(None, [worse]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Incumbent:
    """The version in use. version: None where none is in use, or it is not known what it was trained on. held: rows
    that it has not seen, and the new version must not. note: why nothing can be held out, where what is in use is
    damaged or its rows are not kept. opened: a runtime that holds it, if there is one already."""

    version: str | None = None
    held: tuple[Row, ...] = ()
    note: str = ""
    opened: Runtime | None = None

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
        asked = [(name, row) for name, row in zip(names, rows, strict=True) if row.probe]
        held = _draw(asked, known=known, barred=barred)
        return cls(version=version, held=held if len(held) >= _FEWEST else ())

    def spared(self, rows: Iterable[Row]) -> list[Row]:
        """The rows without those that are held out."""
        held = {known_by(row) for row in self.held}
        return [row for row in rows if known_by(row) not in held]

    def compared(self, made: FittedModel, trained_on: Sequence[Row], models_dir: Path) -> tuple[Comparison | None, str]:
        """The comparison with a new version, or why there is none: the version in use cannot be asked any more, or
        nothing is held out that neither has seen. trained_on: by the new version, of which some may have been written
        alike."""
        if not self.held:
            return None, self.note
        seen = {known_by(row) for row in trained_on}
        rows = [row for row in self.held if known_by(row) not in seen]
        policy = made.trained.model.policy
        try:
            old = self.opened or Runtime.load(
                models_dir, [policy.name], self_test=False, cache_windows=0, opened=made.encoders
            )
        except (ArtifactError, EncoderError) as error:
            return None, f"{_NOT_COMPARED}: {error}"
        if (current := old.classifiers[policy.name].version) != self.version:
            return None, f"{_NOT_COMPARED}: {self.version} gave way to {current} meanwhile"
        if not rows:
            return None, f"{_NOT_COMPARED}: all {len(self.held)} rows that were held out for it stand elsewhere as well"
        new = Runtime(made.encoders, {policy.name: _bare(from_model(made.trained.model))}, cache_windows=0)
        old = Runtime(old.encoders.values(), {policy.name: _bare(old.classifiers[policy.name])}, cache_windows=0)
        before, after = _right(old, policy, rows), _right(new, policy, rows)
        return Comparison(version=self.version or "", before=before, after=after), ""


def _draw(rows: Sequence[tuple[str, Row]], *, known: AbstractSet[str], barred: AbstractSet[str]) -> tuple[Row, ...]:
    """The rows that are held out, in their order. rows: with their digests; known: groups that are not held out;
    barred: digests of rows that are not."""
    sizes = Counter(row.group for _, row in rows)
    places: dict[str, int] = {}
    for name, row in rows:
        place = int(name, 16)
        places[row.group] = min(place, places.get(row.group, place))
    most = max(1, _LARGEST * len(rows))
    drawn = {group for group, place in places.items() if place % _ONE_IN == 0 and sizes[group] <= most} - known
    return tuple({name: row for name, row in rows if row.group in drawn and name not in barred}.values())


def _bare(classifier: Classifier) -> Classifier:
    """The classifier, of one label without what changes whether it is named and not which is likeliest: languages, and
    the filter of tasks."""
    if classifier.model.policy.multi_label:
        return classifier
    stages = tuple(replace(stage, tasks=None) for stage in classifier.model.stages)
    return replace(classifier, languages=frozenset(), model=replace(classifier.model, stages=stages))


def _right(runtime: Runtime, policy: Policy, rows: Sequence[Row]) -> list[bool]:
    verdicts = runtime.classify([Reading(classifier=policy.name, texts=(row.text,), system=row.system) for row in rows])
    # where a label must hold and none is sure enough, the likeliest counts: thresholds are no merit
    named = [set(verdict.labels) if policy.multi_label else {top(verdict)[0]} for verdict in verdicts]
    return [labels == set(row.labels) for labels, row in zip(named, rows, strict=True)]
