"""python -m benchmarks.answers.whole [SETS] [--policies FILE...] [--parent TREE]: what is answered of what must not be.

Trains each policy with this tree, and with another one where --parent names it, and reads a file of sets with both:
tasks about a message, two matters in one message, and neighbours that share a word, none of which may be answered; and
messages, alone and with what people add to them, which should be. One table. Who wrote the sets:
benchmarks/answers/whole/README.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

_HERE = Path(__file__).parents[2]
_WHOLE = Path(__file__).parent / "whole"
_POLICIES = (_HERE / "config/policies/shop-intents.yaml", _WHOLE / "city-services.yaml", _WHOLE / "gym-members.yaml")
_WORST = 5
_LABELS = """
import json, sys
from pathlib import Path
from classifiers import Reading, Runtime
name, texts = sys.argv[2], json.load(sys.stdin)
runtime = Runtime.load(Path(sys.argv[1]), [name], threads=1)
verdicts = runtime.classify([Reading(classifier=name, texts=(text,)) for text in texts])
json.dump([verdict.labels[0] if verdict.labels else "" for verdict in verdicts], sys.stdout)
"""
"""Run by either tree: the label of each text, or an empty one."""

Sets = Mapping[str, Any]
Groups = dict[str, list[tuple[str, str]]]
"""By group, (text, what it must be called): a label, or a template or nothing where no label may be given."""


def main() -> None:
    """Prints a table for each policy, and the templates that are answered most."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", type=Path, nargs="?", default=_WHOLE / "sets.yaml")
    parser.add_argument("--policies", type=Path, nargs="+", default=_POLICIES)
    parser.add_argument("--parent", type=Path, help="another tree, such as a checkout of the commit before")
    options = parser.parse_args()
    sets = yaml.safe_load(options.sets.read_text("utf-8"))
    trees = {"before": options.parent.resolve()} if options.parent else {}
    trees["now"] = _HERE
    print("| policy | set | texts |", " | ".join(trees), "|")
    print("| --- | --- | --- |", " | ".join("---" for _ in trees), "|")
    worst: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for file in options.policies:
            policy = yaml.safe_load(file.read_text("utf-8"))["name"]
            groups = groups_of(sets, policy)
            labels = {
                name: labels_by(tree, file.resolve(), policy, groups, Path(folder, name))
                for name, tree in trees.items()
            }
            for row in rows(policy, groups, labels):
                print(row, flush=True)
            tasks = zip(groups["tasks answered"], labels["now"]["tasks answered"], strict=True)
            worst.update(template for (_, template), label in tasks if _answers(label))
    print(
        "\nTasks answered most:",
        *(f"- {count} × {template!r}" for template, count in worst.most_common(_WORST)),
        sep="\n",
    )


def groups_of(sets: Sets, policy: str) -> Groups:
    """The texts of a policy, by group."""
    matters = sets["matters"][policy]
    return {
        "tasks answered": [
            (template.replace("{message}", message["text"]), template)
            for template in sets["tasks"]
            for message in sets["messages"][policy]
        ],
        "two matters answered": [(each["text"], "") for each in matters["two"]],
        "neighbours answered": [(each["text"], "") for each in sets["neighbours"][policy]],
        "value": [(each["text"], each["label"]) for each in (*sets["value"][policy], *sets["messages"][policy])],
        "one matter with more": [(each["text"], each["label"]) for each in matters["one"]],
    }


def labels_by(tree: Path, file: Path, policy: str, groups: Groups, models: Path) -> dict[str, list[str]]:
    """Trains a policy with a tree and reads all texts. Raises CalledProcessError where that fails."""
    env = {**os.environ, "PYTHONPATH": str(tree), "OPENAI_API_KEY": ""}
    train = [sys.executable, "-m", "gateway", "train", str(file), "--models", str(models)]
    subprocess.run(train, cwd=tree, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    texts = [text for each in groups.values() for text, _ in each]
    command = [sys.executable, "-c", _LABELS, str(models), policy]
    read = subprocess.run(
        command, cwd=tree, env=env, check=True, input=json.dumps(texts), capture_output=True, text=True
    )
    labels = iter(json.loads(read.stdout))
    return {group: [next(labels) for _ in each] for group, each in groups.items()}


def rows(policy: str, groups: Groups, labels: Mapping[str, Mapping[str, Sequence[str]]]) -> Iterator[str]:
    """A row of the table for each group: what was answered; of value, what was answered rightly and wrongly."""
    for group, texts in groups.items():
        if group.endswith("answered"):
            shown = [_share(sum(map(_answers, by[group])), len(texts)) for by in labels.values()]
        else:
            shown = [_value([wanted for _, wanted in texts], by[group], labels, group) for by in labels.values()]
        yield f"| {policy} | {group} | {len(texts)} | {' | '.join(shown)} |"


def _value(
    wanted: Sequence[str], given: Sequence[str], labels: Mapping[str, Mapping[str, Sequence[str]]], group: str
) -> str:
    """Answered rightly and wrongly; where there is an earlier tree, of what it answered rightly how much still is."""
    right = [label == want for label, want in zip(given, wanted, strict=True)]
    wrong = sum(_answers(label) and not good for label, good in zip(given, right, strict=True))
    text = f"{sum(right)} right, {wrong} wrong"
    if "before" not in labels or given is labels["before"][group]:
        return text
    before = [label == want for label, want in zip(labels["before"][group], wanted, strict=True)]
    still = sum(now for now, was in zip(right, before, strict=True) if was)
    return f"{text}; of those before {_share(still, sum(before))}"


def _answers(label: str) -> bool:
    return label not in {"", "other"}


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / max(whole, 1):.1%})"


if __name__ == "__main__":
    main()
