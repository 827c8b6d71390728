"""All who write training sentences for a policy: the built-in writer always, the teachers that the policy names."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifiers.errors import TeacherError
from classifiers.policy import Policy
from classifiers.teacher import writers
from classifiers.training.by_pattern import without_patterns
from classifiers.training.clean import key
from classifiers.training.rows import Row
from classifiers.training.write import builtin, file
from classifiers.training.write.neighbours import Neighbours
from classifiers.training.write.prompts import asks
from classifiers.training.write.teacher import CACHE, Approve, Author, Hire, nothing_written

FIRST = "for sentences of every label"
"""Why a teacher is asked at first."""

_PLENTY = 8
"""Different sentences of a label, from which the built-in writer keeps to the essentials of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """rows: all sentences; forms: how many of each form the built-in writer made; files: what each file teacher gave;
    authors: the teachers that are models, who can be asked again."""

    rows: tuple[Row, ...]
    forms: Mapping[str, int]
    files: Sequence[Mapping[str, Any]] = ()
    authors: Sequence[Author] = ()

    def teachers(self) -> list[dict[str, Any]]:
        """What each teacher did and cost, for the report."""
        return [*(author.summary() for author in self.authors), *(dict(one) for one in self.files)]


def write(
    policy: Policy,
    *,
    whole: Policy,
    base_dir: Path,
    models_dir: Path,
    seed: int,
    data: Sequence[Row],
    neighbours: Callable[[], Neighbours],
    hire: Hire | None,
    approve: Approve,
    advance: Callable[[int, int], None],
) -> Written:
    """All sentences for a policy.

    whole: the policy with the labels that patterns tell, which rows in files may have; data: the rows of the user's own
    files; neighbours: called where a model is asked.
    Raises TeacherError where the policy names a model that cannot be asked or that wrote nothing, TrainingError for a
    bad file.
    """
    taught: list[Row] = []
    files: list[dict[str, Any]] = []
    authors: list[Author] = []
    for place, (teacher, writer) in enumerate(zip(policy.teachers, writers(policy.teachers), strict=True)):
        if teacher.file:
            rows = without_patterns(whole, file.write(whole, teacher, base_dir, seed))
            files.append({"file": list(teacher.file), "sentences": len(rows)})
        else:
            if hire is None:
                raise TeacherError(
                    f"{policy.name}: its teacher is the model {teacher.model}, but nothing here can ask it; "
                    "install offramp[providers] or name a base_url"
                )
            author = Author(teacher, hire(teacher), place=place, writer=writer, cache_dir=models_dir / CACHE, seed=seed)
            authors.append(author)
            rows = _first(policy, author, neighbours(), seed, approve=approve, advance=advance)
        taught += rows
    own = builtin.write(policy, seed, plenty=plenty((*taught, *data)))
    return Written(rows=(*own.rows, *taught), forms=own.forms, files=files, authors=authors)


def plenty(rows: Iterable[Row]) -> frozenset[str]:
    """The labels that have plenty of sentences, of which equal ones count once. The others need their paraphrases:
    these are worth 1.1 to 1.8 points of SNIPS with rows of every second label, 0.1 to 0.4 of Banking77."""
    different = {(label, key(row.text, row.system)) for row in rows for label in row.labels}
    counts = Counter(label for label, _ in different)
    return frozenset(label for label, count in counts.items() if count >= _PLENTY)


def _first(
    policy: Policy,
    author: Author,
    neighbours: Neighbours,
    seed: int,
    *,
    approve: Approve,
    advance: Callable[[int, int], None],
) -> list[Row]:
    wanted = asks(policy, author.teacher.sentences, seed, neighbours)
    if not approve(author.teacher, author.estimate(wanted), author.price, FIRST):
        raise TeacherError(f"{policy.name}: its teacher {author.teacher.model} was not to be asked")
    rows = author.write(wanted, advance)
    if not rows:
        raise nothing_written(policy.name, author)
    return rows
