"""Labels flipped at random: what the review of doubtful rows gives back, and what it costs where all are right."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.banking77.dataset import few
from benchmarks.writing.tasks import Labelled, Task, Vectors, accuracy
from classifiers.training.label_noise import described, review
from classifiers.training.rows import Origin, Row
from classifiers.training.write import builtin

SHARES = (0.0, 0.1, 0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Means over the seeds. what: whose rows and how many a label; flipped: share of labels; plain, reviewed:
    accuracy without and with the review; doubted: rows; right: share of those that were flipped; found: share of the
    flipped that were doubted."""

    task: str
    what: str
    flipped: float
    plain: list[float]
    reviewed: list[float]
    doubted: float
    right: float
    found: float


def lines(task: Task, vectors: Vectors, seeds: Sequence[int]) -> Iterator[tuple[str, Callable[[], Noise]]]:
    """What is to be measured, by name: real rows as the user's own and as a teacher's, and a teacher's sentences."""
    cases: list[tuple[str, Labelled, int, Origin]] = [
        ("10 real rows a label, as a teacher's", task.pool, 10, "file"),
        ("10 real rows a label, as the user's own", task.pool, 10, "data"),
        ("50 real rows a label, as a teacher's", task.pool, 50, "file"),
    ]
    if task.sentences:
        cases.append(("30 sentences a label by a teacher", task.sentences, 30, "file"))
    for what, pool, each, source in cases:
        for share in SHARES:
            drawn = [(few(list(pool), each, seed), seed) for seed in seeds]
            yield f"{task.name}: {what}, {share:.0%} flipped", partial(_case, task, vectors, what, drawn, share, source)


def _case(
    task: Task, vectors: Vectors, what: str, drawn: Sequence[tuple[Labelled, int]], share: float, source: Origin
) -> Noise:
    descriptions = vectors.of(described(task.policy))
    plain, after = [], []
    doubted = right = flipped = 0
    for rows, seed in drawn:
        given, wrong = _flipped(rows, share, seed, list(task.policy.labels), source)
        own = builtin.write(task.policy, seed, plenty=task.policy.labels).rows
        every = [row for row in (*own, *given) if row.labels]
        found = review(task.policy, every, vectors.of([row.text for row in every]), descriptions, seed=seed)
        plain.append(accuracy(task, every, vectors, seed))
        after.append(accuracy(task, found.rows, vectors, seed))
        named = [one.text for one in found.doubts if one.source == source]
        doubted, flipped = doubted + len(named), flipped + len(wrong)
        right += sum(text in wrong for text in named)
    return Noise(
        task=task.name,
        what=what,
        flipped=share,
        plain=plain,
        reviewed=after,
        doubted=doubted / len(drawn),
        right=right / max(doubted, 1),
        found=right / max(flipped, 1),
    )


def _flipped(
    rows: Labelled, share: float, seed: int, labels: Sequence[str], source: Origin
) -> tuple[list[Row], set[str]]:
    """The rows, and the texts of those whose label is not theirs."""
    chance = random.Random(f"{seed}/noise")
    wrong = set(chance.sample([text for text, _ in rows], round(share * len(rows))))
    return [
        Row(
            text=text,
            labels=(chance.choice([other for other in labels if other != label]) if text in wrong else label,),
            group=f"row {index}",
            source=source,
        )
        for index, (text, label) in enumerate(rows)
    ], wrong
