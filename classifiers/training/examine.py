"""A trained classifier on labelled rows → everything that `offramp eval` shows, as plain data."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from statistics import fmean, median
from typing import Any

import numpy as np

from classifiers.encoder.session import Encoder
from classifiers.evaluation.evaluate import evaluate, known, shortened, top
from classifiers.evaluation.suite import FAMILIES, check_kind, run
from classifiers.model.model import Floats, Model
from classifiers.policy import OTHER, Policy
from classifiers.runtime.classifier import from_model
from classifiers.runtime.runtime import Runtime
from classifiers.slots.tags import SlotMark
from classifiers.text.language import LanguageDetector
from classifiers.training import thresholds
from classifiers.training.clean import digest
from classifiers.training.neighbours import nearest, nearest_of
from classifiers.training.rows import Row
from classifiers.training.slots.tagger import measures
from classifiers.verdict import Reading, Verdict

_ROWS, _WARM_UP, _WARM_UP_CHARS = 100, 3, 1_000


def latency(runtime: Runtime, name: str, rows: Sequence[Row], *, most_s: float = 10.0) -> dict[str, Any] | None:
    """How long single rows take, over at most 100 of them and without caches; None without rows. most_s: no further row
    is begun after so many seconds, since rows may be documents of a million characters. Returns rows (how many),
    median_chars (of those), mean_ms, p50_ms, p95_ms."""
    if not rows:
        return None
    fresh = Runtime(
        runtime.encoders.values(), {name: runtime.classifiers[name]}, cache_windows=0, detector=runtime.detector
    )

    def taken_ms(row: Row) -> float:
        began = time.perf_counter()
        fresh.classify([Reading(classifier=name, texts=(row.text,), system=row.system)])
        return 1000 * (time.perf_counter() - began)

    spread = rows[:: -(-len(rows) // _ROWS)]
    for row in spread[:_WARM_UP]:
        taken_ms(replace(row, text=row.text[:_WARM_UP_CHARS]))
    taken: list[float] = []
    until = time.perf_counter() + most_s
    # files are often sorted, so the first rows are not like the others
    mixed = random.Random(0).sample(spread, len(spread))  # noqa: S311 - no secret
    for row in mixed:
        taken.append(taken_ms(row))
        if time.perf_counter() >= until:
            break
    return {
        "rows": len(taken),
        "median_chars": round(median(len(row.text) for row in mixed[: len(taken)])),
        "mean_ms": round(fmean(taken), 3),
        "p50_ms": round(median(taken), 3),
        "p95_ms": round(float(np.quantile(taken, 0.95)), 3),
    }


def alone(model: Model, encoders: Iterable[Encoder], detector: LanguageDetector | None = None) -> Runtime:
    """A runtime of one model on one thread, as served; training's encoders use several threads for one text."""
    single = [copy(encoder) for encoder in encoders]
    for encoder in single:
        encoder.threads = 1
    return Runtime(single, {model.policy.name: from_model(model)}, cache_windows=0, detector=detector)


def add_neighbours(
    errors: Sequence[dict[str, Any]], places: Sequence[int], rows: Sequence[Row], vectors: Floats
) -> None:
    """Add to each held-out error its `nearest` rows among those that its fit may have seen. errors: as of `evaluate`;
    places: the row of each error; vectors: (rows, dimensions) of length 1."""
    groups = [rows[index].group for index in places]
    near = nearest(vectors[np.array(places, np.intp)], rows, vectors, groups=groups)
    for error, found in zip(errors, near, strict=True):
        error["nearest"] = found


_WORST, _SHOWN_SLOTS = 40, 20


def evaluate_slots(policy: Policy, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """`measures` over the rows whose marks are known, and the texts with most slots wrong.

    Values are not compared, since marks have none. with_label: whether the policy has several labels, so that a text
    is right as a whole only with its label. errors: text, truth and predicted (labels), wrong (how many slots are
    missed or extra), and the first twenty of either, missed and extra: slot, start, end (exclusive), raw.
    """
    truths, guesses, labelled, errors = [], [], [], list[dict[str, Any]]()
    with_label = len(policy.labels) > 1
    for row, verdict in zip(rows, verdicts, strict=True):
        if row.marks is None:
            continue
        guess = [SlotMark(name=slot.slot, start=slot.start, end=slot.end) for slot in verdict.slots]
        missed = [mark for mark in row.marks if mark not in guess]
        extra = [mark for mark in guess if mark not in row.marks]
        truths.append(row.marks)
        guesses.append(guess)
        error: dict[str, Any] = {
            "text": shortened(row.shown),
            "truth": known(policy, row.labels),
            "predicted": top(verdict)[0],
            "wrong": len(missed) + len(extra),
            "missed": _shown(row, missed),
            "extra": _shown(row, extra),
        }
        labelled.append(not with_label or error["truth"] == error["predicted"])
        errors += [error] * bool(missed or extra)
    errors.sort(key=lambda error: -error["wrong"])
    figures = measures(truths, guesses, slots=tuple(policy.slots), labelled=labelled)
    return {**figures, "with_label": with_label, "errors": errors[:_WORST]}


def _shown(row: Row, marks: Sequence[SlotMark]) -> list[dict[str, Any]]:
    return [
        {"slot": mark.name, "start": mark.start, "end": mark.end, "raw": shortened(row.text[mark.start : mark.end])}
        for mark in marks[:_SHOWN_SLOTS]
    ]


Advance = Callable[[str, int, int], None]
"""Called with the name of a step, how much of it is done, and how much there is."""

_CHUNK = 64
_SHOWN_LEAKS = 100


def examine(
    runtime: Runtime,
    name: str,
    rows: Sequence[Row],
    *,
    trained_on: Sequence[Row] | None,
    nearest_rows: bool = True,
    suite_rows: int = 0,
    advance: Advance = lambda _what, _done, _total: None,
) -> dict[str, Any]:
    """The measures of `evaluate` over the rows that are new to the classifier.

    Besides: classifier, version, kind, about, made_at, thresholds, latency; trained_on: figures of rows that it was
    trained on, which count nowhere else (None where those are not known); repeated: rows that repeat a text; errors:
    each with its `nearest` training rows; stages: how many rows each settled; slots, suite.

    nearest_rows: whether to look for these; suite_rows: of `suite.run`, or 0. Raises ClassifierError as `check_kind`.
    """
    classifier = runtime.classifiers[name]
    policy, reads = classifier.model.policy, classifier.model.reads_system
    if suite_rows:
        check_kind(policy)
    # rows under a prompt taught nothing to a model that reads no prompts
    known_keys = {_read(row, reads) for row in trained_on or () if reads or not row.system}
    keys = [_read(row, reads) for row in rows]
    seen = [row for row, key in zip(rows, keys, strict=True) if key in known_keys]
    fresh = [row for row, key in zip(rows, keys, strict=True) if key not in known_keys]
    verdicts, measures = _measured(runtime, name, fresh, advance)
    wrong = [(row.text, row.system) for row in (fresh[error.pop("index")] for error in measures["errors"])]
    if nearest_rows and trained_on and classifier.model.stages:
        near = nearest_of(runtime, name, wrong, trained_on, advance=partial(advance, "training rows"))
        measures["errors"] = [{**error, "nearest": rows} for error, rows in zip(measures["errors"], near, strict=True)]
    # a text under a prompt may be harmless by itself
    plain = [(row.text, bool(row.labels)) for row in fresh if not row.system]
    suite = partial(run, runtime, name, plain, trained_on=lambda text: digest(text) in known_keys)
    return {
        "classifier": name,
        "version": classifier.version,
        "kind": policy.kind,
        "about": policy.about,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **measures,
        "thresholds": thresholds.describe(classifier.model.last.thresholds if classifier.model.stages else {}),
        "trained_on": None if trained_on is None else _seen(runtime, name, seen, advance),
        "repeated": len(rows) - len(set(keys)),
        "stages": dict(Counter(verdict.stage or "none" for verdict in verdicts)),
        "latency": latency(runtime, name, fresh),
        **({"slots": evaluate_slots(policy, fresh, verdicts)} if policy.slots else {}),
        **({"suite": suite(most=suite_rows, advance=partial(advance, "suite"))} if suite_rows else {}),
    }


def _read(row: Row, reads_system: bool) -> str:
    """A key that is equal for rows that are the same to the model."""
    return row.digest or digest(row.text, row.system if reads_system else "")


def _measured(
    runtime: Runtime, name: str, rows: Sequence[Row], advance: Advance
) -> tuple[list[Verdict], dict[str, Any]]:
    verdicts: list[Verdict] = []
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        verdicts += runtime.classify([Reading(classifier=name, texts=(row.text,), system=row.system) for row in part])
        advance("rows", start + len(part), len(rows))
    policy = runtime.classifiers[name].model.policy
    return verdicts, evaluate(policy, [row.shown for row in rows], [row.labels for row in rows], verdicts)


def _seen(runtime: Runtime, name: str, rows: Sequence[Row], advance: Advance) -> dict[str, Any]:
    """Test rows that training had: how many, their accuracy, and some of their texts."""
    _, measures = _measured(runtime, name, rows, advance)
    texts = [shortened(row.shown) for row in rows[:_SHOWN_LEAKS]]
    return {"rows": len(rows), "accuracy": measures["accuracy"], "texts": texts}


_RANKING = ("auprc", "auroc", "recall_at_1pct_false_alarms")
_LABEL = ("precision", "recall", "f1")
_LATENCY = ("mean_ms", "p50_ms", "p95_ms")
_SUITE = ("kept", "still_caught", "caught", "alarms", "in_doubt")

_Path = tuple[str, ...]
_OF_KIND: dict[str, dict[str, _Path]] = {
    "safety": {
        "exact": ("exact",),
        "recall": ("flagged", "harmful"),
        "false_alarms": ("flagged", "harmless"),
        "doubt": ("doubted", "harmless"),
        "harmful_doubt": ("doubted", "harmful"),
    },
    "several": {
        "exact": ("exact",),
        "answered": ("answered",),
        "error": ("error",),
        "doubt": ("doubted", "harmful"),
        "false_alarms": ("flagged", "harmless"),
    },
    "one": {"answered": ("answered",), "error": ("error",), "out_of_scope_answered": ("out_of_scope", "answered")},
}
"""Where an evaluation holds the figures over all labels, which depend on the kind."""


def _paths(
    kind: str, labels: Iterable[str], slots: Iterable[str], families: Iterable[str]
) -> Iterator[tuple[str, _Path]]:
    yield from ((name, (name,)) for name in ("accuracy", "macro_f1", "ece"))
    yield from ((name, ("any" if kind == "safety" else "macro", name)) for name in _RANKING)
    yield from _OF_KIND[kind].items()
    yield from ((f"{label}.{name}", ("labels", label, name)) for label in labels for name in (*_LABEL, *_RANKING))
    # after the labels, one of which may be called slots
    slots = tuple(slots)
    yield from ((f"slots.{name}", ("slots", name)) for name in ("whole", *_LABEL) if slots)
    yield from ((f"slots.{slot}.{name}", ("slots", "slots", slot, name)) for slot in slots for name in _LABEL)
    yield from ((f"latency.{name}", ("latency", name)) for name in _LATENCY)
    for family in families:
        for name in _SUITE:
            yield f"suite.{family.replace(' ', '-')}.{name}", ("suite", "families", family, "all", name)


def names(policy: Policy, *, suite: bool) -> list[str]:
    """All names of figures for `--fail-under` and `--fail-over`, measurable or not. suite: whether it is run."""
    kind = "safety" if policy.kind == "safety" else "several" if policy.multi_label else "one"
    labels = policy.labels if policy.multi_label else (*policy.labels, OTHER)
    return [name for name, _ in _paths(kind, labels, policy.slots, FAMILIES if suite else ())]


def named(evaluation: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of an evaluation by name; None where there was nothing to measure. Labels without rows, and a latency
    without rows, are left out."""
    kind = "one" if "flagged" not in evaluation else "safety" if evaluation["kind"] == "safety" else "several"
    slots, families = evaluation.get("slots", {}).get("slots", ()), evaluation.get("suite", {}).get("families", ())
    figures: dict[str, float | None] = {}
    for name, (*path, last) in _paths(kind, evaluation["labels"], slots, families):
        holder: Any = evaluation
        for part in path:
            holder = holder[part]
        if holder and last in holder:
            figures[name] = holder[last]
    return figures
