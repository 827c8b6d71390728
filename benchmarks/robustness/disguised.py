"""How much of a guard's recall is kept under disguises, and what undoing them does to text that has none.

The guard is that of the template `guard`, which trains in seconds. Its rows are this project's; what it is tried on is
public and was not trained on.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from benchmarks.starters.sets import AILUMINATE, BANK, beside, public
from classifiers import Runtime
from classifiers.errors import ArtifactError
from classifiers.evaluation.suite import run
from classifiers.model import artifact
from classifiers.model.artifact import Artifact
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.report.figures import markdown
from classifiers.text.normalise import normalise
from classifiers.text.payloads import reveal
from classifiers.training.run import train

NAME = "moderation"
POLICIES = Path(__file__).parents[2] / "config" / "policies"
FAMILIES = ("character attacks", "encodings")
ROWS = 300


def lines(models: Path, data: Path) -> Iterator[str]:
    """The suite's families about disguises, then ordinary text. models: where the guard is trained, or was."""
    guard = _guard(models)
    sets = dict(public(data))
    suite = run(
        Runtime.load(models, [NAME], threads=2), NAME, [*sets[AILUMINATE], *sets[BANK]], most=ROWS, families=FAMILIES
    )
    yield f"The guard: {NAME} {guard.version}, {artifact.report_in(guard.folder)['text']['rows']} training rows."
    yield ""
    yield f"Harmful: {AILUMINATE}; harmless: {BANK}; {ROWS} of either by seed 0; kept is caught / caught clean,"
    yield "still caught is of what is caught clean the share that still is."
    yield ""
    yield from markdown(suite)
    yield ""
    yield "| text as it is | texts | changed by normalising | read as a code | µs a text |"
    yield "|---|---|---|---|---|"
    plain = {what: [text for text, _ in rows] for what, rows in sets.items()}
    for what, texts in [*beside(data), *plain.items()]:
        yield f"| {what} | {len(texts)} | {_changed(texts)} |"


def _changed(texts: Sequence[str]) -> str:
    began = time.process_time()
    after = [(normalise(text), reveal(text)) for text in texts]
    each = (time.process_time() - began) / len(texts)
    same = [" ".join(text.split()) for text in texts]
    changed = sum(normal != text for (normal, _), text in zip(after, same, strict=True))
    decoded = sum(told != (text,) for (_, told), text in zip(after, texts, strict=True))
    return f"{changed} | {decoded} | {each * 1e6:.0f}"


def _guard(models: Path) -> Artifact:
    with suppress(ArtifactError):
        return artifact.load(Registry(models).resolve(NAME))
    path = POLICIES / f"{NAME}.yaml"
    policy = {**yaml.safe_load(path.read_text(encoding="utf-8")), "tests": []}
    train(Policy.model_validate(policy), base_dir=path.parent, models_dir=models)
    return artifact.load(Registry(models).resolve(NAME))
