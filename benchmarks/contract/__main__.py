"""python -m benchmarks.contract: how often a contract's promise is broken on stationary streams, and what it costs."""

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.contract.streams import Profile, alarms, certify, share_and_limit
from benchmarks.machine import machine, versions
from gateway.contracts.sampling import SHADOW

RESULTS = Path(__file__).parents[1] / "results" / "contract.md"
TARGET, CONFIDENCE = 0.02, 0.95
CALLS, ATTEMPTS = 6000, 5
BAD = (
    Profile(name="just above the target (2.02 %)", covers=(0.6,), wrong=(0.0202,)),
    Profile(name="the same at six thresholds", covers=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), wrong=(0.0202,) * 6),
    Profile(name="3 %", covers=(0.6,), wrong=(0.03,)),
    Profile(name="good, then above: 0.5 %, 2.1 % in all", covers=(0.4, 0.8), wrong=(0.005, 0.037)),
    Profile(name="worse where surer: 2.1 %, then 1 %", covers=(0.2, 0.6), wrong=(0.021, 0.01)),
    Profile(name="right, reference wrong on 2.02 %", covers=(0.6,), wrong=(0.0,), noise=0.0202),
    Profile(name="right, reference wrong on 5 %", covers=(0.6,), wrong=(0.0,), noise=0.05),
)
GOOD = (0.0, 0.0025, 0.005, 0.01, 0.015)
WORSE = (1.0, 1.25, 1.5, 2.0, 3.0, 5.0)


def main() -> None:
    """Simulates all streams and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    began = time.process_time()
    lines = [*violations(options.streams), "", *power(options.streams), "", *detection(options.streams)]
    spent = f"{options.streams} streams a row; {time.process_time() - began:.0f} s of processor time."
    made = f"Made by `python -m benchmarks.contract` on {machine()}; {versions(('numpy', 'scipy'))}."
    text = "\n".join(["# Contracts on simulated streams", "", made, spent, "", *lines, ""])
    print(text)
    options.output.write_text(text, encoding="utf-8")


def violations(streams: int) -> Iterator[str]:
    """Streams on which a bound that does not hold was ever certified."""
    yield f"## Bounds that do not hold (target {TARGET:.0%} at {CONFIDENCE:.0%}, {ATTEMPTS} attempts of {CALLS} calls)"
    yield ""
    yield "| true disagreement | streams that ever violate | at least (95 %) |"
    yield "|---|---|---|"
    for profile in BAD:
        found = [
            certify(
                profile, target=TARGET, confidence=CONFIDENCE, calls=CALLS, attempts=ATTEMPTS, rate=SHADOW, seed=seed
            ).violates
            for seed in range(streams)
        ]
        share, at_least = share_and_limit(found)
        yield f"| {profile.name} | {share:.1%} | {at_least:.1%} |"


def power(streams: int) -> Iterator[str]:
    """Calls until a bound that holds is certified, in shadow, where the coin chooses each call."""
    yield "## Bounds that hold: calls in shadow until the first certificate"
    yield ""
    yield "| true disagreement | calls that reach the threshold | certified within 20,000 calls | median | 90 % |"
    yield "|---|---|---|---|---|"
    for wrong in GOOD:
        for covers in (0.3, 0.7):
            profile = Profile(name="", covers=(covers,), wrong=(wrong,))
            calls = [
                certify(
                    profile, target=TARGET, confidence=CONFIDENCE, calls=20_000, attempts=1, rate=SHADOW, seed=seed
                ).calls
                for seed in range(streams // 5)
            ]
            reached = np.isfinite(calls).mean()
            yield f"| {wrong:.2%} | {covers:.0%} | {reached:.0%} | {_quantile(calls, 0.5)} | {_quantile(calls, 0.9)} |"


def detection(streams: int) -> Iterator[str]:
    """Audits until a live bound is withdrawn."""
    yield f"## Live bounds (target {TARGET:.0%}): audits until it is withdrawn, after 1,000 good audits"
    yield ""
    yield "| disagreement, in targets | withdrawn within 4,000 audits | median | 90 % |"
    yield "|---|---|---|---|"
    for times in (0.25, 0.5, 0.75, *WORSE):
        found = alarms(target=TARGET, rate=times * TARGET, audits=4000, streams=streams, seed=0, before=1000)
        yield (
            f"| {times:g} | {np.isfinite(found).mean():.1%} | {_quantile(found.tolist(), 0.5)} "
            f"| {_quantile(found.tolist(), 0.9)} |"
        )


def _quantile(values: list[float], share: float) -> str:
    found = float(np.quantile(values, share, method="inverted_cdf"))
    return "" if math.isinf(found) else f"{found:,.0f}"


if __name__ == "__main__":
    main()
