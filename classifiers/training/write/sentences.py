"""All who write training sentences for a policy: the built-in writer always, a teacher or a file where one is named."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifiers.errors import TeacherError
from classifiers.policy import Policy
from classifiers.training.rows import Row
from classifiers.training.write import builtin, file, teacher
from classifiers.training.write.teacher import Complete, Price

_PLENTY = 8
"""Sentences a label, from which the built-in writer keeps to the essentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """rows: all sentences; forms: how many of each form the built-in writer made; teacher: what it did and cost."""

    rows: tuple[Row, ...]
    forms: Mapping[str, int]
    teacher: Mapping[str, Any] = field(default_factory=dict)


def write(
    policy: Policy,
    *,
    base_dir: Path,
    models_dir: Path,
    seed: int,
    data_rows: int,
    complete: Complete | None,
    price: Price | None,
    advance: Callable[[int, int], None],
) -> Written:
    """All sentences for a policy. data_rows: how many rows the user's own files hold.

    Raises TeacherError where the policy names a model that cannot be asked, TrainingError for a bad file.
    """
    taught, summary = _teacher(policy, base_dir, models_dir, seed, complete=complete, price=price, advance=advance)
    brief = len(taught) + data_rows >= _PLENTY * len(policy.labels)
    own = builtin.write(policy, seed, brief=brief)
    return Written(rows=(*own.rows, *taught), forms=own.forms, teacher=summary)


def _teacher(
    policy: Policy,
    base_dir: Path,
    models_dir: Path,
    seed: int,
    *,
    complete: Complete | None,
    price: Price | None,
    advance: Callable[[int, int], None],
) -> tuple[Sequence[Row], Mapping[str, Any]]:
    named = policy.teacher
    if named is None:
        return (), {}
    if named.file is not None:
        rows = file.write(policy, base_dir / named.file)
        return rows, {"file": named.file, "sentences": len(rows)}
    if complete is None:
        raise TeacherError(
            f"{policy.name}: its teacher is the model {named.model}, but nothing here can ask it; "
            "install offramp[providers] or name a base_url"
        )
    told = teacher.write(
        policy, complete, price or Price(), cache_dir=models_dir / teacher.CACHE, seed=seed, advance=advance
    )
    return told.rows, told.summary
