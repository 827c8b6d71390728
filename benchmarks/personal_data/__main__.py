"""python -m benchmarks.personal_data [--models DIR]: the starter personal-details on held-out sentences.

Trains it first, unless DIR holds it already; printed and written to benchmarks/results/personal_data.md.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import machine, versions
from classifiers import Reading, Runtime
from classifiers.slots.fill import parse
from classifiers.verdict import SlotValue

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "personal_data.md"
NAME = "personal-details"


def main() -> None:
    """Prints two tables and writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        models = options.models or Path(scratch)
        if not (models / NAME).is_dir():
            train = [sys.executable, "-m", "gateway", "train", f"config/policies/{NAME}.yaml", "--models", str(models)]
            subprocess.run(train, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        runtime = Runtime.load(models, [NAME])
        lines = list(table(runtime))
    made = f"Made by `python -m benchmarks.personal_data` on {machine()}; {versions(('torch', 'onnxruntime'))}."
    text = "\n".join(["# Personal data told in words", "", made, "", *lines, ""])
    print(text)
    options.output.write_text(text, encoding="utf-8")


def table(runtime: Runtime) -> Iterator[str]:
    """For each slot, the values found; then what was marked that should not be."""
    slots = tuple(runtime.classifiers[NAME].model.policy.slots)
    wanted, whole, touched, chars, hidden = (Counter[str]() for _ in range(5))
    for line in _lines("marked.txt"):
        marked = parse(line, slots)
        found = values(runtime, marked.text)
        covered = {place for value in found for place in range(value.start, value.end)}
        for mark in marked.marks:
            places = {place for place in range(mark.start, mark.end) if marked.text[place].isalnum()}
            wanted[mark.name] += 1
            chars[mark.name] += len(places)
            hidden[mark.name] += len(places & covered)
            whole[mark.name] += places <= covered
            touched[mark.name] += bool(places & covered)
    yield "| slot | values | hidden whole | hidden in part | letters and digits hidden |"
    yield "|---|---|---|---|---|"
    for name in (*slots, "all"):
        n, all_, some, letters, gone = (
            count.total() if name == "all" else count[name] for count in (wanted, whole, touched, chars, hidden)
        )
        yield f"| {name} | {n} | {all_ / n:.0%} | {(some - all_) / n:.0%} | {gone / letters:.0%} |"
    harmless = _lines("harmless.txt")
    marked_wrongly = [(text, [value.raw for value in found]) for text in harmless if (found := values(runtime, text))]
    yield ""
    yield f"Of {len(harmless)} harmless messages, {len(marked_wrongly)} had something hidden:"
    yield ""
    yield from (f"- {text} → {', '.join(raw)}" for text, raw in marked_wrongly)


def values(runtime: Runtime, text: str) -> tuple[SlotValue, ...]:
    """What a rule that redacts would hide."""
    return runtime.classify([Reading(classifier=NAME, texts=(text,), every_slot=True)])[0].slots


def _lines(name: str) -> list[str]:
    text = (HERE / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


if __name__ == "__main__":
    main()
