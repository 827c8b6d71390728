"""The lines of the table: what each trains from and what it measures on the test rows."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.banking77.dataset import Dataset, Role, few, with_rows
from benchmarks.banking77.speed import Speed, speeds
from benchmarks.peers import plain
from classifiers import Reading, Runtime
from classifiers.encoder.session import Encoder
from classifiers.evaluation.evaluate import evaluate, top
from classifiers.policy import Cascade, Policy, Recipe
from classifiers.training.calibrate import act_for_error
from classifiers.training.run import train

LOW_ERROR = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table, a figure for each seed.

    seconds, processor: of training, by the clock and of the processor; answered, error: at the served threshold;
    coverage: the most that can be answered with 2 % wrong, the threshold
    chosen on the test rows themselves.
    """

    what: str
    rows: int
    accuracy: list[float]
    seconds: list[float]
    processor: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    coverage: list[float] = field(default_factory=list)
    ece: list[float] = field(default_factory=list)
    peers: dict[str, float] = field(default_factory=dict)
    speeds: list[Speed] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a line trains from. drawn: the rows of each seed, beside the policy; timed: whether its decisions are;
    larger: the source of a larger encoder, or none."""

    what: str
    recipe: Recipe
    role: Role
    drawn: Sequence[Sequence[tuple[str, str]]]
    timed: bool = False
    larger: str | None = None

    @property
    def title(self) -> str:
        """As the table calls it."""
        recipe = "" if self.recipe == "frozen" else f", recipe: {self.recipe}"
        return f"{self.what}{recipe}, cascade: {short(self.larger)}" if self.larger else self.what + recipe


def short(encoder: str) -> str:
    """The name in an encoder's source."""
    return encoder.rpartition("/")[2].rpartition(":")[2]


def sources(data: Dataset, seeds: Sequence[int], larger: str | None = None) -> Iterator[Source]:
    """All trained lines; those that draw rows at random with one draw for each seed.

    larger: the source of a larger encoder, for the lines with one.
    """
    sentences = {count: [few(data.sentences, count, seed) for seed in seeds] for count in (4, 8, 16)}
    real = {count: [few(data.train, count, seed) for seed in seeds] for count in (5, 10)}
    every = "+ all teacher sentences (30-32 a label)"
    yield Source(what="policy only", recipe="frozen", role="teacher", drawn=[[]])
    yield Source(what="policy only", recipe="finetune", role="teacher", drawn=[[]])
    for count, drawn in sentences.items():
        yield Source(what=f"+ {count} teacher sentences a label", recipe="frozen", role="teacher", drawn=drawn)
    yield Source(what=every, recipe="frozen", role="teacher", drawn=[data.sentences])
    yield Source(what=every, recipe="finetune", role="teacher", drawn=[data.sentences])
    yield Source(what="+ 5 real rows a label", recipe="frozen", role="data", drawn=real[5])
    yield Source(what="+ 10 real rows a label", recipe="frozen", role="data", drawn=real[10])
    yield Source(what="+ 10 real rows a label", recipe="finetune", role="data", drawn=real[10])
    if larger:
        yield Source(what="policy only", recipe="frozen", role="teacher", drawn=[[]], larger=larger)
        yield Source(what=every, recipe="frozen", role="teacher", drawn=[data.sentences], larger=larger)
        yield Source(
            what="+ 10 real rows a label", recipe="frozen", role="data", drawn=real[10], timed=True, larger=larger
        )
    yield Source(what="+ all real rows", recipe="frozen", role="data", drawn=[data.train], timed=True)
    yield Source(what="+ all real rows", recipe="finetune", role="data", drawn=[data.train], timed=True)
    if larger:
        whole = Source(what="+ all real rows", recipe="finetune", role="data", drawn=[data.train], timed=True)
        yield replace(whole, larger=larger)


def untrained(data: Dataset, encoder: Encoder) -> Iterator[Line]:
    """Nearest embeddings of the policy's own words."""
    for what, means in (
        ("label names only, nearest embedding", False),
        ("names + descriptions, nearest embedding", True),
    ):
        rows = plain.described(data.policy, means=means)
        began = time.monotonic()
        predict = plain.centroid(encoder, rows)
        seconds = time.monotonic() - began
        yield Line(what=what, rows=len(rows), accuracy=[accuracy(predict, data)], seconds=[seconds])


def measure(source: Source, data: Dataset, *, models: Path, scratch: Path, encoder: Encoder, with_peers: bool) -> Line:
    """Train once for each seed and read the test rows with the runtime that serves."""
    line = Line(what=source.title, rows=0, accuracy=[], seconds=[])
    count = 0
    for seed, rows in enumerate(source.drawn):
        policy = with_rows(data.policy, rows, source.role, scratch).model_copy(
            update={"recipe": source.recipe, "cascade": source.larger and Cascade(encoder=source.larger)}
        )
        began, used = time.monotonic(), time.process_time()
        outcome = train(policy, base_dir=scratch, models_dir=models, seed=seed)
        line.seconds.append(time.monotonic() - began)
        line.processor.append(time.process_time() - used)
        for name, value in test(policy, models, data).items():
            getattr(line, name).append(value)
        count = outcome.report["text"]["rows"]
    found: dict[str, float] = {}
    if with_peers and source.recipe == "frozen" and source.larger is None:
        rows = [*plain.policy_rows(data.policy), *source.drawn[0]]
        with threadpool_limits(1):
            found = {
                "tf-idf + logistic regression": accuracy(plain.tfidf(rows), data),
                "nearest centroid": accuracy(plain.centroid(encoder, rows), data),
                "frozen vectors + logistic regression": accuracy(plain.frozen(encoder, rows), data),
            }
    timed = list(speeds(source.title, data.policy.name, models, data)) if source.timed else []
    return replace(line, rows=count, peers=found, speeds=timed)


def accuracy(predict: plain.Predict, data: Dataset) -> float:
    """A plain recipe's share of right labels among the test rows."""
    said = predict([text for text, _ in data.test])
    return sum(guess == label for guess, (_, label) in zip(said, data.test, strict=True)) / len(data.test)


def test(policy: Policy, models: Path, data: Dataset) -> Mapping[str, float]:
    """Measures of the version in use on the test rows, read by the runtime that serves."""
    runtime = Runtime.load(models, [policy.name], threads=2)
    verdicts = runtime.classify([Reading(classifier=policy.name, texts=(text,)) for text, _ in data.test])
    found = evaluate(policy, [text for text, _ in data.test], [(label,) for _, label in data.test], verdicts)
    tops = [top(verdict) for verdict in verdicts]
    correct = np.array([label == truth for (label, _), (_, truth) in zip(tops, data.test, strict=True)], bool)
    reach = act_for_error(np.array([score for _, score in tops], np.float32), correct, LOW_ERROR)
    return {name: found[name] for name in ("accuracy", "answered", "error", "ece")} | {
        "coverage": reach.answered if reach else 0.0
    }


class Ledger:
    """Lines that are measured already, by title, so that a run that was cut short goes on. path: JSONL, or none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path and path.is_file() else ""
        self._lines = [_line(json.loads(line)) for line in text.splitlines()]

    def get(self, title: str) -> Line | None:
        """The line of that title, if it was measured."""
        return next((line for line in self._lines if line.what == title), None)

    def put(self, line: Line) -> Line:
        """Remember a line."""
        self._lines.append(line)
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(line)) + "\n")
        return line


def _line(record: dict[str, Any]) -> Line:
    return Line(**{**record, "speeds": [Speed(**one) for one in record.get("speeds", ())]})
