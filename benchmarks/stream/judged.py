"""python -m benchmarks.stream.judged [--data ../shared/data] [--models FOLDER]: a safety contract on public messages.

Surge's toxicity set, HateCheck, CyberSecEval's false refusals and the contrast rows, mixed, as a stream of calls that a
starter policy's classifier scores; the judge says what the sets say. What is measured is the gateway's own contract on
the classifier's own scores, without HTTP in between. With --before, an older checkout's contract decides by the same
scores; with --guard, so do guards that are in the folder already, such as those of `benchmarks.starters.larger`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.machine import command, machine, versions
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
from gateway.rules.rule import SafetyTerms

POLICY = Path(__file__).parents[2] / "config" / "policies" / "moderation.yaml"
RESULTS = Path(__file__).parents[1] / "results" / "safety_stream.md"
SOURCES = (SURGE, HATECHECK, REFUSALS, CONTRAST)
TERMS = SafetyTerms(missed=0.05, wrongly=0.02, confidence=0.95)
SEEDS = 5
_LATEST = 2000
_BEFORE = """
import json, sys
from benchmarks.stream.judged import Call, stream
calls = [Call(source=source, score=score, unsafe=unsafe) for source, score, unsafe in json.load(sys.stdin)]
print(json.dumps([stream(calls, seed).alone() for seed in range(int(sys.argv[1]))]))
"""


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
    parser.add_argument("--guard", nargs="*", default=[], help="other guards of that folder")
    parser.add_argument("--before", type=Path, help="a checkout from before accounts")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        models = options.models or Path(scratch)
        _trained(models)
        parts = [_section(name, models, options) for name in (POLICY.stem, *options.guard)]
    called, packages = command("benchmarks.stream.judged"), versions(("onnxruntime", "numpy", "scipy"))
    made = f"Made by `{called}` on {machine()}; {packages}."
    about = (
        f"Public messages in {SEEDS} orders; the judge says what the sets say. At most 5 % missed of what it calls "
        "unsafe, at most 2 % flagged of what it calls safe, at 95 %. The policy was trained on nothing of these sets."
    )
    if options.before:
        about += f" By certificates: the contracts of {_commit(options.before)}, by the same scores in the same orders."
    text = "\n".join(
        ["# A safety stream under a contract", "", made, "", about, *(line for part in parts for line in part)]
    )
    print(text)
    options.output.write_text(text + "\n", encoding="utf-8")


def _section(name: str, models: Path, options: argparse.Namespace) -> list[str]:
    calls, held_out, version = scored(name, models, options.data)
    report = artifact.report_in(Registry(models).resolve(name))
    before = _before(options.before, calls) if options.before else []
    about = f"Recipe {report['settings']['recipe']}, version {version}, {report['text']['rows']:,} training rows"
    about += f" ({artifact.load(Registry(models).resolve(name)).model.policy.about}); {len(calls):,} messages."
    return ["", f"## {name}", "", about, "", *table(calls, held_out, before)]


def _before(tree: Path, calls: Sequence[Call]) -> list[float]:
    """What an older checkout's contract decides without the judge, for each seed."""
    given = json.dumps([(call.source, call.score, call.unsafe) for call in calls])
    command = [sys.executable, "-P", "-c", _BEFORE, str(SEEDS)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(command, input=given, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return list(json.loads(done.stdout))


def _commit(tree: Path) -> str:
    command = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def _trained(models: Path) -> None:
    policy = load_policy(POLICY, {})
    if Registry(models).current(policy.name) is None:
        outcome = train(policy, base_dir=POLICY.parent, models_dir=models, progress=Lines(policy.name))
        if not outcome.accepted:
            raise SystemExit("\n".join(outcome.missed))


def scored(name: str, models: Path, data: Path) -> tuple[list[Call], Sequence[ScoreRow], str]:
    """All messages with a guard's scores; those of its training; and its version."""
    runtime = Runtime.load(models, [name], self_test=False)
    sets = [(what, rows) for what, rows in public(data) if what in SOURCES]
    readings = [Reading(classifier=name, texts=(text,)) for _, rows in sets for text, _ in rows]
    verdicts = iter(runtime.classify(readings))
    calls = [
        Call(source=what, score=max(next(verdicts).scores.values()), unsafe=unsafe)
        for what, rows in sets
        for _, unsafe in rows
    ]
    return calls, runtime.classifiers[name].model.held_out, Registry(models).current(name) or ""


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


def table(calls: Sequence[Call], held_out: Sequence[ScoreRow], before: Sequence[float]) -> Iterator[str]:
    """A line for each seed, then one for each source. before: what certificates decided, for each seed, if known."""
    runs = [stream(calls, seed, held_out) for seed in range(SEEDS)]
    columns = ("decided without the judge", "by certificates", "of the last 2,000", "missed, of unsafe")
    yield f"| seed | {' | '.join(columns)} | flagged wrongly, of safe |"
    yield "|---|---|---|---|---|---|"
    for seed, one in enumerate(runs):
        missed, wrongly = one.wrong(Zone.PASS, unsafe=True), one.wrong(Zone.FLAG, unsafe=False)
        old = f"{before[seed]:.1%}" if before else ""
        yield f"| {seed} | {one.alone():.1%} | {old} | {one.alone(last=_LATEST):.1%} | {missed:.2%} | {wrongly:.2%} |"
    old = f"{np.mean(before):.1%}" if before else ""
    yield f"| mean | **{np.mean([one.alone() for one in runs]):.1%}** | {old} | | | |"
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
