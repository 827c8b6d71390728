"""python -m benchmarks.answers.topics [--data ../shared/data]: what topics of several labels name, and how rightly.

The labels of three public sets are topics here, of which one holds. Each policy is trained from a teacher's sentences,
without a goal; the messages of the other two sets are out of scope.
"""

import argparse
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.answers.task_calls import TaskSet, read_sets
from benchmarks.machine import machine, versions
from benchmarks.progress import Lines
from classifiers import Reading, Runtime, Verdict
from classifiers.policy import Policy
from classifiers.training.run import train

_MESSAGES, _OUTSIDE = 700, 400
"""The most messages that are read of a set, and of each of the others."""


def main() -> None:
    """Trains three times; some three minutes on two cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds banking77/, hwu64/ and snips/")
    options = parser.parse_args()
    print(f"{machine()}; {versions(('onnxruntime', 'scikit-learn', 'numpy'))}\n")
    columns = (
        "",
        "just the right label",
        "another",
        "none",
        "in doubt",
        "labels given wrong",
        "out of scope, labelled",
    )
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    with tempfile.TemporaryDirectory() as scratch:
        sets = read_sets(options.data, Path(scratch, "sets"), real=False)
        for task in sets:
            print(line(task, sets, Path(scratch)), flush=True)


def line(task: TaskSet, sets: Sequence[TaskSet], scratch: Path) -> str:
    """Trains one policy and reads its set and the others."""
    values = task.policy.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"other", "goal"})
    policy = Policy.model_validate({**values, "kind": "topic", "multi_label": True, "name": f"{task.name}-topics"})
    train(policy, base_dir=scratch / "sets" / task.name, models_dir=scratch, progress=Lines(task.name))
    runtime = Runtime.load(scratch, [policy.name], threads=2)
    chance = random.Random(0)
    sample = chance.sample(list(task.test), min(_MESSAGES, len(task.test)))
    verdicts = _read(runtime, policy.name, [text for text, _ in sample])
    answered = [(one.labels, label) for one, (_, label) in zip(verdicts, sample, strict=True) if not one.abstention]
    right = sum(labels == (label,) for labels, label in answered)
    unnamed = sum(not labels for labels, _ in answered)
    wrong, named = len(answered) - right - unnamed, len(answered) - unnamed
    parts = (count / len(sample) for count in (right, wrong, unnamed, len(sample) - len(answered)))
    outside = ", ".join(_labelled(runtime, policy.name, task, sets, chance))
    return f"| {task.name} | {' | '.join(f'{part:.1%}' for part in parts)} | {wrong / max(named, 1):.1%} | {outside} |"


def _labelled(
    runtime: Runtime, name: str, task: TaskSet, sets: Sequence[TaskSet], chance: random.Random
) -> Iterator[str]:
    """The share of each other set's messages that is given a label."""
    for other in sets:
        if other is not task:
            verdicts = _read(runtime, name, [text for text, _ in chance.sample(list(other.test), _OUTSIDE)])
            yield f"{other.name} {sum(bool(one.labels) and not one.abstention for one in verdicts) / _OUTSIDE:.1%}"


def _read(runtime: Runtime, name: str, texts: Sequence[str]) -> list[Verdict]:
    return runtime.classify([Reading(classifier=name, texts=(text,)) for text in texts])


if __name__ == "__main__":
    main()
