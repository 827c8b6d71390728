"""python -m benchmarks.stream DATA: a stream of calls under a contract, from a policy alone, through a real gateway.

Banking77's messages arrive as chat calls that ask a paid model for the intent; the paid model is a local server that
answers the gold label. The gateway begins with a classifier trained from policy.json and sentences.jsonl, answers
what its contract certifies, and retrains. The stream waits while a training runs: on real traffic calls come slower.
With --replay: many streams without HTTP, of Banking77 and HWU64.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.banking77.dataset import load
from benchmarks.machine import machine, versions
from benchmarks.stream import replay_page
from benchmarks.stream.page import page
from benchmarks.stream.run import Case, Outcome, run

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = ("onnxruntime", "scikit-learn", "numpy", "scipy", "uvicorn", "aiohttp")
SWAPPED_AT = 8000


def main() -> None:
    """Runs the cases one after the other and writes results/stream.md and a picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder banking77")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--noisy", type=int, default=1, help="orders in which the paid model errs, at each target")
    parser.add_argument("--swaps", type=int, default=5, help="orders in which labels swap their meaning")
    parser.add_argument("--calls", type=int, default=0, help="only so many of each stream")
    parser.add_argument("--models", type=Path, help="where the prepared encoder is kept between runs")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the folder of stream.md and stream.svg")
    parser.add_argument("--replay", action="store_true", help="without HTTP, on recorded vectors; DATA holds both sets")
    parser.add_argument("--cache", type=Path, default=Path("/tmp/offramp-vectors"), help="of --replay: the vectors")
    parser.add_argument("--orders", type=int, nargs="+", default=[5, 6, 7, 8, 9], help="of --replay")
    parser.add_argument("--processes", type=int, default=2, help="of --replay")
    arguments = parser.parse_args()
    if arguments.replay:
        replay_page.main(
            arguments.data, arguments.cache, arguments.output, arguments.orders, processes=arguments.processes
        )
        return
    dataset = load(arguments.data)
    cases = [Case(name=f"seed {seed}", seed=seed) for seed in range(arguments.seeds)]
    for seed in range(arguments.noisy):
        for target in (0.02, 0.08):
            name = f"paid model wrong on 5 %, at {target:.0%}, seed {seed}"
            cases.append(Case(name=name, seed=seed, noise=0.05, target=target))
    for seed in range(arguments.swaps):
        name = f"ten labels swap meaning at {SWAPPED_AT:,}, seed {seed}"
        cases.append(Case(name=name, seed=seed, swapped_at=SWAPPED_AT))
    with tempfile.TemporaryDirectory() as folder:
        models = arguments.models or Path(folder) / "models"
        outcomes: list[tuple[Case, Outcome]] = []
        for case in cases:
            outcome = run(dataset, case, models=models, calls=arguments.calls or None)
            outcomes.append((case, outcome))
            print(f"{case.name}: {outcome.line()}", flush=True)
            text, picture = page(outcomes, f"{machine()}; {versions(PACKAGES)}")
            (arguments.output / "stream.md").write_text(text, encoding="utf-8")
            (arguments.output / "stream.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
