"""python -m benchmarks.stream DATA: a stream of calls under a contract, from a policy alone, through a real gateway.

Banking77's messages arrive as chat calls that ask a paid model for the intent; the paid model is a local server that
answers the gold label. The gateway begins with a classifier trained from policy.json and sentences.jsonl, answers
what its contract certifies, and retrains. The stream waits while a training runs: on real traffic calls come slower.
Each order is replayed without HTTP by coins of the same generator. With --replay: only that, many streams of Banking77
and HWU64.
"""

import argparse
import json
import os
import pickle
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.banking77.dataset import load
from benchmarks.machine import command, machine, versions
from benchmarks.stream import replay_page, tracer_peer
from benchmarks.stream.learner import Messages
from benchmarks.stream.page import page
from benchmarks.stream.replay import Replayed
from benchmarks.stream.replay_page import replays
from benchmarks.stream.run import Case, Outcome, run

RESULTS = Path(__file__).parents[1] / "results"
PACKAGES = ("onnxruntime", "scikit-learn", "numpy", "scipy", "uvicorn", "aiohttp")
SWAPPED_AT = 8000


def main() -> None:
    """Runs the cases one after the other and writes results/stream.md and a picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder banking77")
    parser.add_argument("--orders", type=int, nargs="+", default=[5, 6, 7, 8, 9], help="of the messages")
    parser.add_argument("--coins", type=int, default=4, help="streams of each order, which differ in their audits")
    parser.add_argument("--noisy", type=int, default=1, help="orders in which the paid model errs, at each target")
    parser.add_argument("--swaps", type=int, default=5, help="orders in which labels swap their meaning")
    parser.add_argument("--peers", choices=["tracer-llm"], nargs="*", default=[], help="who else routes each order")
    parser.add_argument("--peer-python", type=Path, help="the interpreter of an environment that has the peers")
    parser.add_argument("--calls", type=int, default=0, help="only so many of each stream")
    parser.add_argument("--kept", type=Path, help="where the encoder and streams are kept: a run that was cut goes on")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the folder of stream.md and stream.svg")
    parser.add_argument("--replay", action="store_true", help="without HTTP, on recorded vectors; DATA holds both sets")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "offramp-vectors", help="vectors, for replays"
    )
    parser.add_argument("--processes", type=int, default=2, help="of --replay")
    arguments = parser.parse_args()
    if arguments.replay:
        replay_page.main(
            arguments.data, arguments.cache, arguments.output, arguments.orders, processes=arguments.processes
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        _run(arguments, arguments.kept or Path(folder))


def _cases(arguments: argparse.Namespace) -> Iterator[Case]:
    orders = arguments.orders
    for order in orders:
        for coin in range(arguments.coins):
            yield Case(name=f"order {order}, coin {coin}", seed=order, coin=coin)
    for order in orders[: arguments.noisy]:
        for target in (0.02, 0.08):
            name = f"paid model wrong on 5 %, at {target:.0%}, order {order}"
            yield Case(name=name, seed=order, noise=0.05, target=target)
    for order in orders[: arguments.swaps]:
        name = f"ten labels swap meaning at {SWAPPED_AT:,}, order {order}"
        yield Case(name=name, seed=order, swapped_at=SWAPPED_AT)


def _run(arguments: argparse.Namespace, kept: Path) -> None:
    dataset, outcomes = load(arguments.data), list[tuple[Case, Outcome]]()
    for case in _cases(arguments):
        file = kept / "streams" / f"{case.name}{f', {arguments.calls} calls' if arguments.calls else ''}.pickle"
        if not file.exists():
            outcome = run(dataset, case, models=kept / "models", calls=arguments.calls or None)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(pickle.dumps(outcome))
        outcomes.append((case, pickle.loads(file.read_bytes())))
        print(f"{case.name}: {outcomes[-1][1].line()}", flush=True)
    replayed = {} if arguments.calls else _replayed(arguments, kept)
    outcomes += [_peer(arguments, kept, order) for order in arguments.orders if arguments.peers]
    text, picture = page(outcomes, replayed, f"`{command('benchmarks.stream')}` on {machine()}; {versions(PACKAGES)}")
    (arguments.output / "stream.md").write_text(text, encoding="utf-8")
    (arguments.output / "stream.svg").write_text(picture, encoding="utf-8")


def _peer(arguments: argparse.Namespace, kept: Path, order: int) -> tuple[Case, Outcome]:
    """An order as tracer-llm routes it, by the vectors that the gateway's classifier begins with."""
    file, given = (kept / "peers" / f"order {order}.{ending}" for ending in ("json", "npz"))
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        messages = Messages.load(arguments.data, arguments.cache)
        stream = list(range(len(messages.texts)))
        random.Random(order).shuffle(stream)
        labels = [messages.labels[label] for label in messages.gold[stream]]
        np.savez(given, vectors=messages.encoder.wholes(messages.texts)[stream], labels=np.array(labels))
        called = [arguments.peer_python or sys.executable, Path(tracer_peer.__file__), given]
        done = subprocess.run(called, env={**os.environ, "PYTHONPATH": ""}, stdout=subprocess.PIPE, check=True)
        file.write_bytes(done.stdout)
    seen = json.loads(file.read_bytes())
    deployed = sum(method is not None for _, method in seen["fits"])
    outcome = Outcome(
        answered=seen["answered"],
        wrong=seen["wrong"],
        events=[(call, f"fitted: {method or 'nothing is deployed'}") for call, method in seen["fits"]],
        paid=len(seen["answered"]) - sum(seen["answered"]),
        reason=f"{deployed} of {len(seen['fits'])} fits deployed",
    )
    return Case(name=f"tracer-llm {seen['version']}, order {order}", seed=order, coin=-1), outcome


def _replayed(arguments: argparse.Namespace, kept: Path) -> dict[tuple[int, int], Replayed]:
    """By order and coin; the further coins of an order see the versions of its first."""
    replayed: dict[tuple[int, int], Replayed] = {}
    for order in arguments.orders:
        file = kept / "replays" / f"order {order}, {arguments.coins} coins.pickle"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(pickle.dumps(replays(arguments.data, arguments.cache, order, arguments.coins)))
        streams: list[Replayed] = pickle.loads(file.read_bytes())
        replayed |= {(order, coin): seen for coin, seen in enumerate(streams)}
    return replayed


if __name__ == "__main__":
    main()
