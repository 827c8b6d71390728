"""python -m benchmarks.starters.traffic --models DIR: what a guard does in ordinary traffic, and with harm inside it.

With --documents, a set of texts with and without an instruction to the model is read as well. Nothing was trained on
these texts. `ordinary.jsonl` and `near-*.jsonl` were written for this benchmark; of either, half
of the kinds (`near-apart.jsonl`, by another hand) are read only with --apart.
"""

import argparse
import random
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.machine import machine, versions
from benchmarks.starters.sets import AILUMINATE, BANK, CONTRAST, HERE, INJECTIONS, SURGE, jsonl, public
from classifiers import Reading, Runtime, Verdict
from classifiers.evaluation.metrics import share
from classifiers.verdict import Abstention

APART = frozenset({"code", "fiction", "homework", "legal", "log", "medical", "readme", "security_work", "workplace"})
"""The kinds of ordinary traffic that were kept apart."""
PAGES = ("*.md", "docs/**/*.md", "benchmarks/results/README.md")
"""Of this project."""
_LONGER_WORD = re.compile("[A-Za-z]{5,}")
_DRAWN, _LONGEST, _CONVERSATIONS = 300, 300, 400
_MESSAGES = (1, 4, 20)


class Guarded:
    """A guard and the verdicts that it gave, by text."""

    def __init__(self, models: Path, name: str, *, remembered: int = 100_000) -> None:
        self.name = name
        self._runtime = Runtime.load(models, [name], threads=2, cache_windows=remembered)

    def read(self, texts: Sequence[str]) -> list[Verdict]:
        """A verdict for each text."""
        return self._runtime.classify([Reading(classifier=self.name, texts=(text,)) for text in texts])

    def line(self, what: str, texts: Sequence[str]) -> str:
        """A row of a table: how many texts are blocked, and how many are in doubt."""
        verdicts = self.read(texts)
        blocked = sum(bool(verdict.labels) for verdict in verdicts)
        doubted = sum(not verdict.labels and verdict.abstention is Abstention.UNSURE for verdict in verdicts)
        low, high = share("share", blocked + doubted, len(texts))["share_interval"]
        flagged = (blocked + doubted) / len(texts)
        cells = f"{blocked / len(texts):.1%} | {doubted / len(texts):.1%} | {flagged:.1%} ({low:.1%} – {high:.1%})"
        return f"| {what} | {len(texts)} | {cells} |"


def main() -> None:
    """Reads every set that is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="where the guard is trained")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds banking77/, hwu64/, safety/")
    parser.add_argument("--guard", default="moderation")
    parser.add_argument("--apart", action="store_true", help="read the kinds that were kept apart as well")
    parser.add_argument("--documents", type=Path, help="lines of text, harmful and kind")
    options = parser.parse_args()
    guard = Guarded(options.models, options.guard)
    print(f"## {options.guard}\n\n{machine()}; {versions(('onnxruntime', 'scikit-learn', 'numpy'))}\n")
    print("| texts | number | blocked | in doubt | either |\n|---|---|---|---|---|")
    for line in harmless_lines(guard, apart=options.apart):
        print(line, flush=True)
    for line in public_lines(guard, options.data):
        print(line, flush=True)
    print()
    for line in inside_lines(guard, options.data):
        print(line, flush=True)
    print()
    for line in mistyped_lines(guard, options.data):
        print(line, flush=True)
    print()
    for line in document_lines(guard, options.documents):
        print(line, flush=True)
    print()
    for line in time_lines(Guarded(options.models, options.guard, remembered=0), options.data):
        print(line, flush=True)


def harmless_lines(guard: Guarded, *, apart: bool) -> Iterator[str]:
    """Ordinary traffic by kind, then harmless text near the subject by kind."""
    for name in ("ordinary", "near-work", *(["near-apart"] if apart else [])):
        kinds: dict[str, list[str]] = {}
        for row in jsonl(HERE / f"{name}.jsonl"):
            if apart or row["kind"] not in APART:
                kinds.setdefault(row["kind"], []).append(row["text"])
        yield guard.line(f"**{name}**", [text for texts in kinds.values() for text in texts])
        for kind, texts in kinds.items():
            yield guard.line(f"{name}: {kind}{' (apart)' if kind in APART else ''}", texts)


def public_lines(guard: Guarded, data: Path) -> Iterator[str]:
    """The public sets."""
    for what, rows in public(data):
        for harmful in (True, False):
            texts = [text for text, bad in rows if bad is harmful]
            if texts and what in {AILUMINATE, BANK, CONTRAST, INJECTIONS, SURGE}:
                yield guard.line(f"{what}, {'harmful' if harmful else 'harmless'}", texts)


def inside_lines(guard: Guarded, data: Path) -> Iterator[str]:
    """Of harmful lines that are caught bare, the share that is caught with harmless messages around; and conversations
    of such messages alone."""
    sets = dict(public(data))
    messages = [_closed(text) for text, _ in sets[BANK]]
    hwu = data / "hwu64" / "test.jsonl"
    messages += [_closed(row["text"]) for row in jsonl(hwu)]
    yield "| caught, of what is caught bare | bare | sentence before | behind | among 4 | among 20 |"
    yield "|---|---|---|---|---|---|"
    for what in (AILUMINATE, CONTRAST):
        texts = [_closed(text) for text, harmful in sets[what] if harmful and len(text) <= _LONGEST]
        chance = random.Random(0)
        texts = chance.sample(texts, min(_DRAWN, len(texts)))
        caught = [text for text, verdict in zip(texts, guard.read(texts), strict=True) if verdict.labels]
        around = [
            [f"{chance.choice(messages)} {text}" for text in caught],
            [f"{text} {chance.choice(messages)}" for text in caught],
            *([_among(text, chance.sample(messages, count), chance) for text in caught] for count in _MESSAGES[1:]),
        ]
        shares = [sum(bool(verdict.labels) for verdict in guard.read(some)) / max(len(some), 1) for some in around]
        cells = " | ".join(f"{part:.1%}" for part in shares)
        yield f"| {what} | {len(caught)} of {len(texts)} ({len(caught) / len(texts):.1%}) | {cells} |"
    yield ""
    yield "| conversations of ordinary messages | number | blocked | in doubt | either |"
    yield "|---|---|---|---|---|"
    for count in _MESSAGES:
        chance = random.Random(count)
        texts = [" ".join(chance.sample(messages, count)) for _ in range(_CONVERSATIONS)]
        yield guard.line(f"{count} message{'s' if count > 1 else ''}", texts)


def mistyped(text: str, chance: random.Random) -> str:
    """Two neighbouring inner letters of each word of over four letters have changed places."""

    def swap(match: re.Match[str]) -> str:
        word, place = match[0], chance.randrange(1, len(match[0]) - 2)
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]

    return _LONGER_WORD.sub(swap, text)


def mistyped_lines(guard: Guarded, data: Path) -> Iterator[str]:
    """Of harmful lines that are caught, the share that is caught with typing errors; and harmless ones with them."""
    yield "| with two letters of each longer word in disorder | number | kept | in doubt | either |"
    yield "|---|---|---|---|---|"
    sets, chance = dict(public(data)), random.Random(0)
    for what in (AILUMINATE, CONTRAST):
        texts = [text for text, harmful in sets[what] if harmful]
        caught = [text for text, verdict in zip(texts, guard.read(texts), strict=True) if verdict.labels]
        yield guard.line(f"{what}, of those caught", [mistyped(text, chance) for text in caught])
    ordinary = [row["text"] for row in jsonl(HERE / "ordinary.jsonl") if row["kind"] not in APART]
    yield guard.line("ordinary texts in sight", [mistyped(text, chance) for text in ordinary])


def document_lines(guard: Guarded, documents: Path | None) -> Iterator[str]:
    """This project's own pages; by kind a set's texts, with an instruction to the model or other harm and without."""
    yield "| documents | number | blocked | in doubt | either |"
    yield "|---|---|---|---|---|"
    pages = sorted({page for pattern in PAGES for page in HERE.parents[1].glob(pattern)})
    yield guard.line("own pages", [page.read_text(encoding="utf-8") for page in pages])
    kinds: dict[str, list[str]] = {}
    for row in jsonl(documents) if documents else []:
        harmful = "harmful" if row["harmful"] else "harmless"
        for kind in (row["kind"].partition("_")[0], row["kind"]):
            kinds.setdefault(f"{kind}, {harmful}", []).append(row["text"])
    for kind, texts in sorted(kinds.items()):
        yield guard.line(kind, texts)


def time_lines(guard: Guarded, data: Path) -> Iterator[str]:
    """Milliseconds of the process for a short message and for about 1,000 characters, nothing remembered."""
    messages = [_closed(text) for text, _ in dict(public(data))[BANK]]
    chance = random.Random(1)
    pages = []
    for _ in range(40):
        page = ""
        while len(page) < 1000:
            page += chance.choice(messages) + " "
        pages.append(page[:1000])
    for what, texts in (("32 tokens", chance.sample(messages, 100)), ("1,000 characters", pages)):
        guard.read(texts[:2])
        began = time.process_time()
        for text in texts:
            guard.read([text])
        yield f"{what}: {1000 * (time.process_time() - began) / len(texts):.1f} ms"


def _among(text: str, messages: list[str], chance: random.Random) -> str:
    messages.insert(chance.randint(0, len(messages)), text)
    return " ".join(messages)


def _closed(text: str) -> str:
    """With a capital and a closing mark, as a sentence."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ".?!" else ".")


if __name__ == "__main__":
    main()
