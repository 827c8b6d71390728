"""python -m benchmarks.stream.judged [--data ../shared/data] [--models FOLDER]: a safety contract on public messages.

Surge's toxicity set, HateCheck, CyberSecEval's false refusals and the contrast rows, mixed, as a stream of calls that a
starter policy's classifier scores; the judge says what the sets say. What is measured is the gateway's own contract on
the classifier's own scores, without HTTP in between.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.machine import machine, versions
from benchmarks.progress import Lines
from benchmarks.starters.sets import CONTRAST, HATECHECK, REFUSALS, SURGE, public
from classifiers import Reading, Runtime
from classifiers.model import artifact
from classifiers.model.registry import Registry
from classifiers.training.run import train
from gateway.config.load import load_policy
from gateway.contracts.contract import EVERY, Coin, Contract, Zone, judged
from gateway.contracts.memory import KNOWN
from gateway.contracts.threshold import ScoreRow
from gateway.rules.terms import SafetyTerms

POLICY = Path(__file__).parents[2] / "config" / "policies" / "moderation.yaml"
RESULTS = Path(__file__).parents[1] / "results" / "safety_stream.md"
SOURCES = (SURGE, HATECHECK, REFUSALS, CONTRAST)
TERMS = SafetyTerms(missed=0.05, wrongly=0.02, confidence=0.95)
SEEDS = 5
_LATEST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A message with the classifier's score and what its set says of it."""

    source: str
    score: float
    unsafe: bool


@dataclass(slots=True, kw_only=True)
class Seen:
    """What became of a stream: where each call went, by (source, zone, unsafe), and whether it was audited."""

    went: list[tuple[Call, Zone, bool]] = field(default_factory=list)
    moves: list[str] = field(default_factory=list)

    def alone(self, source: str | None = None, *, last: int | None = None) -> float:
        """Of the calls, or those of a source, the share that was decided without the judge."""
        chosen = [one for one in self.went[-last if last else 0 :] if source in (None, one[0].source)]
        return sum(zone is not Zone.ASK and not judged for _, zone, judged in chosen) / len(chosen)

    def wrong(self, zone: Zone, *, unsafe: bool) -> float:
        """Of the calls of a kind the share on which the contract acted, audited or not."""
        kind = [where for call, where, _ in self.went if call.unsafe is unsafe]
        return sum(where is zone for where in kind) / len(kind)


def main() -> None:
    """Trains the policy unless it is there, scores all messages, and streams them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--models", type=Path, help="where it is trained; what is trained there already is kept")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        models = options.models or Path(scratch)
        calls, held_out, version = scored(models, options.data)
        recipe = artifact.load(Registry(models).resolve(POLICY.stem)).report()["settings"]["recipe"]
    lines = list(table(calls, held_out))
    made = (
        f"Made by `python -m benchmarks.stream.judged` on {machine()}; {versions(('onnxruntime', 'numpy', 'scipy'))}."
    )
    about = (
        f"The policy {POLICY.stem} (recipe {recipe}, version {version}), {len(calls):,} messages in {SEEDS} "
        "orders; the judge says what the sets say. At most 5 % missed of what it calls unsafe, at most 2 % flagged of "
        "what it calls safe, at 95 %. Nothing of these sets was trained on."
    )
    text = "\n".join(["# A safety stream under a contract", "", made, "", about, "", *lines, ""])
    print(text)
    options.output.write_text(text, encoding="utf-8")


def scored(models: Path, data: Path) -> tuple[list[Call], Sequence[ScoreRow], str]:
    """All messages with the classifier's scores; those of its training; and its version."""
    policy = load_policy(POLICY, {})
    registry = Registry(models)
    if registry.current(policy.name) is None:
        outcome = train(policy, base_dir=POLICY.parent, models_dir=models, progress=Lines(policy.name))
        if not outcome.accepted:
            raise SystemExit("\n".join(outcome.missed))
    runtime = Runtime.load(models, [policy.name], self_test=False)
    sets = [(what, rows) for what, rows in public(data) if what in SOURCES]
    readings = [Reading(classifier=policy.name, texts=(text,)) for _, rows in sets for text, _ in rows]
    verdicts = iter(runtime.classify(readings))
    calls = [
        Call(source=what, score=max(next(verdicts).scores.values()), unsafe=unsafe)
        for what, rows in sets
        for _, unsafe in rows
    ]
    return calls, runtime.classifiers[policy.name].held_out, registry.current(policy.name) or ""


def stream(calls: Sequence[Call], seed: int, held_out: Sequence[ScoreRow]) -> Seen:
    """All calls once, in an order of the seed's, under one contract. held_out: the scores of the training."""
    chance = np.random.default_rng(seed)
    contract, seen, known = Contract.new(TERMS), Seen(), list[ScoreRow]()
    contract = contract.choose(known, held_out)
    for number, index in enumerate(chance.permutation(len(calls))):
        call = calls[index]
        coin = contract.flip(Coin(key="", number=number, score=call.score), chance.random())
        seen.went.append((call, coin.zone, coin.checked))
        if not coin.checked:
            continue
        known.append((call.score, 1 / coin.chance, call.unsafe))
        after = contract.learn(coin, wrong=call.unsafe).see(coin, judged(coin.acts, call.unsafe))
        if after.looks >= EVERY or after.phases != contract.phases:
            after = after.choose(known[-KNOWN:], held_out)
        for side, was in zip(after.sides, contract.sides, strict=True):
            if side.phase is not was.phase or side.account.alarms > was.account.alarms:
                seen.moves.append(f"{number:,}: {side.name} {side.phase.value} ({side.reason})")
        contract = after
    return seen


def table(calls: Sequence[Call], held_out: Sequence[ScoreRow]) -> Iterator[str]:
    """A line for each seed, then one for each source."""
    runs = [stream(calls, seed, held_out) for seed in range(SEEDS)]
    yield "| seed | decided without the judge | of the last 2,000 | missed, of unsafe | flagged wrongly, of safe |"
    yield "|---|---|---|---|---|"
    for seed, one in enumerate(runs):
        missed, wrongly = one.wrong(Zone.PASS, unsafe=True), one.wrong(Zone.FLAG, unsafe=False)
        yield f"| {seed} | {one.alone():.1%} | {one.alone(last=_LATEST):.1%} | {missed:.2%} | {wrongly:.2%} |"
    yield ""
    yield "| source | messages | unsafe | decided without the judge, mean of the seeds |"
    yield "|---|---|---|---|"
    count = Counter(call.source for call in calls)
    for source in count:
        unsafe = sum(call.unsafe for call in calls if call.source == source) / count[source]
        alone = float(np.mean([one.alone(source) for one in runs]))
        yield f"| {source} | {count[source]:,} | {unsafe:.0%} | {alone:.1%} |"
    yield ""
    for seed, one in enumerate(runs):
        yield f"- seed {seed}: {'; '.join(one.moves) or 'no side went live'}"


if __name__ == "__main__":
    main()
