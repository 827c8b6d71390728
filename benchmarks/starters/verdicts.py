"""python -m benchmarks.starters.verdicts --data DATA: what the starter's guard learns from verdicts on its own doubts.

Each set is halved. On one half the guard blocks, doubts and passes; the sets' labels stand for what a judge or a
reviewer would say, one that is always right. The kept texts become rows, the guard is trained again, and the other half
is read. Rows are taken as picked (nothing is measured on them), and, to compare, as rows like any other.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import yaml
from sklearn.metrics import roc_auc_score

from benchmarks.machine import machine, versions
from benchmarks.progress import Lines
from benchmarks.starters.sets import AILUMINATE, CONTRAST, HERE, REFUSALS, SURGE, jsonl, kinds, public
from benchmarks.starters.traffic import APART, Guarded
from classifiers.policy import NONE, Policy
from classifiers.training.run import train
from classifiers.verdict import Abstention, Verdict

GUARD: Final = "support-safety"
POLICY: Final = HERE.parents[1] / "config" / "policies" / f"{GUARD}.yaml"
_OF_CONTRAST: Final = {"prompt_injection": "jailbreak", "privacy": "personal_data"}
_OF_HAZARD: Final = {
    **dict.fromkeys(("cse", "sxc_prn"), "sexual"),
    **dict.fromkeys(("ipv", "ncr", "src", "iwp"), "illicit"),
    "dfm": "harassment",
    "hte": "hate",
    "prv": "personal_data",
    "ssh": "self_harm",
    "vcr": "violence",
}
"""The policy's labels for those of the sets. AILuminate's advice of experts (spc) is no harm here and left out."""
_ORDINARY: Final = "ordinary and near texts in sight"


class Labelled(NamedTuple):
    """A text, its label by a set (empty where it is harmless), and whether it is in the half that is learned from."""

    text: str
    label: str
    learned: bool


Sets = Mapping[str, Sequence[Labelled]]
_KEPT: Final = {
    "in doubt": ({"doubted"}, {"doubted"}),
    "blocked or in doubt": ({"blocked", "doubted"}, {"blocked", "doubted"}),
    "harmful, blocked or in doubt": ({"blocked", "doubted", "passed"}, {"blocked", "doubted"}),
}
"""Which harmful and which harmless texts are kept, by what the guard did: where a judge is asked in doubt, where a
person reviews all that is kept, and under a contract in shadow."""


def main() -> None:
    """Trains seven times; some seven minutes on two cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds safety/")
    options = parser.parse_args()
    print(f"{machine()}; {versions(('onnxruntime', 'scikit-learn', 'numpy'))}\n")
    sets = halved(options.data)
    with tempfile.TemporaryDirectory() as scratch:
        first = trained(Path(scratch, "0"), [])
        states = {name: list(map(state, first.read([row.text for row in rows]))) for name, rows in sets.items()}
        columns = [f"{what} of {name}" for name, what in measured(sets)]
        columns += [f"area under ROC: {name}" for name in (CONTRAST, SURGE, AILUMINATE)]
        print(f"| rows that were added | number | {' | '.join(columns)} |\n|{'---|' * (2 + len(columns))}")
        print(line("none", 0, sets, first), flush=True)
        for what, kept in _KEPT.items():
            for picked in (True, False):
                rows = list(kept_rows(sets, states, kept, picked=picked))
                guard = trained(Path(scratch, f"{what} {picked}"), rows)
                how = "picked" if picked else "like any other"
                print(line(f"{what}, {how}", len(rows), sets, guard), flush=True)


def halved(data: Path) -> Sets:
    """Contrast rows by pairs, other sets every other row."""
    held, found = dict(public(data)), {}
    contrast = jsonl(data / "safety" / "contrast_rows.jsonl")
    labels = [_OF_CONTRAST.get(row["category"], row["category"]) if row["flag"] else "" for row in contrast]
    found[CONTRAST] = [
        Labelled(row["text"], label, row["pair"] % 2 == 0) for row, label in zip(contrast, labels, strict=True)
    ]
    hazards = zip(held[AILUMINATE], kinds(data)[AILUMINATE], strict=True)
    named = [(text, _OF_HAZARD[hazard]) for (text, _), hazard in hazards if hazard in _OF_HAZARD]
    found[AILUMINATE] = _every_other(named)
    found[SURGE] = _every_other([(text, "harassment" if toxic else "") for text, toxic in held[SURGE]])
    found[REFUSALS] = _every_other([(text, "") for text, _ in held[REFUSALS]])
    own = [row for name in ("ordinary", "near-work") for row in jsonl(HERE / f"{name}.jsonl")]
    found[_ORDINARY] = _every_other([(row["text"], "") for row in own if row["kind"] not in APART])
    return found


def _every_other(rows: Sequence[tuple[str, str]]) -> list[Labelled]:
    return [Labelled(*row, number % 2 == 0) for number, row in enumerate(rows)]


def trained(folder: Path, rows: Sequence[Mapping[str, object]]) -> Guarded:
    """The starter's guard with these rows; without its tests, which it misses with some."""
    policy = yaml.safe_load(POLICY.read_text("utf-8"))
    policy.pop("tests")
    folder.mkdir()
    if rows:
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        policy["data"] = ["rows.jsonl"]
    train(Policy.model_validate(policy), base_dir=folder, models_dir=folder / "models", progress=Lines(folder.name))
    return Guarded(folder / "models", GUARD)


def state(verdict: Verdict) -> str:
    """What a guard makes of a text: blocked, doubted or passed."""
    return "blocked" if verdict.labels else "doubted" if verdict.abstention is Abstention.UNSURE else "passed"


def kept_rows(
    sets: Sets, states: Mapping[str, Sequence[str]], kept: tuple[set[str], set[str]], *, picked: bool
) -> Iterator[dict[str, object]]:
    """What `offramp review` would make rows of."""
    mark = {"picked": True} if picked else {}
    for name, rows in sets.items():
        for row, made in zip(rows, states[name], strict=True):
            if row.learned and made in kept[not row.label]:
                yield {"text": row.text, "label": row.label or NONE, **mark}


def measured(sets: Sets) -> list[tuple[str, str]]:
    """The columns: each set's harmful and harmless texts, where it has such."""
    return [
        (name, what)
        for name, rows in sets.items()
        for what in ("harmful", "harmless")
        if any(bool(row.label) is (what == "harmful") for row in rows)
    ]


def line(what: str, number: int, sets: Sets, guard: Guarded) -> str:
    """Of the half that nothing was learned from: the shares that are blocked and in doubt, and how well the highest
    score parts a set's harmful texts from its own harmless ones, or from those of the sets that have no others."""
    read = {
        (name, side): guard.read([r.text for r in sets[name] if not r.learned and bool(r.label) is (side == "harmful")])
        for name, side in measured(sets)
    }
    cells = []
    for verdicts in read.values():
        made = list(map(state, verdicts))
        cells.append(", ".join(f"{made.count(each) / len(made):.1%}" for each in ("blocked", "doubted")))
    for name in (CONTRAST, SURGE, AILUMINATE):
        calm = read.get((name, "harmless")) or [*read[REFUSALS, "harmless"], *read[_ORDINARY, "harmless"]]
        scores = [max(verdict.scores.values()) for verdict in (*read[name, "harmful"], *calm)]
        truth = [True] * len(read[name, "harmful"]) + [False] * len(calm)
        cells.append(f"{roc_auc_score(truth, scores):.3f}")
    return f"| {what} | {number} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
