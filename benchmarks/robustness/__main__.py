"""python -m benchmarks.robustness [--data ../shared/data]: odd rows and text, then disguises; printed and written."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import machine, versions
from benchmarks.robustness import disguised
from benchmarks.robustness.odd import TEXTS, cases
from benchmarks.robustness.trained import Came, run

RESULTS = Path(__file__).parents[1] / "results" / "robustness.md"


def main() -> None:
    """Runs the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds banking77/, snips/, safety/")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--models", type=Path, help="where the guard is trained; one that is there already is kept")
    parser.add_argument("--labels", type=int, default=3000, help="the most labels that are tried")
    parser.add_argument("--only", choices=("odd", "disguised"), help="print one part, write nothing")
    options = parser.parse_args()
    lines: list[str] = []
    if options.only != "disguised":
        lines += odd_lines(options.labels)
    if options.only != "odd" and (options.data / "safety").is_dir():
        with tempfile.TemporaryDirectory() as scratch:
            lines += ["## Disguises", "", *disguised.lines(options.models or Path(scratch), options.data)]
    packages = versions(("onnxruntime", "scikit-learn", "numpy"))
    made = f"Made by `python -m benchmarks.robustness` on {machine()}; {packages}."
    text = "\n".join(["# Robustness", "", made, "", *lines, ""])
    print(text)
    if not options.only:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")


def odd_lines(labels: int) -> Iterator[str]:
    """A table of training runs, then one of the time that odd texts take."""
    yield "## Odd rows"
    yield ""
    yield "Each in a process of its own with one thread; seconds are the processor's, memory is the process's peak."
    yield ""
    yield "| kind | rows | outcome | seconds | peak MB |"
    yield "|---|---|---|---|---|"
    asked: dict[str, Came] = {}
    for case, came in run(list(cases(labels))):
        print(f"{case.kind}: {case.what}: {came.outcome}", file=sys.stderr, flush=True)
        yield f"| {case.kind} | {case.what} | {came.outcome} | {came.seconds:.1f} | {came.peak_mb} |"
        if came.asked:
            asked[case.kind] = came
    yield ""
    yield "## Odd texts"
    yield ""
    yield "Seconds of the processor for a verdict with 512 windows at most, one thread, nothing remembered."
    yield ""
    yield f"| text | {' | '.join(asked)} |"
    yield "|---" * (len(asked) + 1) + "|"
    for name in TEXTS:
        yield f"| {name} | {' | '.join(f'{came.asked[name]:.3f}' for came in asked.values())} |"
    yield ""


if __name__ == "__main__":
    main()
