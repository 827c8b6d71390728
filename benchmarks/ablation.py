"""What the n-gram table gains on Banking77, SNIPS' intents and HWU64, and what few words come to.

    python -m benchmarks.ablation ../shared/data [--only banking77 snips hwu64] [--seeds 2]

Prints the test accuracy of the `frozen` recipe on all rows and on 50 a label, without the table (`none`) and with it
(`average`), everything else alike. It stays as long as it gains 0.5 points on two of the sets.

    python -m benchmarks.ablation ../shared/data --sentences [--parent PATH]

Prints what a policy and a teacher's sentences come to, 16 a label and all of them, in another tree and in this one: at
the thresholds of training, and at the best one for 5 % wrong answers, of the test messages alone and where a tenth of
the traffic is messages to another service (a bank; for the bank, a voice assistant).
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.banking77 import dataset as banking
from benchmarks.banking77.dataset import few, with_rows
from benchmarks.snips import dataset as snips
from classifiers import Reading, Runtime, Verdict
from classifiers.evaluation.evaluate import top
from classifiers.policy import OTHER, Policy
from classifiers.training.fit import ngrams
from classifiers.training.run import train

Rows = list[tuple[str, str]]
Variant = Literal["none", "average"]
VARIANTS: tuple[Variant, ...] = ("none", "average")
SETS = ("banking77", "snips", "hwu64")
FEW = 50
_MARK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intents:
    """A set of messages. rows, test: (text, label)."""

    policy: Policy
    rows: Rows
    test: Rows


def read_set(name: str, folder: Path) -> Intents:
    """Raises OSError where a file is missing."""
    if name == "banking77":
        data = banking.load(folder)
        return Intents(policy=data.policy, rows=data.train, test=data.test)
    if name == "snips":
        rows, test = ([(one.text, one.intent) for one in snips.read(folder / part)] for part in ("train", "test"))
        return Intents(policy=_without_slots(snips.described()), rows=rows, test=test)
    described = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
    policy = Policy.model_validate({"version": 1, **described})
    return Intents(policy=policy, rows=_lines(folder / "train.jsonl"), test=_lines(folder / "test.jsonl"))


def measure(data: Intents, rows: Rows, seed: int, variant: Variant) -> float:
    """The share of test messages whose likeliest label is right, in percent."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        policy = with_rows(data.policy, rows, "data", folder)
        policy = policy.model_copy(update={"recipe": "frozen"})
        with patch.object(ngrams, "KINDS", () if variant == "none" else ngrams.KINDS):
            train(policy, base_dir=folder, models_dir=folder / "models", seed=seed, threads=1)
        runtime = Runtime.load(folder / "models", [policy.name], threads=1, cache_windows=0)
        verdicts = runtime.classify([Reading(classifier=policy.name, texts=(text,)) for text, _ in data.test])
    right = [top(verdict)[0] == label for verdict, (_, label) in zip(verdicts, data.test, strict=True)]
    return 100 * sum(right) / len(right)


STRANGE = {"banking77": ("snips", "hwu64"), "snips": ("banking77",), "hwu64": ("banking77",)}
STATED, OUTSIDE = 0.05, 0.1
"""The share of answers that may be wrong, and the share of the traffic that is messages to another service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A classifier's answers to a set's messages, and to another service's. Each (n,).

    sure: how sure it is, 0 where no threshold would make it answer; given: whether it answers; right: of the first.
    """

    sure: tuple[NDArray[np.float64], NDArray[np.float64]]
    given: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    right: NDArray[np.bool_]

    def shares(self, act: float | None, outside: float) -> tuple[float, float]:
        """What is answered of the set, and what is wrong of all answers. act: a threshold, None for the one in use."""
        own, strange = self.given if act is None else (sure >= act for sure in self.sure)
        others = outside * strange.mean() if outside else 0.0
        wrong, answers = ((1 - outside) * each.mean() + others for each in (own & ~self.right, own))
        return float(own.mean()), float(wrong / max(answers, 1e-9))

    def best(self, outside: float) -> float:
        """The most that is answered at any threshold, with the stated share wrong."""
        tried = (self.shares(act, outside) for act in np.unique(self.sure[0][self.sure[0] > 0]))
        return max((answered for answered, wrong in tried if wrong <= STATED), default=0.0)

    def __str__(self) -> str:
        (answered, wrong), (_, of_all) = self.shares(None, 0), self.shares(None, OUTSIDE)
        return (
            f"answered {answered:.1%} with {wrong:.1%} wrong ({of_all:.1%} at {OUTSIDE:.0%} out of scope), "
            f"where {self.best(0):.1%} could be ({self.best(OUTSIDE):.1%})"
        )


def from_sentences(name: str, folder: Path) -> Iterator[str]:
    """A line for each number of sentences."""
    data = read_set(name, folder / name)
    marked = snips.written() if name == "snips" else banking.load(folder / name).sentences
    every = [(_MARK.sub(r"\1", text), label) for text, label in marked]
    strange = [text for other in STRANGE[name] for text, _ in read_set(other, folder / other).test]
    for rows, what in ((few(every, 16, 0), "16 sentences a label"), (every, "all sentences")):
        with tempfile.TemporaryDirectory() as scratch:
            policy = with_rows(data.policy, rows, "teacher", Path(scratch)).model_copy(update={"recipe": "frozen"})
            models = Path(scratch) / "models"
            used = time.process_time()
            train(policy, base_dir=Path(scratch), models_dir=models, seed=0, threads=1)
            used = time.process_time() - used
            runtime = Runtime.load(models, [policy.name], threads=1, cache_windows=0)
            texts = [[text for text, _ in data.test], strange]
            both = [runtime.classify([Reading(classifier=policy.name, texts=(one,)) for one in part]) for part in texts]
        right = np.array([top(verdict)[0] == label for verdict, (_, label) in zip(both[0], data.test, strict=True)])
        sure, given = zip(*(_sureness(verdicts) for verdicts in both), strict=True)
        answers = Answers(sure=sure, given=given, right=right)
        yield f"{name}, {what}: accuracy {right.mean():.2%}, {answers}, trained in {used:.0f} s"


def _sureness(verdicts: Sequence[Verdict]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    given = np.array([bool(verdict.labels) and verdict.abstention is None for verdict in verdicts])
    below = np.array([verdict.reason.endswith("is needed") for verdict in verdicts])
    named = np.array([top(verdict)[0] != OTHER for verdict in verdicts])
    sure = np.array([verdict.confidence for verdict in verdicts])
    return np.where((given | below) & named, sure, 0.0), given & named


def main() -> None:
    """One line for each set, seed, number of rows and variant; or for each set and number of sentences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with banking77/, snips/ and hwu64/")
    parser.add_argument("--only", nargs="*", choices=SETS, default=SETS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sentences", action="store_true", help="what few words come to")
    parser.add_argument("--parent", type=Path, help="another tree, which trains from sentences first")
    options = parser.parse_args()
    if options.sentences:
        for name in options.only:
            if options.parent:
                again = [sys.executable, "-P", __file__, str(options.data.resolve()), "--sentences", "--only", name]
                tree = options.parent.resolve()
                print(f"{tree}:", flush=True)
                subprocess.run(again, check=True, cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)})
                print("here:", flush=True)
            for line in from_sentences(name, options.data):
                print(line, flush=True)
        return
    for name in options.only:
        data = read_set(name, options.data / name)
        for seed in range(options.seeds):
            for rows, what in ((few(data.rows, FEW, seed), f"{FEW} rows a label"), (data.rows, "all rows")):
                for variant in VARIANTS:
                    accuracy = measure(data, rows, seed, variant)
                    print(f"{name}, {what}, seed {seed}, {variant}: {accuracy:.2f} %", flush=True)


def _without_slots(policy: Policy) -> Policy:
    values = json.loads(policy.model_dump_json(by_alias=True, exclude_unset=True)) | {"kind": "intent"}
    del values["slots"]
    for label in values["labels"].values():
        label.pop("slots", None)
        label["examples"] = [_MARK.sub(r"\1", text) for text in label.get("examples", ())]
    return Policy.model_validate(values)


def _lines(path: Path) -> Rows:
    records = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [(record["text"], record["label"]) for record in records]


if __name__ == "__main__":
    main()
