"""python -m benchmarks.starters.parent --models DIR --parent TREE: an earlier version beside this one, in one run.

Both read the same texts by the same artifacts (DIR holds support-safety and shop-intents, trained by either), in turns.
Compared are the verdicts (labels and abstention) and the processor's time, with nothing remembered.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
GUARD, INTENTS = "support-safety", "shop-intents"
_TOGETHER, _PAGES, _SHORT, _DRAWN, _LONGEST = 20, 100, 400, 400, 300


class Version:
    """A version's classifiers in a process of its own."""

    def __init__(self, tree: Path, models: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", str(models.resolve())],
            cwd=tree,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self, texts: Sequence[str], names: Sequence[str]) -> tuple[list[list[object]], float]:
        """For each text the verdicts of these classifiers, and the processor's seconds for all."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([texts, names]), file=self._process.stdin, flush=True)
        verdicts, seconds = json.loads(self._process.stdout.readline())
        return verdicts, seconds


def worker(models: Path) -> None:
    """Answers the lines of standard input; what is imported is the version of the process's own tree."""
    from classifiers import Reading, Runtime

    runtime = Runtime.load(models, [GUARD, INTENTS])
    for line in sys.stdin:
        texts, names = json.loads(line)
        # all are new to it: windows of an earlier text are not asked for again
        began, verdicts = time.process_time(), []
        for text in texts:
            found = runtime.classify([Reading(classifier=name, texts=(text,)) for name in names])
            verdicts.append([[sorted(verdict.labels), verdict.abstention] for verdict in found])
        print(json.dumps([verdicts, time.process_time() - began]), flush=True)


def main() -> None:
    """Prints two tables."""
    from benchmarks.machine import machine, versions
    from benchmarks.starters.sets import public

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--parent", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds banking77/, hwu64/, safety/")
    parser.add_argument("--fast", action="store_true", help="the times alone")
    options = parser.parse_args()
    both = [Version(tree, options.models) for tree in (options.parent.resolve(), TREE)]
    print(f"{machine()}; {versions(('onnxruntime', 'numpy'))}\n")
    print("| texts | classifiers | parent, CPU ms | now | median of the ratios |\n| --- | --- | --- | --- | --- |")
    for what, texts in timed(options.data):
        for names in ([GUARD], [GUARD, INTENTS]):
            print(time_line(both, what, texts, names), flush=True)
    if not options.fast:
        print("\n| texts | number | guard's verdict as before | intents' |\n| --- | --- | --- | --- |")
        for what, texts in {**dict(own()), **of(public(options.data)), **dict(inside(options.data))}.items():
            print(same_line(both, what, texts), flush=True)


def time_line(both: Sequence[Version], what: str, texts: Sequence[str], names: Sequence[str]) -> str:
    """A row of the first table. texts: half for each of two classifiers' sets, so that none is read twice."""
    half = len(texts) // 2
    mine, spent = texts[:half] if len(names) == 1 else texts[half:], []
    for start in range(0, half, _TOGETHER):
        some = mine[start : start + _TOGETHER]
        spent.append([version.read(some, names)[1] / len(some) * 1000 for version in both])
    spent = spent[1:]  # the first warms up
    before, now = (sorted(each)[len(each) // 2] for each in zip(*spent, strict=True))
    ratios = sorted(after / first for first, after in spent)
    return f"| {what} | {len(names)} | {before:.1f} | {now:.1f} | {ratios[len(ratios) // 2]:.2f} |"


def same_line(both: Sequence[Version], what: str, texts: Sequence[str]) -> str:
    """A row of the second table."""
    pairs = list(zip(*(version.read(texts, [GUARD, INTENTS])[0] for version in both), strict=True))
    same = [sum(before[place] == now[place] for before, now in pairs) / len(pairs) for place in (0, 1)]
    return f"| {what} | {len(texts)} | {same[0]:.2%} | {same[1]:.2%} |"


def own() -> Iterator[tuple[str, list[str]]]:
    """Ordinary traffic, and harmless texts near harm."""
    from benchmarks.starters.sets import HERE, jsonl

    for name in ("ordinary", "near-work"):
        yield name, [row["text"] for row in jsonl(HERE / f"{name}.jsonl")]


def of(sets: Iterator[tuple[str, Sequence[tuple[str, bool]]]]) -> Mapping[str, list[str]]:
    """The texts of public sets."""
    return {what: [text for text, _ in rows] for what, rows in sets}


def messages(data: Path) -> list[str]:
    """Harmless short messages."""
    from benchmarks.starters.sets import BANK, jsonl, public
    from benchmarks.starters.traffic import _closed

    found = of(public(data))[BANK] + [row["text"] for row in jsonl(data / "hwu64" / "test.jsonl")]
    return [_closed(text) for text in found]


def inside(data: Path) -> Iterator[tuple[str, list[str]]]:
    """HWU64's test, and harmful lines among some of these messages."""
    from benchmarks.starters.sets import AILUMINATE, CONTRAST, INJECTIONS, SURGE, jsonl, public
    from benchmarks.starters.traffic import _among, _closed

    yield "HWU64 test", [row["text"] for row in jsonl(data / "hwu64" / "test.jsonl")]
    calm, sets = messages(data), dict(public(data))
    for what in (AILUMINATE, CONTRAST, INJECTIONS, SURGE):
        for count in (1, 4, 20):
            chance = random.Random(count)
            lines = [_closed(text) for text, bad in sets[what] if bad and len(text) <= _LONGEST]
            drawn = chance.sample(lines, min(_DRAWN, len(lines)))
            yield f"{what} among {count}", [_among(text, chance.sample(calm, count), chance) for text in drawn]


def timed(data: Path) -> Iterator[tuple[str, list[str]]]:
    """Short messages, and about 1,000 characters of them."""
    calm, chance = messages(data), random.Random(1)
    chance.shuffle(calm)
    yield "short", calm[:_SHORT]
    rest = iter(calm[_SHORT:])
    pages = []
    while len(pages) < _PAGES:
        page = ""
        while len(page) < 1000:
            page += next(rest) + " "
        pages.append(page[:1000])
    yield "1,000 characters in short sentences", pages


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(Path(sys.argv[2]))
    else:
        main()
