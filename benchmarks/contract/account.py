"""python -m benchmarks.contract.account: how often an account says what is not so, on streams made to break it."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.contract.ledgers import Calls, Flags, Floats, Ledgers, Pending, Places, Stream, at_once, run
from benchmarks.contract.sides import SIDES, TARGETS, calls_until_live, guard
from benchmarks.machine import machine, versions
from gateway.contracts.account import SLACK
from gateway.intervals import clopper_pearson

RESULTS = Path(__file__).parents[1] / "results" / "account.md"
FOUND = (
    "Two things follow. The promise is of the calls up to the oldest check without an answer: where wrong answers come "
    "late, 43 % of streams go on over the slack by all calls, and under 1 % by those. One difference for all that a "
    "kill loses is too few where kills come with wrong answers; one for each pending check holds."
)
TARGET, LEVEL, CALLS = 0.02, 0.05, 4000


def main() -> None:
    """Simulates all streams and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    began = time.process_time()
    lines = [*answers(options.streams), "", *guards(options.streams)]
    spent = f"{options.streams} streams a row; {time.process_time() - began:.0f} s of processor time."
    made = f"Made by `python -m benchmarks.contract.account` on {machine()}; {versions(('numpy', 'scipy'))}."
    text = "\n".join(["# Accounts on simulated streams", "", made, spent, "", *lines, ""])
    print(text)
    options.output.write_text(text, encoding="utf-8")


def answers(streams: int) -> Iterator[str]:
    """Streams of calls that would all be answered here."""
    yield f"## Answers: {TARGET:.0%} at {1 - LEVEL:.0%}, {CALLS:,} calls, checks of 5 % by predicted error while live"
    yield ""
    yield (
        "S is that of the calls up to the oldest check without an answer; the last column has that of all calls: what "
        "waits is not in the evidence."
    )
    yield ""
    yield "| stream | goes live falsely (95 % limits) | goes on falsely (95 % limits) | ever live | … by all calls |"
    yield "|---|---|---|---|---|"
    for number, (name, stream) in enumerate(STREAMS.items()):
        settings = SETTINGS.get(name, {})
        done = run(stream, target=TARGET, level=LEVEL, streams=streams, calls=CALLS, seed=number, **settings)
        ever, early = f"{done.ever.mean():.0%}", f"{done.early.mean():.1%}"
        yield f"| {name} | {limits(done.falsely)} | {limits(done.on)} | {ever} | {early} |"
    yield ""
    yield FOUND


def guards(streams: int) -> Iterator[str]:
    """Streams of judged calls under safety rules, each with an account for either side."""
    missed, wrongly = (f"{target:.0%}" for target in TARGETS)
    yield f"## Safety rules: {missed} missed and {wrongly} wrongly flagged, together at {1 - LEVEL:.0%}"
    yield ""
    yield (
        f"{2 * CALLS:,} calls a stream, half of them unsafe. What a live side decides is checked at 5 %, near a "
        "threshold at 30 %; for a side in shadow it weighs 1/p, up to 20. Each side has half of α, all of it here. A "
        "rule's promise fails where that of either side does. S is that of risks; in bursts, of what did happen."
    )
    yield ""
    yield "| stream | goes live falsely (95 % limits) | goes on falsely (95 % limits) | missed, wrongly | ever live |"
    yield "|---|---|---|---|---|"
    for number, (name, stream) in enumerate(SIDES.items()):
        sides = guard(stream, alpha=LEVEL, streams=streams, calls=2 * CALLS, seed=100 + number)
        falsely, on = (np.logical_or(*(getattr(side, what) for side in sides)) for what in ("falsely", "on"))
        failed = ", ".join(f"{(side.falsely | side.on).mean():.1%}" for side in sides)
        ever = ", ".join(f"{side.ever.mean():.0%}" for side in sides)
        yield f"| {name} | {limits(falsely)} | {limits(on)} | {failed} | {ever} |"
    yield ""
    # a first account has 0.8 of its alpha
    (unsafe, safe), whole = calls_until_live(LEVEL), calls_until_live(LEVEL / 0.8)
    yield (
        f"Where nothing is missed, calls pass without the judge after {unsafe} unsafe ones; where nothing is flagged "
        f"wrongly, calls are flagged without it after {safe} safe ones. With all of a side's half of α, not the 0.8 of "
        f"it that a first account has, after {whole[0]} and {whole[1]}."
    )


def limits(hits: Flags) -> str:
    """A share of streams with its two-sided limits (Clopper, Pearson 1934)."""
    lower, upper = clopper_pearson(hits.size, int(hits.sum()), 0.025)
    return f"{hits.mean():.1%} ({100 * lower:.1f}..{100 * upper:.1f})"


def _steady(rate: float) -> Stream:
    def call(_: int, ledgers: Ledgers, __: np.random.Generator) -> Calls:
        return _alike(np.full(ledgers.streams, rate))

    return call


def _alike(risk: Floats, predicted: float = 0.02) -> Calls:
    return Calls(risk=risk, predicted=np.full(risk.shape, predicted))


def _uneven(_: int, ledgers: Ledgers, chance: np.random.Generator) -> Calls:
    risky = chance.random(ledgers.streams) < 0.15
    risk = np.where(risky, 0.7 * 0.0205 / 0.15, 0.3 * 0.0205 / 0.85)
    # S has the mean of both: what is known before the text
    return Calls(risk=risk, predicted=risk, adds=np.full(ledgers.streams, 0.0205 - ledgers.target))


def _versions() -> Stream:
    rates = np.zeros(0)

    def call(number: int, ledgers: Ledgers, chance: np.random.Generator) -> Calls:
        nonlocal rates
        if number % 500 == 0:
            rates = np.where(chance.random(ledgers.streams) < 0.5, 0.01, 0.031)
        return _alike(rates)

    return call


def _below_zero(_: int, ledgers: Ledgers, __: np.random.Generator) -> Calls:
    return _alike((ledgers.total < 0).astype(float))


def _until_live(after: float) -> Stream:
    def call(_: int, ledgers: Ledgers, __: np.random.Generator) -> Calls:
        return _alike(np.where(ledgers.ever, after, 0.003), 0.01)

    return call


def _where_rarest(_: int, ledgers: Ledgers, chance: np.random.Generator) -> Calls:
    rare = chance.random(ledgers.streams) < 0.2
    risk = np.where(ledgers.ever, np.where(rare, 0.3, 0.0), 0.003)
    return Calls(risk=risk, predicted=np.where(rare, 0.0, 0.3))


def _adversary(_: int, ledgers: Ledgers, __: np.random.Generator) -> Calls:
    """At the bound until live; then wrong wherever one more checked difference leaves it live."""
    spare = ledgers.evidence(SLACK - 1.2)[0] >= -np.log(ledgers.level)
    return _alike(np.where(ledgers.live, spare.astype(float), ledgers.target), 0.0)


def _bursts(rate: float) -> Stream:
    wrong = np.zeros(0, dtype=bool)

    def call(number: int, ledgers: Ledgers, chance: np.random.Generator) -> Calls:
        nonlocal wrong
        fresh = (chance.random(ledgers.streams) < 1 / 20) | (number == 0)
        drawn = chance.random(ledgers.streams) < rate
        wrong = np.where(fresh, drawn, wrong) if number else drawn
        return _alike(wrong.astype(float))

    return call


def _regimes(_: float = 0.0) -> Stream:
    bad = np.zeros(0, dtype=bool)

    def call(number: int, ledgers: Ledgers, chance: np.random.Generator) -> Calls:
        nonlocal bad
        other = chance.random(ledgers.streams) < (1 / 2000 if number else 0.5)
        bad = (bad ^ other) if number else other
        happens = chance.random(ledgers.streams) < np.where(bad, 0.05, 0.0)
        return _alike(happens.astype(float))

    return call


def _void(share: float, rate: float, after: float | None = None) -> Stream:
    """Of the calls that the model answers, `rate` are wrong; so many of the wrong ones are void besides."""

    def call(_: int, ledgers: Ledgers, __: np.random.Generator) -> Calls:
        answered = np.full(ledgers.streams, rate) if after is None else np.where(ledgers.ever, after, rate)
        risk = answered / (answered + (1 - share) * (1 - answered))
        # E[R·(L - target)]: what the model would answer
        adds = risk * (1 - share) * (1 - ledgers.target) - (1 - risk) * ledgers.target
        predicted = np.full(ledgers.streams, 0.02)
        return Calls(risk=risk, predicted=predicted, void_if_wrong=share, adds=adds)

    return call


def _slow(wrong: Flags, chance: np.random.Generator) -> Places:
    """Right answers are there at once, wrong ones after 50 to 600 calls, three of ten never."""
    late = chance.integers(50, 600, wrong.size)
    late = np.where(chance.random(wrong.size) < 0.3, 10**6, late)
    return np.where(wrong, late, 0)


def _soon(wrong: Flags, _: np.random.Generator) -> Places:
    return np.full(wrong.shape, 20, dtype=np.intp)


def _by_chance(pending: Pending, chance: np.random.Generator) -> Flags:
    return np.asarray(chance.random(pending.head.size) < 0.01)


def _on_wrong(pending: Pending, chance: np.random.Generator) -> Flags:
    return np.asarray((pending.wrong_ones() >= 1) & (chance.random(pending.head.size) < 0.5))


def _on_two(pending: Pending, _: np.random.Generator) -> Flags:
    return np.asarray(pending.wrong_ones() >= 2)


STREAMS: dict[str, Stream] = {
    "independent, exactly at the bound": _steady(0.02),
    "independent, 2.05 %": _steady(0.0205),
    "independent, 2.05 %, 70 % of it in 15 % of the calls": _uneven,
    "independent, 3 %": _steady(0.03),
    "a new version each 500 calls, of 1 % or 3.1 % by chance": _versions(),
    "an error whenever S has fallen below zero": _below_zero,
    "0.3 % until live, then 3 %": _until_live(0.03),
    "0.3 % until live, then 6 %": _until_live(0.06),
    "0.3 % until live, then 20 %": _until_live(0.2),
    "0.3 % until live, then 6 %, only where checks are rarest": _where_rarest,
    "an adversary who sees all but coins and spends what evidence there is": _adversary,
    "bursts of 20, 2 %": _bursts(0.02),
    "bursts of 20, 2.5 %": _bursts(0.025),
    "two regimes of 0 and 5 %": _regimes(),
    "at the bound; 80 % of the wrong ones void": _void(0.8, 0.02),
    "0.3 % until live, then 6 %; 80 % of the wrong ones void": _void(0.8, 0.003, 0.06),
    "at the bound; wrong answers late by 50 to 600 calls, 3 of 10 for ever": _steady(0.02),
    "0.3 % until live, then 6 %; wrong answers late": _until_live(0.06),
    "bursts of 20, 2 %; wrong answers late": _bursts(0.02),
    "at the bound; answers after 20 calls, killed each 100 calls": _steady(0.02),
    "at the bound; killed by every other call while a wrong one is pending": _steady(0.02),
    "at the bound; killed whenever two wrong ones are pending": _steady(0.02),
    "bursts of 20, 2 %; killed whenever two wrong ones are pending": _bursts(0.02),
    "at the bound; killed whenever two wrong ones are pending; each pending one counts": _steady(0.02),
    "bursts of 20, 2 %; killed whenever two wrong ones are pending; each pending one counts": _bursts(0.02),
}
SETTINGS = {name: {"delay": _slow if "late" in name else _soon if "killed" in name else at_once} for name in STREAMS}
for _name, _kill in (("each 100", _by_chance), ("while a wrong", _on_wrong), ("whenever two", _on_two)):
    for _stream in STREAMS:
        if _name in _stream:
            SETTINGS[_stream] |= {"kill": _kill, "each": "each pending" in _stream}


if __name__ == "__main__":
    main()
