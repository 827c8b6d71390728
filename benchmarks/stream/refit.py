"""python -m benchmarks.stream.refit DATA: what a refit costs beside a whole training, and what it loses.

Each is `offramp train --calls`, whose processor time is measured with its start. All begin with the
version that the policy and the teacher's sentences give, and learn the same messages of Banking77's training set; at
the second refit their vectors are stored.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.banking77.dataset import Dataset, load, write
from benchmarks.machine import command, machine, versions
from classifiers import Reading, Runtime
from classifiers.evaluation.evaluate import top
from classifiers.model.registry import Registry

_RESULTS = Path(__file__).parents[1] / "results" / "refit.md"
_PACKAGES = ("onnxruntime", "scikit-learn", "numpy", "scipy")
_NAME = "bank"
_WAYS = {"whole training": (), "refit": ("--refit",), "refit, vectors stored": ("--refit",)}


def main() -> None:
    """Prints a line of JSON for each process, and writes results/refit.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder banking77")
    parser.add_argument("--texts", type=int, nargs="+", default=[2000, 10000])
    parser.add_argument("--orders", type=int, default=5, help="orders of the messages")
    parser.add_argument("--output", type=Path, default=_RESULTS)
    arguments = parser.parse_args()
    dataset = load(arguments.data)
    measured: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = _prepared(dataset, Path(place))
        base = Registry(folder / "models").named(_NAME) or ""
        for texts in arguments.texts:
            for order in range(arguments.orders):
                calls = _calls(dataset, order)[:texts]
                for way, flags in _WAYS.items():
                    Registry(folder / "models").promote(_NAME, base)
                    spent, vectors = _trained(folder, calls, flags)
                    line = {"texts": texts, "order": order, "way": way, "cpu_s": spent, **_quality(folder, dataset)}
                    print(json.dumps(line), flush=True)
                    measured.append(line)
                    if any(vectors):
                        calls = [call | {"vector": one} for call, one in zip(calls, vectors, strict=True)]
    arguments.output.write_text("\n".join(_page(measured)) + "\n", encoding="utf-8")


def _prepared(dataset: Dataset, folder: Path) -> Path:
    (folder / "policies").mkdir()
    sentences = write(dataset.sentences, folder / "policies" / "sentences.jsonl")
    values = json.loads(dataset.policy.model_dump_json(by_alias=True, exclude_defaults=True))
    values |= {"version": 1, "kind": "intent", "name": _NAME, "teacher": {"file": sentences.name}}
    (folder / "policies" / "bank.yaml").write_text(json.dumps(values), encoding="utf-8")
    _trained(folder, [], ())
    return folder


def _calls(dataset: Dataset, order: int) -> list[dict[str, str]]:
    """Distinct messages of the training set that the test set has not, in an order of chance."""
    known = {_key(text) for text, _ in dataset.test}
    rows = list({_key(text): (text, label) for text, label in dataset.train if _key(text) not in known}.values())
    random.Random(order).shuffle(rows)
    return [{"text": text, "label": label} for text, label in rows]


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()


def _trained(folder: Path, calls: Sequence[dict[str, str]], flags: Sequence[str]) -> tuple[float, list[str]]:
    """The processor time of a training, which publishes, and the vectors that it gives back."""
    before = _children_s()
    command = [sys.executable, "-m", "gateway", "train", "policies/bank.yaml", "--models", "models", "--json", "--yes"]
    done = subprocess.run(
        [*command, "--calls", *flags],
        input="".join(json.dumps(call) + "\n" for call in calls),
        cwd=folder,
        # as the gateway starts it
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return round(_children_s() - before, 2), json.loads(done.stdout)[0]["vectors"]


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _quality(folder: Path, dataset: Dataset) -> dict[str, Any]:
    """On the test set: accuracy, and the share answered by the surest up to 2 % and 5 % wrong."""
    runtime = Runtime.load(folder / "models", [_NAME], self_test=False)
    judged = []
    for start in range(0, len(dataset.test), 64):
        part = dataset.test[start : start + 64]
        readings = [Reading(classifier=_NAME, texts=(text,)) for text, _ in part]
        for (_, label), verdict in zip(part, runtime.classify(readings), strict=True):
            name, likely = top(verdict)
            judged.append((likely, name != label))
    judged.sort(key=lambda one: -one[0])
    wrong, reach = 0, {0.02: 0, 0.05: 0}
    for place, (_, is_wrong) in enumerate(judged, 1):
        wrong += is_wrong
        reach = {most: place if wrong <= most * place else had for most, had in reach.items()}
    shares = {f"answered_at_{most:.0%}": round(had / len(judged), 4) for most, had in reach.items()}
    return {"accuracy": round(1 - wrong / len(judged), 4), **shares}


def _page(measured: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "# What a refit costs and loses",
        "",
        f"`{command('benchmarks.stream.refit')}`: {machine()}, load {os.getloadavg()[0]:.0f}; {versions(_PACKAGES)}.",
        "Banking77, 77 labels: the version",
        "that the policy and a teacher's sentences give learns so many messages. Processor time of the whole process;",
        "accuracy on the test set, and the share of it that the surest answers make up to 2 % and 5 % wrong. Mean of",
        "the orders, in brackets the lowest and the highest.",
        "",
        "| texts | way | processor time, s | accuracy | answered at 2 % | at 5 % |",
        "|---|---|---|---|---|---|",
    ]
    for texts in dict.fromkeys(line["texts"] for line in measured):
        for way in _WAYS:
            here = [line for line in measured if (line["texts"], line["way"]) == (texts, way)]
            seconds = [line["cpu_s"] for line in here]
            cells = [f"{fmean(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"]
            for name in ("accuracy", "answered_at_2%", "answered_at_5%"):
                shares = [100 * line[name] for line in here]
                cells.append(f"{fmean(shares):.1f} ({min(shares):.1f} to {max(shares):.1f})")
            lines.append(f"| {texts:,} | {way} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
