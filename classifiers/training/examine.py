"""A trained classifier on labelled rows → everything that `offramp eval` shows, as plain data."""

import random
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from statistics import fmean, median, quantiles
from typing import Any

import numpy as np

from classifiers.encoder.session import Encoder, SystemPrompts, embed
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
from classifiers.training.rows import Row
from classifiers.training.slots.tagger import measures
from classifiers.training.windows import wholes
from classifiers.verdict import Reading, Verdict

_ROWS, _MOST_S = 100, 10.0
_WARM_UP, _WARM_UP_CHARS = 3, 1_000


def latency(runtime: Runtime, name: str, rows: Sequence[Row], *, most_s: float = _MOST_S) -> dict[str, Any] | None:
    """How long single rows take, over at most 100 of them and without caches; None without rows.

    most_s: no further row is begun after so many seconds, since rows may be documents of a million characters.
    Returns rows (how many), median_chars (of those), mean_ms, p50_ms, p95_ms.
    """
    if not rows:
        return None
    fresh = Runtime(
        runtime.encoders.values(), {name: runtime.classifiers[name]}, cache_windows=0, detector=runtime.detector
    )
    spread = rows[:: -(-len(rows) // _ROWS)]
    for row in spread[:_WARM_UP]:
        _taken_ms(fresh, name, replace(row, text=row.text[:_WARM_UP_CHARS]))
    chosen: list[Row] = []
    taken: list[float] = []
    until = time.perf_counter() + most_s
    # files are often sorted, so the first rows are not like the others
    for row in random.Random(0).sample(spread, len(spread)):  # noqa: S311 - no secret
        if taken and time.perf_counter() >= until:
            break
        chosen.append(row)
        taken.append(_taken_ms(fresh, name, row))
    return {
        "rows": len(chosen),
        "median_chars": round(median(len(row.text) for row in chosen)),
        "mean_ms": round(fmean(taken), 3),
        "p50_ms": round(median(taken), 3),
        "p95_ms": round(quantiles(taken, n=20, method="inclusive")[-1] if len(taken) > 1 else taken[0], 3),
    }


def _taken_ms(runtime: Runtime, name: str, row: Row) -> float:
    began = time.perf_counter()
    runtime.classify([Reading(classifier=name, texts=(row.text,), system=row.system)])
    return 1000 * (time.perf_counter() - began)


def of_model(
    model: Model, encoders: Iterable[Encoder], rows: Sequence[Row], detector: LanguageDetector | None = None
) -> dict[str, Any] | None:
    """The latency of a model that is not published yet. encoders: of its stages; detector: of languages, if opened."""
    return latency(alone(model, encoders, detector), model.policy.name, rows)


def alone(model: Model, encoders: Iterable[Encoder], detector: LanguageDetector | None = None) -> Runtime:
    """A runtime of one model on one thread, as served; training's encoders use several threads for one text."""
    single = [copy(encoder) for encoder in encoders]
    for encoder in single:
        encoder.threads = 1
    return Runtime(single, {model.policy.name: from_model(model)}, cache_windows=0, detector=detector)


NEAREST = 3
"""How many neighbours are shown."""


def nearest_of(
    runtime: Runtime,
    name: str,
    asked: Sequence[tuple[str, str]],
    trained_on: Sequence[Row],
    *,
    count: int = NEAREST,
    advance: Callable[[int, int], None] | None = None,
) -> list[list[dict[str, Any]]]:
    """The nearest training rows of texts, by the last stage's encoder; none where there is no stage.

    asked: texts, each with its system prompt; trained_on: the training rows; those that the classifier cannot read are
    left out (calls without text; rows under a prompt where it reads none); advance: called with rows read and in all.
    """
    model = runtime.classifiers[name].model
    if not (asked and model.stages):
        return [[] for _ in asked]
    stage, reads = model.last, model.reads_system
    encoder = runtime.encoders[stage.encoder.sha256]

    def read(texts: Sequence[str], systems: Sequence[str], step: Callable[[int, int], None] | None = None) -> Floats:
        if not model.policy.multi_label:
            return wholes(encoder, texts, step)
        prompts = SystemPrompts(systems=systems, tokens=stage.system_tokens) if stage.system_tokens else None
        return embed(encoder, texts, step, prompts=prompts)

    rows = [row for row in trained_on if row.text and (reads or not row.system)]
    vectors = read([row.text for row in rows], [row.system for row in rows], advance)
    return nearest(read([text for text, _ in asked], [system for _, system in asked]), rows, vectors, count=count)


def nearest(
    vectors: Floats,
    rows: Sequence[Row],
    row_vectors: Floats,
    *,
    count: int = NEAREST,
    groups: Sequence[str] | None = None,
) -> list[list[dict[str, Any]]]:
    """For each vector its nearest rows, nearest first: text, labels, source, cosine.

    vectors: (n, dimensions), row_vectors: (rows, dimensions), all of length 1. groups: for each vector a group to leave
    out, such as its own.
    """
    # numbers, since an array of names reserves the longest name for each
    number = {group: place for place, group in enumerate(dict.fromkeys(row.group for row in rows))}
    members = np.array([number[row.group] for row in rows], np.intp)
    rows_of = []
    for index, vector in enumerate(vectors):
        # one text at a time, since all texts against all rows may take gigabytes
        cosines = row_vectors @ vector
        allowed = np.flatnonzero(members != number.get(groups[index], -1)) if groups else np.arange(len(rows))
        order = allowed[np.argsort(-cosines[allowed], kind="stable")[:count]]
        rows_of.append(
            [
                {
                    "text": shortened(rows[place].shown),
                    "labels": list(rows[place].labels),
                    "source": rows[place].source,
                    "cosine": round(float(cosines[place]), 4),
                }
                for place in order.tolist()
            ]
        )
    return rows_of


def add_neighbours(
    errors: Sequence[dict[str, Any]], places: Sequence[int], rows: Sequence[Row], vectors: Floats
) -> None:
    """Add to each held-out error its `nearest` rows among those that its fit may have seen.

    errors: as of `evaluate`; places: the row of each error; vectors: (rows, dimensions) of length 1.
    """
    if not errors:
        return
    groups = [rows[index].group for index in places]
    for error, near in zip(errors, nearest(vectors[list(places)], rows, vectors, groups=groups), strict=True):
        error["nearest"] = near


_WORST, _SHOWN_SLOTS = 40, 20


def evaluate_slots(policy: Policy, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """`measures` over the rows whose marks are known, and the texts with most slots wrong.

    Values are not compared, since marks have none. with_label: whether the policy has several labels, so that a text
    is right as a whole only with its label. errors: text, truth and said (labels), wrong (how many slots are marked or
    found, but not both), and the first twenty on either side, marked and found: slot, start, end (exclusive), raw.
    """
    marked = [(row, row.marks, verdict) for row, verdict in zip(rows, verdicts, strict=True) if row.marks is not None]
    guesses = [_marks(verdict) for _, _, verdict in marked]
    with_label = len(policy.labels) > 1
    labelled = [not with_label or top(verdict)[0] == known(policy, row.labels) for row, _, verdict in marked]
    errors = [
        _error(policy, row, verdict, marked=marks, filled=guess)
        for (row, marks, verdict), guess in zip(marked, guesses, strict=True)
        if set(marks) != set(guess)
    ]
    errors.sort(key=lambda error: -error["wrong"])
    return {
        **measures([marks for _, marks, _ in marked], guesses, slots=tuple(policy.slots), labelled=labelled),
        "with_label": with_label,
        "errors": errors[:_WORST],
    }


def _marks(verdict: Verdict) -> tuple[SlotMark, ...]:
    return tuple(SlotMark(name=slot.slot, start=slot.start, end=slot.end) for slot in verdict.slots)


def _error(
    policy: Policy, row: Row, verdict: Verdict, *, marked: Sequence[SlotMark], filled: Sequence[SlotMark]
) -> dict[str, Any]:
    both = set(marked) & set(filled)
    missed, extra = ([mark for mark in marks if mark not in both] for marks in (marked, filled))
    return {
        "text": shortened(row.shown),
        "truth": known(policy, row.labels),
        "predicted": top(verdict)[0],
        "wrong": len(missed) + len(extra),
        "missed": [_shown(row, mark) for mark in missed[:_SHOWN_SLOTS]],
        "extra": [_shown(row, mark) for mark in extra[:_SHOWN_SLOTS]],
    }


def _shown(row: Row, mark: SlotMark) -> dict[str, Any]:
    raw = shortened(row.text[mark.start : mark.end])
    return {"slot": mark.name, "start": mark.start, "end": mark.end, "raw": raw}


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
    """The measures of `evaluate` over the rows that are new to the classifier, with these keys besides:

    classifier, version, kind, about, made_at, thresholds, latency; trained_on: figures of rows that it was trained on,
    which count nowhere else (None where those are not known); repeated: rows that repeat a text; errors: each with its
    `nearest` training rows; stages: how many rows each settled; slots, suite: where there are such.

    nearest_rows: whether to find these, for which all training rows are encoded; suite_rows: of `suite.run`, or 0.
    Raises ClassifierError at once where the suite is asked for and the kind is not safety.
    """
    classifier = runtime.classifiers[name]
    policy, reads = classifier.model.policy, classifier.model.reads_system
    if suite_rows:
        check_kind(policy)
    # rows under a prompt taught nothing to a model that reads no prompts
    known_keys = {_read(row, reads) for row in trained_on or () if reads or not row.system}
    keys = [_read(row, reads) for row in rows]
    seen, fresh = (
        [row for row, key in zip(rows, keys, strict=True) if (key in known_keys) is hit] for hit in (True, False)
    )
    verdicts, measures = _measured(runtime, name, fresh, advance)
    wrong = [(row.text, row.system) for row in (fresh[error.pop("index")] for error in measures["errors"])]
    if nearest_rows and trained_on and classifier.model.stages:
        near = nearest_of(runtime, name, wrong, trained_on, advance=partial(advance, "training rows"))
        measures["errors"] = [{**error, "nearest": rows} for error, rows in zip(measures["errors"], near, strict=True)]
    taught = None if trained_on is None else known_keys
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
        **({"suite": _run_suite(runtime, name, fresh, taught, most=suite_rows, advance=advance)} if suite_rows else {}),
    }


def _run_suite(
    runtime: Runtime, name: str, rows: Sequence[Row], taught: Container[str] | None, *, most: int, advance: Advance
) -> dict[str, Any]:
    """The safety suite on rows. taught: digests of the training rows, if known; else only the `not:` lines count."""
    if taught is None:
        labels = runtime.classifiers[name].model.policy.labels.values()
        taught = {digest(line) for label in labels for line in label.not_}
    # a text under a prompt may be harmless by itself
    plain = [(row.text, bool(row.labels)) for row in rows if not row.system]
    trained_on = lambda text: digest(text) in taught  # noqa: E731 - too short for a name of its own
    return run(runtime, name, plain, most=most, trained_on=trained_on, advance=partial(advance, "suite"))


def _read(row: Row, reads_system: bool) -> str:
    """A key that is equal for rows that are the same to the model."""
    return row.digest or digest(row.text, row.system if reads_system else "")


def _measured(
    runtime: Runtime, name: str, rows: Sequence[Row], advance: Advance
) -> tuple[list[Verdict], dict[str, Any]]:
    """The verdicts on rows and the measures of `evaluate`."""
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


_PLAIN = ("accuracy", "exact", "macro_f1", "answered", "error", "ece")
_SUITE = ("kept", "still_caught", "caught", "alarms", "in_doubt")
_RANKING = ("auprc", "auroc", "recall_at_1pct_false_alarms")
_LABEL = ("precision", "recall", "f1")
_SLOTS = ("whole",)
_LATENCY = ("mean_ms", "p50_ms", "p95_ms")


def names(policy: Policy, *, suite: bool) -> list[str]:
    """All names of figures for `--fail-under` and `--fail-over`, measurable or not. suite: whether it is run."""
    whole: tuple[str, ...]
    if policy.kind == "safety":
        whole = ("exact", "recall", "false_alarms", "doubt", "harmful_doubt")
    elif policy.multi_label:
        whole = ("exact", "answered", "error", "doubt", "false_alarms")
    else:
        whole = ("answered", "error", "out_of_scope_answered")
    labels = policy.labels if policy.multi_label else (*policy.labels, OTHER)
    return [
        *("accuracy", "macro_f1", "ece", *_RANKING),
        *whole,
        *(f"{label}.{name}" for label in labels for name in (*_LABEL, *_RANKING)),
        *(f"slots.{name}" for name in (*_SLOTS, *_LABEL) if policy.slots),
        *(f"slots.{slot}.{name}" for slot in policy.slots for name in _LABEL),
        *(f"latency.{name}" for name in _LATENCY),
        *(_in_suite(family, name) for family in (FAMILIES if suite else ()) for name in _SUITE),
    ]


def named(evaluation: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures of an evaluation by name; None where there was nothing to measure. Labels without rows, and a latency
    without rows, are left out."""
    return dict(_named(evaluation))


def _named(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    yield from ((name, evaluation[name]) for name in _PLAIN if name in evaluation)
    yield from _whole(evaluation)
    for label, figures in evaluation["labels"].items():
        yield from ((f"{label}.{name}", figures[name]) for name in (*_LABEL, *_RANKING))
    if slots := evaluation.get("slots"):
        # after the labels, one of which may be called slots
        yield from ((f"slots.{name}", slots[name]) for name in (*_SLOTS, *_LABEL))
        yield from ((f"slots.{slot}.{name}", own[name]) for slot, own in slots["slots"].items() for name in _LABEL)
    taken = evaluation["latency"]
    yield from ((f"latency.{name}", taken[name]) for name in _LATENCY if taken)
    for family, figures in evaluation.get("suite", {}).get("families", {}).items():
        yield from ((_in_suite(family, name), figures["all"][name]) for name in _SUITE)


def _in_suite(family: str, name: str) -> str:
    return f"suite.{family.replace(' ', '-')}.{name}"


def _whole(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """The figures over all labels, which depend on the kind."""
    ranked = evaluation["macro"]
    if "flagged" not in evaluation:
        yield "out_of_scope_answered", evaluation["out_of_scope"]["answered"]
    elif evaluation["kind"] == "safety":
        ranked = evaluation["any"]
        yield "recall", evaluation["flagged"]["harmful"]
        yield "false_alarms", evaluation["flagged"]["harmless"]
        yield "doubt", evaluation["doubted"]["harmless"]
        yield "harmful_doubt", evaluation["doubted"]["harmful"]
    else:
        yield "doubt", evaluation["doubted"]["harmful"]
        yield "false_alarms", evaluation["flagged"]["harmless"]
    yield from ((name, ranked[name]) for name in _RANKING)
