"""Training sentences for a policy from all writers: the built-in one, and the teachers that the policy names."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from classifiers.errors import TeacherError, TrainingError
from classifiers.policy import Policy, Teacher, writers
from classifiers.training.clean import key
from classifiers.training.data import group_of, read_rows
from classifiers.training.patterns import without_patterns
from classifiers.training.rows import Row
from classifiers.training.write import builtin
from classifiers.training.write.prompts import Neighbours, asks
from classifiers.training.write.teacher import CACHE, Approve, Author, TeacherFactory


def read(policy: Policy, teacher: Teacher, base_dir: Path) -> list[Row]:
    """All rows of its files. Raises TrainingError naming file:line for unreadable rows, and files without a row."""
    rows: list[Row] = []
    problems: list[str] = []
    for name in teacher.file:
        try:
            file_rows = read_rows(policy, [base_dir / name], source="file", names=teacher.labels, unread=True)
        except TrainingError as error:
            problems.append(str(error))
            continue
        # what is known under a system prompt says nothing to a policy that reads none
        for row in (row for row in file_rows if policy.reads_system or not row.system):
            # rows of one system prompt are one group across files
            shared = row.system and row.group == group_of(row.system)
            rows.append(replace(row, writer=name, group=row.group if shared else f"{name}/{row.group}"))
    if problems:
        raise TrainingError("\n".join(problems))
    return rows


SENTENCES = 40
"""How many sentences for each label a model is asked for."""
_PLENTY = 8
"""Different sentences of a label from which the built-in writer leaves out its paraphrases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSentences:
    """rows: all sentences; forms: how many of each form the built-in writer made; teachers: what each teacher wrote and
    cost, models first, for the report."""

    rows: tuple[Row, ...]
    forms: Mapping[str, int]
    teachers: Sequence[Mapping[str, Any]] = ()


def write_sentences(
    policy: Policy,
    *,
    whole: Policy,
    base_dir: Path,
    models_dir: Path,
    seed: int,
    data: Sequence[Row],
    neighbours: Callable[[], Neighbours],
    teacher_factory: TeacherFactory | None,
    approve: Approve,
    advance: Callable[[int, int], None],
) -> WrittenSentences:
    """All sentences for a policy. whole: the policy with the labels of patterns, which rows in files may have; data:
    the rows of the user's own files; neighbours: called where a model is asked. Raises TeacherError where a model
    cannot be asked or wrote nothing, TrainingError for a bad file."""
    taught: list[Row] = []
    files: list[dict[str, Any]] = []
    models: list[dict[str, Any]] = []
    for place, (teacher, writer) in enumerate(zip(policy.teachers, writers(policy.teachers), strict=True)):
        if teacher.file:
            rows = without_patterns(whole, read(whole, teacher, base_dir))
            files.append({"file": list(teacher.file), "sentences": len(rows)})
        else:
            if teacher_factory is None:
                raise TeacherError(
                    f"{policy.name}: its teacher is the model {teacher.model}, but nothing here can ask it; "
                    "install offramp[providers] or name a base_url"
                )
            author = Author(
                teacher, teacher_factory(teacher), place=place, writer=writer, cache_dir=models_dir / CACHE, seed=seed
            )
            wanted = asks(policy, SENTENCES, seed, neighbours())
            if not approve(teacher, author.estimate(wanted), author.price):
                raise TeacherError(f"{policy.name}: its teacher {teacher.model} was not to be asked")
            rows = author.write(wanted, advance)
            if not rows:
                raise author.failure(policy.name)
            models.append(author.summary())
        taught += rows
    own = builtin.write(policy, seed, plenty=plenty((*taught, *data)))
    return WrittenSentences(rows=(*own.rows, *taught), forms=own.forms, teachers=[*models, *files])


def plenty(rows: Iterable[Row]) -> frozenset[str]:
    """The labels with plenty of different sentences. The others need the built-in paraphrases, which are worth 1.1 to
    1.8 points on SNIPS with rows for every second label, and 0.1 to 0.4 on Banking77."""
    different = {(label, key(row.text, row.system)) for row in rows for label in row.labels}
    counts = Counter(label for label, _ in different)
    return frozenset(label for label, count in counts.items() if count >= _PLENTY)
