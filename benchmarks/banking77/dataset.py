"""The data, and the policies that each line of the table is trained from."""

import csv
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from classifiers.policy import Policy

Role = Literal["teacher", "data"]
"""As what a policy is given rows: sentences that a teacher wrote, or real ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """folder: where it lies; train, test: (text, label) rows; policy: the author's words; sentences: a teacher's."""

    folder: Path
    train: list[tuple[str, str]]
    test: list[tuple[str, str]]
    policy: Policy
    sentences: list[tuple[str, str]]


def load(folder: Path) -> Dataset:
    """Raises OSError where a file is missing."""
    described = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
    lines = (folder / "sentences.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.strip()]
    return Dataset(
        folder=folder,
        train=_rows(folder, "train", "valid"),
        test=_rows(folder, "test"),
        policy=Policy.model_validate({"version": 1, "kind": "intent", **described}),
        sentences=[(record["text"], record["label"]) for record in records],
    )


def few(rows: list[tuple[str, str]], per_label: int, seed: int) -> list[tuple[str, str]]:
    """`per_label` random rows of each label."""
    by_label: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        by_label[row[1]].append(row)
    chance = random.Random(seed)
    return [
        row
        for label in sorted(by_label)
        for row in chance.sample(by_label[label], min(per_label, len(by_label[label])))
    ]


def write(rows: Sequence[tuple[str, str]], path: Path) -> Path:
    """Rows as JSONL, as `data:` and `teacher: {file:}` read them."""
    lines = (json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def with_rows(policy: Policy, rows: Sequence[tuple[str, str]], role: Role, scratch: Path) -> Policy:
    """The policy with rows beside it, written into `scratch`."""
    if not rows:
        return policy
    name = write(rows, scratch / f"{role}.jsonl").name
    values = json.loads(policy.model_dump_json(by_alias=True))
    values |= {"teacher": {"file": name}} if role == "teacher" else {"data": [name]}
    return Policy.model_validate(values)


def snips(folder: Path) -> list[str]:
    """The messages of SNIPS' test: requests to a voice assistant, which no bank gets."""
    return (folder / "test" / "seq.in").read_text(encoding="utf-8").splitlines()


def _rows(folder: Path, *parts: str) -> list[tuple[str, str]]:
    """The rows of these parts, from CSV (Banking77) or JSONL (HWU64); a part that is not there has none.

    Raises OSError where none of the parts is there.
    """
    found = [path for part in parts for path in sorted(folder.glob(f"{part}.*")) if path.suffix in (".csv", ".jsonl")]
    if not found:
        raise FileNotFoundError(f"{folder}: no {parts[0]}.csv and no {parts[0]}.jsonl")
    rows: list[tuple[str, str]] = []
    for path in found:
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                rows += [(row["text"], row["category"]) for row in csv.DictReader(file)]
            else:
                rows += [(row["text"], row["label"]) for row in map(json.loads, file)]
    return rows
