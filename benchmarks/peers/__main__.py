"""python -m benchmarks.peers [--data ../shared/data/banking77]: trains each on the same rows, writes the table."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.banking77.dataset import Dataset, few, load
from benchmarks.machine import machine, versions
from benchmarks.peers.contestants import CONTESTANTS, SETFIT_PAIRS

RESULTS = Path(__file__).parents[1] / "results" / "peers.md"
PACKAGES = ("setfit==1.2.0", "torch>=2.5", "accelerate")
_PACKAGES = ("onnxruntime", "scikit-learn", "numpy", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one contestant did on one line; failed: the last line that it said, where it did not end well."""

    line: str
    name: str
    found: dict[str, float]
    failed: str = ""


def main() -> None:
    """All takes about half an hour on two idle cores, most of it SetFit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/banking77"))
    parser.add_argument("--venv", type=Path, default=Path(".venv-peers"), help="SetFit's environment, made if need be")
    parser.add_argument("--only", nargs="*", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--lines", nargs="*", choices=SETFIT_PAIRS, default=list(SETFIT_PAIRS))
    parser.add_argument("--resume", type=Path, help="a file that keeps what is done; what is in it is not run again")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    data = load(options.data)
    done = _kept(options.resume)
    for line in options.lines:
        for name in options.only:
            if (line, name) not in done:
                result = _run(line, name, data, options.venv)
                done[line, name] = result
                print(f"{line}: {name}: {result.failed or result.found}", flush=True)
                if options.resume and not result.failed:
                    with options.resume.open("a", encoding="utf-8") as file:
                        file.write(json.dumps([line, name, result.found]) + "\n")
    text = page(data, [done[key] for key in _order(done)])
    print(text)
    options.output.write_text(text, encoding="utf-8")


def page(data: Dataset, results: Sequence[Result]) -> str:
    """The table, as Markdown."""
    setfit = "; ".join(
        f"{line}: `num_iterations` {count}" + (f", at most {steps} steps" if steps > 0 else "")
        for line, (count, steps) in SETFIT_PAIRS.items()
    )
    return "\n".join(
        [
            "# Peers",
            "",
            f"Made by `python -m benchmarks.peers` on {machine()}; {versions(_PACKAGES)}; {', '.join(PACKAGES)}.",
            "Other work shared the machine: processor seconds and milliseconds do not count it, wall seconds do.",
            "",
            f"Banking77: the same training rows for all and {len(data.test)} test messages, {len(data.policy.labels)}",
            "labels. SetFit, the full fine-tune and Offramp begin with the same all-MiniLM-L6-v2; ours is served in",
            "int8, theirs in 32 bits as they come. Offramp gets the rows and the labels' names, no description.",
            f"SetFit: its defaults, one epoch, but fewer pairs ({setfit}),",
            "since all its pairs would take days. The full fine-tune: Artifex 0.11's settings (three epochs, batches",
            "of 16, all weights), on a smaller model than it takes. A decision: one text on one thread, tokenising",
            "included, the median.",
            "",
            "| trained on | | accuracy | training, processor s | wall s | one decision, ms | memory, MB |",
            "|---|---|---|---|---|---|---|",
            *(_shown(result) for result in results),
            "",
        ]
    )


def _shown(result: Result) -> str:
    if result.failed:
        return f"| {result.line} | {CONTESTANTS[result.name][0]} | failed: {result.failed} | | | | |"
    found = result.found
    cells = [
        f"{100 * found['accuracy']:.1f} %",
        f"{found['cpu_s']:.0f}" if found["cpu_s"] >= 10 else f"{found['cpu_s']:.1f}",
        f"{found['wall_s']:.0f}" if found["wall_s"] >= 10 else f"{found['wall_s']:.1f}",
        f"{found['p50_ms']:.2f}",
        f"{found['rss_mb']:.0f}",
    ]
    return f"| {result.line} | {CONTESTANTS[result.name][0]} | {' | '.join(cells)} |"


def _order(done: dict[tuple[str, str], Any]) -> Iterator[tuple[str, str]]:
    return ((line, name) for line in SETFIT_PAIRS for name in CONTESTANTS if (line, name) in done)


def _kept(path: Path | None) -> dict[tuple[str, str], Result]:
    text = path.read_text(encoding="utf-8") if path and path.is_file() else ""
    rows = [json.loads(line) for line in text.splitlines()]
    return {(line, name): Result(line=line, name=name, found=found) for line, name, found in rows}


def _run(line: str, name: str, data: Dataset, venv: Path) -> Result:
    from classifiers.training.fit.weights import find_weights

    rows = few(data.train, 10, 0) if line == "10 rows a label" else data.train
    python = _environment(venv) if CONTESTANTS[name][2] else Path(sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        weights = find_weights(None, Path(), Path(folder)).folder
        told = {"line": line, "train": rows, "test": data.test, "weights": str(weights), "folder": folder}
        task = Path(folder) / "task.json"
        task.write_text(json.dumps(told), encoding="utf-8")
        ran = subprocess.run(
            [python, "-m", "benchmarks.peers.one", name, task], check=False, text=True, capture_output=True
        )
    said = (ran.stdout if not ran.returncode else ran.stderr or "no word").strip().splitlines()[-1]
    if ran.returncode:
        return Result(line=line, name=name, found={}, failed=said)
    return Result(line=line, name=name, found=json.loads(said))


def _environment(venv: Path) -> Path:
    """The interpreter of the peers' environment, made now where it is not there."""
    python = (venv / "bin" / "python").absolute()
    if not (venv / "ready").is_file():
        print(f"making {venv} with {', '.join(PACKAGES)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (venv / "ready").touch()
    return python


if __name__ == "__main__":
    main()
