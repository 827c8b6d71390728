"""Intents of real messages: prints the table and writes it.

python -m benchmarks.banking77 [--data ../shared/data/banking77 or ../shared/data/hwu64] [--quick]
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.banking77 import scope
from benchmarks.banking77.dataset import Dataset, load, snips
from benchmarks.banking77.lines import Ledger, Line, Source, measure, sources, untrained
from benchmarks.banking77.page import page, shown
from classifiers.encoder.prepare import prepare
from classifiers.encoder.session import Encoder
from classifiers.encoder.source import resolve

RESULTS = Path(__file__).parents[1] / "results"
SEEDS = (0, 1, 2)


def main() -> None:
    """The whole table takes about half an hour on two idle cores, nearly all of it fine-tuning; --quick leaves out
    fine-tuning, the peers and all seeds but one, and takes two minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/banking77"))
    parser.add_argument("--models", type=Path, help="keep what is trained here")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--resume", type=Path, help="a file that keeps finished lines; what is in it is not run again")
    parser.add_argument("--larger", help="a larger encoder, such as package:all-mpnet-base-v2, for lines with one")
    parser.add_argument("--output", type=Path, help="by default the page of the data set in benchmarks/results")
    options = parser.parse_args()
    data = load(options.data)
    seeds = SEEDS[:1] if options.quick else SEEDS
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        models = options.models or scratch / "models"
        encoder = Encoder.open(prepare(resolve(None), models), threads=2)
        lines = []
        trained = [
            source
            for source in sources(data, seeds, options.larger)
            if not options.quick or (source.recipe == "frozen" and source.larger is None)
        ]
        ledger = Ledger(options.resume)
        for line in _lines(data, models, scratch, encoder, trained, ledger=ledger, with_peers=not options.quick):
            lines.append(line)
            print(shown(line), flush=True)
        messages = options.data.parent / "snips"
        scopes = (
            list(scope.measure(data, snips(messages), models, scratch, encoder, seeds)) if messages.is_dir() else []
        )
    text = page(data, encoder.id.source, lines, scopes)
    print(text)
    output: Path = options.output or RESULTS / f"{data.folder.name}.md"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")


def _lines(
    data: Dataset,
    models: Path,
    scratch: Path,
    encoder: Encoder,
    trained: Sequence[Source],
    *,
    ledger: Ledger,
    with_peers: bool,
) -> Iterator[Line]:
    yield from untrained(data, encoder)
    for source in trained:
        held = ledger.get(source.title)
        yield held or ledger.put(
            measure(source, data, models=models, scratch=scratch, encoder=encoder, with_peers=with_peers)
        )


if __name__ == "__main__":
    main()
