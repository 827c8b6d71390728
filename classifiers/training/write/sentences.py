"""All who write training sentences for a policy: the built-in writer always, a teacher or a file where one is named."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifiers.errors import TeacherError
from classifiers.policy import Policy
from classifiers.training.rows import Row
from classifiers.training.write import builtin, file, teacher
from classifiers.training.write.teacher import Complete, Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """rows: all sentences; forms: how many of each form the built-in writer made; teacher: what it did and cost."""

    rows: tuple[Row, ...]
    forms: Mapping[str, int]
    teacher: Mapping[str, Any] = field(default_factory=dict)


def write(
    policy: Policy,
    base_dir: Path,
    models_dir: Path,
    seed: int,
    *,
    complete: Complete | None,
    price: Price | None,
    advance: Callable[[int, int], None],
) -> Written:
    """Raises TeacherError where the policy names a model that cannot be asked, TrainingError for a bad file."""
    own = builtin.write(policy, seed)
    named = policy.teacher
    if named is None:
        return Written(rows=own.rows, forms=own.forms)
    if named.file is not None:
        rows = file.write(policy, base_dir / named.file)
        return Written(rows=(*own.rows, *rows), forms=own.forms, teacher={"file": named.file, "sentences": len(rows)})
    if complete is None:
        raise TeacherError(
            f"{policy.name}: its teacher is the model {named.model}, but nothing here can ask it; "
            "install offramp[providers] or name a base_url"
        )
    told = teacher.write(
        policy, complete, price or Price(), cache_dir=models_dir / teacher.CACHE, seed=seed, advance=advance
    )
    return Written(rows=(*own.rows, *told.rows), forms=own.forms, teacher=told.summary)
