"""python -m benchmarks.language [--data ../shared/data]: the share taken for foreign by an English policy."""

import argparse
import csv
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.machine import machine, versions
from classifiers.text.language import LanguageDetector, detectable, strange
from classifiers.text.normalise import normalise

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "language.md"
ENGLISH = detectable(["en"])
SHARE = 0.3
"""As a classifier of one label abstains (classifiers/runtime/run.py)."""


def main() -> None:
    """Prints three tables and writes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds banking77/, hwu64/ and others")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    detector = LanguageDetector()
    began = time.process_time()
    detector.open()
    opened = time.process_time() - began
    made = f"Made by `python -m benchmarks.language` on {machine()}; {versions(('py3langid',))}."
    took = f"Opening the detector took {opened:.1f} s of processor time."
    foreign_texts = [*asks(detector, "asks"), "", *asks(detector, "short")]
    text = "\n".join(["# Languages", "", made, took, "", *english(detector, options.data), "", *foreign_texts, ""])
    print(text)
    options.output.write_text(text, encoding="utf-8")


def foreign(detector: LanguageDetector, text: str) -> bool:
    """Whether the stretches that are surely not English make up enough of the text."""
    stretches = list(detector.stretches(normalise(text)))
    odd = sum(stretch.chars for stretch in stretches if strange(stretch, ENGLISH))
    return odd > 0 and odd >= SHARE * sum(stretch.chars for stretch in stretches)


def english(detector: LanguageDetector, data: Path) -> Iterator[str]:
    """A row for each set of English texts."""
    yield "| English texts | number | taken for foreign | share | processor µs a text |"
    yield "|---|---|---|---|---|"
    for name, texts in _sets(data):
        began = time.process_time()
        wrong = sum(foreign(detector, text) for text in texts)
        each = 1e6 * (time.process_time() - began) / len(texts)
        yield f"| {name} | {len(texts):,} | {wrong} | {wrong / len(texts):.2%} | {each:.0f} |"


def asks(detector: LanguageDetector, name: str) -> Iterator[str]:
    """A row for each language of `name`.txt, and those that got past."""
    told: dict[str, list[str]] = {}
    code = ""
    for line in (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            code = line.strip("[]")
        elif line and not line.startswith("#"):
            told.setdefault(code, []).append(line)
    yield f"| {name}.txt, in | number | taken for foreign | not |"
    yield "|---|---|---|---|"
    found = 0
    for code, texts in told.items():
        missed = [text for text in texts if not foreign(detector, text)]
        found += len(texts) - len(missed)
        yield f"| {code} | {len(texts)} | {len(texts) - len(missed)} | {'; '.join(missed)} |"
    total = sum(map(len, told.values()))
    yield f"| all | {total} | {found} ({found / total:.1%}) | |"


def _sets(data: Path) -> Iterator[tuple[str, Sequence[str]]]:
    for split in ("train", "test"):
        with (data / "banking77" / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            yield f"Banking77, {split}", [row["text"] for row in csv.DictReader(file)]
    for split in ("train", "valid", "test"):
        yield f"SNIPS, {split}", (data / "snips" / split / "seq.in").read_text(encoding="utf-8").splitlines()
    for split in ("train", "valid", "test"):
        with (data / "hwu64" / f"{split}.jsonl").open(encoding="utf-8") as file:
            yield f"HWU64, {split}", [json.loads(line)["text"] for line in file]
    refusals = json.loads((data / "safety" / "cyberseceval_false_refusal.json").read_text(encoding="utf-8"))
    yield "CyberSecEval, false refusals", [row["mutated_prompt"] for row in refusals]


if __name__ == "__main__":
    main()
