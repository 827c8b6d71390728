"""What the n-gram table gains on Banking77, SNIPS' intents and HWU64, everything else alike.

    python -m benchmarks.ablation ../shared/data [--only banking77 snips hwu64] [--seeds 2]

Prints the test accuracy of the `frozen` recipe on all rows and on 50 a label, without the table (`none`) and with it
(`average`). It stays as long as it gains 0.5 points on two of the sets.
"""

import argparse
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from unittest.mock import patch

from benchmarks.banking77 import dataset as banking
from benchmarks.banking77.dataset import few, with_rows
from benchmarks.snips import dataset as snips
from classifiers import Reading, Runtime
from classifiers.evaluation.evaluate import top
from classifiers.policy import Policy
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


def main() -> None:
    """One line for each set, seed, number of rows and variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with banking77/, snips/ and hwu64/")
    parser.add_argument("--only", nargs="*", choices=SETS, default=SETS)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
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
