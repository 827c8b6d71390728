"""python -m benchmarks.robustness [--data ../shared/data]: odd rows and text, and disguises; printed and written."""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.machine import machine, versions
from benchmarks.robustness import disguised
from benchmarks.robustness.odd import TEXTS, cases
from benchmarks.robustness.trained import WINDOWS, Came, run

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    """Runs the parts that are asked for; each has a page of its own, which grows while it runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds banking77/, snips/, safety/")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the folder of the pages")
    parser.add_argument("--models", type=Path, help="what is trained or prepared there already is kept")
    parser.add_argument("--labels", type=int, default=3000, help="the most labels that are tried")
    parser.add_argument("--only", choices=("odd", "disguised"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        models = options.models or Path(scratch)
        if options.only != "odd" and (options.data / "safety").is_dir():
            lines = disguised.lines(models, options.data)
            _write("Disguises", "--only disguised", lines, options.output / "disguises.md")
        if options.only != "disguised":
            lines = odd_lines(options.labels, models)
            _write("Odd rows and texts", "--only odd", lines, options.output / "robustness.md")


def odd_lines(labels: int, models: Path) -> Iterator[str]:
    """A table of training runs, then one of the time that odd texts take."""
    yield "Each run in a process of its own with one thread; seconds are the processor's, memory is the process's peak."
    yield ""
    yield "| kind | rows | outcome | seconds | peak MB |"
    yield "|---|---|---|---|---|"
    asked: dict[str, Came] = {}
    for case, came in run(list(cases(labels)), models):
        yield f"| {case.kind} | {case.what} | {came.outcome} | {came.seconds:.1f} | {came.peak_mb} |"
        if came.asked:
            asked[case.kind] = came
    yield ""
    yield f"Seconds of the processor for a verdict on {WINDOWS} windows at most, one thread, nothing remembered:"
    yield ""
    yield f"| text | {' | '.join(asked)} |"
    yield "|---" * (len(asked) + 1) + "|"
    for name in TEXTS:
        yield f"| {name} | {' | '.join(f'{came.asked[name]:.3f}' for came in asked.values())} |"


def _write(title: str, option: str, lines: Iterable[str], path: Path) -> None:
    packages = versions(("onnxruntime", "scikit-learn", "numpy"))
    made = f"Made by `python -m benchmarks.robustness {option}` on {machine()}; {packages}."
    path.parent.mkdir(parents=True, exist_ok=True)
    told = [f"# {title}", "", made, ""]
    for line in lines:
        print(line, file=sys.stderr, flush=True)
        told.append(line)
        path.write_text("\n".join([*told, ""]), encoding="utf-8")
    print("\n".join(told))


if __name__ == "__main__":
    main()
