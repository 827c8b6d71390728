"""The built-in writer, with each of its forms left out in turn: what the policy's own words come to without it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from benchmarks.writing.tasks import Task, Vectors, accuracy
from classifiers.policy import Policy
from classifiers.training.prepare import place_near_misses
from classifiers.training.rows import Row
from classifiers.training.write import builtin

NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Without:
    """accuracy: for each seed, with a form left out; texts: how many there were of it."""

    task: str
    form: str
    texts: int
    accuracy: list[float]


def lines(task: Task, vectors: Vectors, seeds: Sequence[int]) -> Iterator[tuple[str, Callable[[], Without]]]:
    """What is to be measured, by name: first with all forms, then without each."""
    forms = builtin.write(task.policy, 0).forms
    for form in (NOTHING, *forms):
        yield f"{task.name} without {form}", partial(_measure, task, vectors, seeds, form, forms.get(form, 0))


def _measure(task: Task, vectors: Vectors, seeds: Sequence[int], form: str, texts: int) -> Without:
    found = [accuracy(task, _rows(task.policy, form, vectors, seed), vectors, seed) for seed in seeds]
    return Without(task=task.name, form=form, texts=texts, accuracy=found)


def _rows(policy: Policy, form: str, vectors: Vectors, seed: int) -> list[Row]:
    rows = builtin.write(policy, seed, without=frozenset({form})).rows
    first = list({row.text: row for row in rows}.values())
    placed = place_near_misses(policy, first, vectors.of([row.text for row in first]))
    kept = [row for row in placed if row is not None]
    # without examples there are only descriptions to calibrate on
    return kept if any(row.probe for row in kept) else [replace(row, probe=True) for row in kept]
