"""A trained classifier on labelled rows → all that `offramp eval` tells, as plain data."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from classifiers.policy import Policy
from classifiers.runtime import Runtime
from classifiers.suite.run import check_kind, run
from classifiers.training import goals
from classifiers.training.clean import digest
from classifiers.training.confusion import shortened
from classifiers.training.evaluate import evaluate
from classifiers.training.latency import latency
from classifiers.training.neighbours import nearest_of
from classifiers.training.rows import Row
from classifiers.training.slots.verdicts import evaluate_slots
from classifiers.verdict import Reading, Verdict

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
        "thresholds": goals.describe(classifier.model.last.thresholds if classifier.model.stages else {}),
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
