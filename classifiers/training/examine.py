"""A trained classifier on labelled rows → all that `offramp eval` tells, as plain data.

How long a classifier takes for a row, one at a time.

The training rows that a text lies nearest to, which tell why it was judged as it was.

Slots that verdicts fill in against those that rows mark → measures that `offramp eval` shows. Pure.

The figures of an evaluation by the names that `--fail-under` and `--fail-over` call them by. Pure.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from statistics import fmean, median, quantiles
from typing import Any

import numpy as np

from classifiers.encoder.session import Beside, Encoder, embed
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
    """Over at most 100 of the rows, by the runtime's own encoders, nothing remembered; None without rows.

    most_s: no further row is begun after so many seconds, since rows may be documents of a million characters.
    rows: how many; median_chars: of those; mean_ms, p50_ms, p95_ms.
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
    # of files that are sorted, those that come first are not like the others
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
    """The same of a model that is not published yet. encoders: those of its stages, by however many threads; detector:
    of languages; one at hand need not be opened again."""
    return latency(alone(model, encoders, detector), model.policy.name, rows)


def alone(model: Model, encoders: Iterable[Encoder], detector: LanguageDetector | None = None) -> Runtime:
    """On one thread, as `Runtime.load` has it: training's encoders read windows of one text side by side."""
    single = [copy(encoder) for encoder in encoders]
    for encoder in single:
        encoder.threads = 1
    return Runtime(single, {model.policy.name: from_model(model)}, cache_windows=0, detector=detector)


NEAREST = 3
"""How many are shown."""


def nearest_of(
    runtime: Runtime,
    name: str,
    asked: Sequence[tuple[str, str]],
    trained_on: Sequence[Row],
    *,
    count: int = NEAREST,
    advance: Callable[[int, int], None] | None = None,
) -> list[list[dict[str, Any]]]:
    """As `nearest`, by what the last stage's encoder makes of texts and rows; none where there is no stage.

    asked: texts, each with its system prompt; trained_on: what the classifier was trained on, of which rows that it
    could not read (a call's, of which no text is kept; one under a prompt, where it reads none) are left out;
    advance: called with how many of those are read and how many there are.
    """
    model = runtime.classifiers[name].model
    if not (asked and model.stages):
        return [[] for _ in asked]
    stage, reads = model.last, model.reads_system
    encoder = runtime.encoders[stage.encoder.sha256]

    def read(texts: Sequence[str], systems: Sequence[str], told: Callable[[int, int], None] | None = None) -> Floats:
        if not model.policy.multi_label:
            return wholes(encoder, texts, told)
        beside = Beside(systems=systems, tokens=stage.system_tokens) if stage.system_tokens else None
        return embed(encoder, texts, told, beside=beside)

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

    vectors: (n, dimensions), row_vectors: (rows, dimensions), all of length 1. groups: for each vector the group
    whose rows are left out, such as its own.
    """
    found = []
    # by number: an array of names would have room for the longest in each place
    number = {group: place for place, group in enumerate(dict.fromkeys(row.group for row in rows))}
    members = np.array([number[row.group] for row in rows], np.intp)
    for index, vector in enumerate(vectors):
        # one text at a time: all of a long input against all rows may be gigabytes
        cosines = row_vectors @ vector
        allowed = np.flatnonzero(members != number.get(groups[index], -1)) if groups else np.arange(len(rows))
        order = allowed[np.argsort(-cosines[allowed], kind="stable")[:count]]
        found.append(
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
    return found


def beside_errors(
    errors: Sequence[dict[str, Any]], places: Sequence[int], rows: Sequence[Row], vectors: Floats
) -> None:
    """Give each held-out error its `nearest` among the rows that the fit that scored it may have seen.

    errors: as of `evaluate`; places: of each, which of the rows it is; vectors: (rows, dimensions) of length 1.
    """
    if not errors:
        return
    groups = [rows[index].group for index in places]
    for error, near in zip(errors, nearest(vectors[list(places)], rows, vectors, groups=groups), strict=True):
        error["nearest"] = near


_WORST, _SHOWN_SLOTS = 40, 20


def evaluate_slots(policy: Policy, rows: Sequence[Row], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """`measures` over the rows whose marks are known, each of one text, and the texts with most slots wrong.

    What a slot's words say as a value is no part of it, since marks do not tell. with_label: whether the policy has
    several labels, so that only a text whose likeliest label is right is whole. errors: text, truth and said (labels),
    wrong (how many slots are marked or found, but not both), and the first twenty of them on either side, marked and
    found: slot, start, end (characters, exclusive) and raw.
    """
    told = [(row, row.marks, verdict) for row, verdict in zip(rows, verdicts, strict=True) if row.marks is not None]
    guesses = [_marks(verdict) for _, _, verdict in told]
    with_label = len(policy.labels) > 1
    labelled = [not with_label or top(verdict)[0] == known(policy, row.labels) for row, _, verdict in told]
    errors = [
        _error(policy, row, verdict, marked=marks, found=guess)
        for (row, marks, verdict), guess in zip(told, guesses, strict=True)
        if set(marks) != set(guess)
    ]
    errors.sort(key=lambda error: -error["wrong"])
    return {
        **measures([marks for _, marks, _ in told], guesses, slots=tuple(policy.slots), labelled=labelled),
        "with_label": with_label,
        "errors": errors[:_WORST],
    }


def _marks(verdict: Verdict) -> tuple[SlotMark, ...]:
    return tuple(SlotMark(name=one.slot, start=one.start, end=one.end) for one in verdict.slots)


def _error(
    policy: Policy, row: Row, verdict: Verdict, *, marked: Sequence[SlotMark], found: Sequence[SlotMark]
) -> dict[str, Any]:
    both = set(marked) & set(found)
    missed, extra = ([mark for mark in marks if mark not in both] for marks in (marked, found))
    return {
        "text": shortened(row.shown),
        "truth": known(policy, row.labels),
        "said": top(verdict)[0],
        "wrong": len(missed) + len(extra),
        "marked": [_told(row, mark) for mark in missed[:_SHOWN_SLOTS]],
        "found": [_told(row, mark) for mark in extra[:_SHOWN_SLOTS]],
    }


def _told(row: Row, mark: SlotMark) -> dict[str, Any]:
    raw = shortened(row.text[mark.start : mark.end])
    return {"slot": mark.name, "start": mark.start, "end": mark.end, "raw": raw}


Advance = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

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
    """The measures of `evaluate` over the rows that are new to the classifier, and beside them:

    classifier, version, kind, about, made_at; trained_on: the rows that it was trained on, which count in no other
    figure (None where the training rows are not known); repeated: rows whose text came before; errors: each with the
    `nearest` training rows; stages: how many rows each settled; latency; slots: as of `evaluate_slots`, where the
    policy has some; suite: where suite_rows is not 0.
    trained_on: the training rows; nearest_rows: whether to look for the nearest, for which all of them are encoded.
    Raises ClassifierError, before anything is measured, where the suite is asked for and the kind is not safety.
    """
    classifier = runtime.classifiers[name]
    policy = classifier.model.policy
    if suite_rows:
        check_kind(policy)
    reads = classifier.model.reads_system
    # what was written under a prompt taught nothing to a model that reads none
    known = {_read(row, reads) for row in trained_on or () if reads or not row.system}
    seen = [row for row in rows if _read(row, reads) in known]
    fresh = [row for row in rows if _read(row, reads) not in known] if seen else list(rows)
    verdicts = _verdicts(runtime, name, fresh, advance)
    measures = evaluate(policy, [row.shown for row in fresh], [row.labels for row in fresh], verdicts)
    wrong = [fresh[error.pop("index")] for error in measures["errors"]]
    if nearest_rows and trained_on and classifier.model.stages:
        asked = [(row.text, row.system) for row in wrong]
        told = partial(advance, "training rows")
        beside = nearest_of(runtime, name, asked, trained_on, advance=told)
        for error, near in zip(measures["errors"], beside, strict=True):
            error["nearest"] = near
    found = {
        "classifier": name,
        "version": classifier.version,
        "kind": policy.kind,
        "about": policy.about,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **measures,
        "thresholds": thresholds.describe(classifier.model.last.thresholds if classifier.model.stages else {}),
        "trained_on": None if trained_on is None else _seen(runtime, name, seen, advance),
        "repeated": len(rows) - len({_read(row, reads) for row in rows}),
        "stages": dict(Counter(verdict.stage or "none" for verdict in verdicts)),
        "latency": latency(runtime, name, fresh),
    }
    if policy.slots:
        found["slots"] = evaluate_slots(policy, fresh, verdicts)
    if suite_rows:
        # where the rows are not kept, it is known all the same that they hold what the policy says
        taught = known if trained_on is not None else {digest(line) for line in _near_misses(policy)}
        found["suite"] = run(
            runtime,
            name,
            # its cases are texts by themselves, which what is harmful under a prompt only may not be
            [(row.text, bool(row.labels)) for row in fresh if not row.system],
            most=suite_rows,
            trained_on=lambda text: digest(text) in taught,
            advance=lambda done, total: advance("suite", done, total),
        )
    return found


def _read(row: Row, reads_system: bool) -> str:
    """By this two rows are the same to the model."""
    return row.digest or digest(row.text, row.system if reads_system else "")


def _near_misses(policy: Policy) -> Iterator[str]:
    """The policy's `not:` lines."""
    return (line for label in policy.labels.values() for line in label.not_)


def _verdicts(runtime: Runtime, name: str, rows: Sequence[Row], advance: Advance) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        verdicts += runtime.classify([Reading(classifier=name, texts=(row.text,), system=row.system) for row in part])
        advance("rows", start + len(part), len(rows))
    return verdicts


def _seen(runtime: Runtime, name: str, rows: Sequence[Row], advance: Advance) -> dict[str, Any]:
    """Rows of the test that training had: how many, how they do, and some of their texts."""
    policy = runtime.classifiers[name].model.policy
    verdicts = _verdicts(runtime, name, rows, advance)
    measures = evaluate(policy, [row.shown for row in rows], [row.labels for row in rows], verdicts)
    return {
        "rows": len(rows),
        "accuracy": measures["accuracy"],
        "texts": [shortened(row.shown) for row in rows[:_SHOWN_LEAKS]],
    }


_PLAIN = ("accuracy", "exact", "macro_f1", "answered", "error", "ece")
_SUITE = ("kept", "still_caught", "caught", "alarms", "in_doubt")
_RANKING = ("auprc", "auroc", "recall_at_1pct_false_alarms")
_LABEL = ("precision", "recall", "f1")
_SLOTS = ("whole",)
_LATENCY = ("mean_ms", "p50_ms", "p95_ms")


def names(policy: Policy, *, suite: bool) -> list[str]:
    """What figures of a policy's classifier can be called, whether or not some rows let them be measured. suite:
    whether that is asked for."""
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
    """evaluation: as of `examine`. Values are None where there was nothing to measure; labels that no row has, and a
    latency that no row tells, are left out."""
    return dict(_named(evaluation))


def _named(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    yield from ((name, evaluation[name]) for name in _PLAIN if name in evaluation)
    yield from _whole(evaluation)
    for label, one in evaluation["labels"].items():
        yield from ((f"{label}.{name}", one[name]) for name in (*_LABEL, *_RANKING))
    if slots := evaluation.get("slots"):
        # after the labels: one of them may be called slots
        yield from ((f"slots.{name}", slots[name]) for name in (*_SLOTS, *_LABEL))
        yield from ((f"slots.{slot}.{name}", one[name]) for slot, one in slots["slots"].items() for name in _LABEL)
    taken = evaluation["latency"]
    yield from ((f"latency.{name}", taken[name]) for name in _LATENCY if taken)
    for family, found in evaluation.get("suite", {}).get("families", {}).items():
        yield from ((_in_suite(family, name), found["all"][name]) for name in _SUITE)


def _in_suite(family: str, name: str) -> str:
    return f"suite.{family.replace(' ', '-')}.{name}"


def _whole(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    """Over all labels, by kind."""
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
