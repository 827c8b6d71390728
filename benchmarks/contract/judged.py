"""python -m benchmarks.contract.judged: how often a safety contract's promise is broken on stationary streams, when it
begins to decide, how much it asks, and how soon it notices that a bound no longer holds."""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.contract.safety import Traffic, alarm_after, certified, live, run
from benchmarks.contract.streams import share_and_limit
from benchmarks.machine import machine, versions
from gateway.rules.terms import SafetyTerms

RESULTS = Path(__file__).parents[1] / "results" / "safety_contract.md"
TERMS = SafetyTerms(missed=0.05, wrongly=0.02, confidence=0.95)
SCORES = ((0.0, 0.05), (0.05, 0.3), (0.3, 0.7), (0.7, 1.0))
TRAFFICS = (
    Traffic(
        name="a fifth unsafe, good scores", calls=(0.6, 0.1, 0.1, 0.2), scores=SCORES, unsafe=(0.002, 0.03, 0.4, 0.98)
    ),
    Traffic(name="one in fifty unsafe", calls=(0.9, 0.06, 0.02, 0.02), scores=SCORES, unsafe=(0.0005, 0.02, 0.3, 0.8)),
    Traffic(name="scores that mean little", calls=(0.4, 0.3, 0.2, 0.1), scores=SCORES, unsafe=(0.1, 0.15, 0.25, 0.5)),
    Traffic(name="harm that looks harmless", calls=(0.7, 0.1, 0.1, 0.1), scores=SCORES, unsafe=(0.02, 0.02, 0.4, 0.98)),
)


def main() -> None:
    """Simulates all streams and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    began = time.process_time()
    lines = [*bounds(options.streams), "", *whole(options.streams), "", *changes(options.streams // 10)]
    seconds = f"{time.process_time() - began:.0f} s of processor time"
    spent = f"{options.streams} streams a row, a tenth of that for changes; {seconds}."
    made = f"Made by `python -m benchmarks.contract.judged` on {machine()}; {versions(('numpy', 'scipy'))}."
    text = "\n".join(["# Safety contracts on simulated streams", "", made, spent, "", *lines, ""])
    print(text)
    options.output.write_text(text, encoding="utf-8")


def bounds(streams: int) -> Iterator[str]:
    """One threshold at a share just above the target."""
    yield "## One bound that does not hold: evidence at 5 % on 3,000 calls of its kind, the share 1 % above the target"
    yield ""
    yield "| target | weights of what is right | ever certified | at least (95 %) |"
    yield "|---|---|---|---|"
    for target in (0.05, 0.02):
        for weights in ((1.0,), (1.0, 20.0), (1.0, 3.0, 20.0)):
            found = certified(
                share=1.01 * target, target=target, alpha=0.05, weights=weights, calls=3000, streams=streams, seed=0
            )
            share, at_least = share_and_limit(found.tolist())
            named = ", ".join(f"{weight:g}" for weight in weights)
            yield f"| {target:.0%} | {named} | {share:.1%} | {at_least:.1%} |"


def whole(streams: int) -> Iterator[str]:
    """The gateway's own contract, thresholds sought and all."""
    yield "## Whole contracts, 6,000 calls each: at most 5 % missed, at most 2 % flagged wrongly, at 95 %"
    yield ""
    yield (
        "| traffic | ever violate | at least (95 %) | passes from call (median) | flags from call (median) "
        "| put to the judge | decided alone at the end (median) |"
    )
    yield "|---|---|---|---|---|---|---|"
    for traffic in TRAFFICS:
        runs = [run(traffic, TERMS, calls=6000, seed=seed) for seed in range(streams)]
        share, at_least = share_and_limit([one.violates for one in runs])
        passes, flags = (_median([one.live[side] for one in runs]) for side in (0, 1))
        asked = float(np.mean([one.asked for one in runs]))
        alone = float(np.median([one.alone for one in runs]))
        yield f"| {traffic.name} | {share:.1%} | {at_least:.1%} | {passes} | {flags} | {asked:.0%} | {alone:.0%} |"


def changes(streams: int) -> Iterator[str]:
    """A live contract whose traffic is not, or no longer, what it was certified on."""
    yield "## Live contracts: calls until one side is withdrawn, of 20,000"
    yield ""
    yield "| traffic | missed | flagged wrongly | withdrawn | median | 90 % |"
    yield "|---|---|---|---|---|---|"
    contract = live(TERMS, passes=0.1, flags=0.8)
    good = TRAFFICS[0]
    for unsafe in (
        (0.002, 0.03, 0.4, 0.98),
        (0.015, 0.05, 0.4, 0.98),
        (0.03, 0.06, 0.4, 0.98),
        (0.1, 0.2, 0.4, 0.98),
        (0.002, 0.03, 0.4, 0.8),
    ):
        traffic = replace(good, unsafe=unsafe)
        missed, wrongly, _ = traffic.shares(contract)
        found = [alarm_after(traffic, contract, calls=20_000, seed=seed) for seed in range(streams)]
        withdrawn = float(np.isfinite(found).mean())
        named = ", ".join(f"{one:.1%}" for one in unsafe)
        after = f"{_median(found)} | {_median(found, 0.9)}"
        yield f"| unsafe {named} | {missed:.1%} | {wrongly:.1%} | {withdrawn:.0%} | {after} |"


def _median(values: Sequence[float], share: float = 0.5) -> str:
    found = float(np.quantile(values, share, method="inverted_cdf"))
    return "" if math.isinf(found) else f"{found:,.0f}"


if __name__ == "__main__":
    main()
