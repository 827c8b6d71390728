"""The lines of the table: what each trains from, and what it comes to on messages that it never saw."""

import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.progress import Lines
from benchmarks.snips.dataset import Utterance, described, read, with_rows, written
from classifiers import Reading, Runtime, Verdict
from classifiers.errors import ArtifactError
from classifiers.evaluation.evaluate import top
from classifiers.model import artifact
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.slots.tags import SlotMark
from classifiers.training.run import train

_WARM = 50
_TIMED = 500

Rows = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a line trains from. rows: (marked sentence, intent); role: whose they are, as a policy has it."""

    name: str
    what: str
    rows: Rows
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """rows: sentences besides the description. Shares are 0..1.

    f1: of whole slots (name, first and last word), over all of them; whole: of messages with their intent and all
    slots right; milliseconds: (p50, p95) of processor time for a decision, each message new.
    """

    what: str
    rows: int
    intents: float
    precision: float
    recall: float
    f1: float
    whole: float
    milliseconds: tuple[float, float]


def sources(data: Path) -> Iterator[Source]:
    """Description alone, a teacher's sentences beside it, real ones beside it."""
    sentences = written()
    yield Source(name="snips-described", what="description alone", rows=[], role="teacher")
    yield Source(name="snips-forty", what="+ 40 teacher sentences in all", rows=_spread(sentences, 40), role="teacher")
    yield Source(name="snips-written", what="+ 40 teacher sentences an intent", rows=sentences, role="teacher")
    real = [(one.marked, one.intent) for one in read(data / "train")]
    yield Source(name="snips-all", what="+ all real training sentences", rows=real, role="data")


def measure(source: Source, messages: Sequence[Utterance], models: Path) -> Line:
    """Train, unless `models` holds what this policy made, and read the messages with the runtime that serves."""
    policy = with_rows(described(), source.name, source.rows, source.role, models)
    _train(policy, models)
    runtime = Runtime.load(models, [policy.name], threads=1, cache_windows=0)
    verdicts, taken = [], []
    for message in [*messages[:_WARM], *messages]:
        began = time.process_time()
        verdicts += runtime.classify([Reading(classifier=policy.name, texts=(message.text,))])
        taken.append((time.process_time() - began) * 1000)
    steps = statistics.quantiles(taken[_WARM : _WARM + _TIMED], n=20)
    return Line(
        what=source.what,
        rows=len(source.rows),
        **scores(messages, verdicts[_WARM:]),
        milliseconds=(steps[9], steps[18]),
    )


def scores(messages: Sequence[Utterance], verdicts: Sequence[Verdict]) -> dict[str, float]:
    """What verdicts are worth. An intent is the likeliest, whether or not it was certain enough to be named."""
    intents = [top(verdict)[0] == message.intent for message, verdict in zip(messages, verdicts, strict=True)]
    pairs = [
        (
            message.spans,
            message.covered([SlotMark(name=one.slot, start=one.start, end=one.end) for one in verdict.slots]),
        )
        for message, verdict in zip(messages, verdicts, strict=True)
    ]
    both = sum(len(wanted & given) for wanted, given in pairs)
    true, guessed = sum(len(wanted) for wanted, _ in pairs), sum(len(given) for _, given in pairs)
    whole = [right and wanted == given for right, (wanted, given) in zip(intents, pairs, strict=True)]
    return {
        "intents": statistics.mean(intents),
        "precision": both / guessed if guessed else 0.0,
        "recall": both / true if true else 0.0,
        "f1": 2 * both / (guessed + true) if guessed + true else 0.0,
        "whole": statistics.mean(whole),
    }


def _train(policy: Policy, models: Path) -> None:
    with suppress(ArtifactError):
        if artifact.load(Registry(models).resolve(policy.name)).model.policy == policy:
            return
    outcome = train(policy, base_dir=models, models_dir=models, progress=Lines(policy.name))
    if not outcome.accepted:
        raise SystemExit("\n".join(outcome.missed))


def _spread(sentences: Rows, count: int) -> list[tuple[str, str]]:
    """`count` of them, of each intent as many as of any other, or one more."""
    by_intent: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for sentence in sentences:
        by_intent[sentence[1]].append(sentence)
    chance = random.Random(0)
    drawn = [chance.sample(own, len(own)) for own in by_intent.values()]
    return [own[turn] for turn in range(-(-count // len(drawn))) for own in drawn][:count]
