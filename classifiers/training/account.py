"""What a training run reports: the text it learned from, and what held-out text shows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from classifiers import selftest
from classifiers.encoder.source import poorly_read
from classifiers.policy import OTHER, Policy
from classifiers.training import calibrate, doubt, goals, strangers
from classifiers.training.confusion import shortened
from classifiers.training.evaluate import evaluate
from classifiers.training.fit.trained import Trained
from classifiers.training.neighbours import beside_errors
from classifiers.training.rounds import Rounds
from classifiers.training.rows import REAL, Row
from classifiers.training.write.sentences import Written


def account(
    policy: Policy,
    written: Written,
    gathered: Rounds,
    *,
    trained: Trained,
    failures: Sequence[str],
    seed: int,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """What report.json holds. failures: of the policy's own tests; seconds: of each step so far."""
    text = gathered.text
    rows, cleaned = text.rows, text.cleaned
    trained = strangers.as_served(policy, trained)
    held = trained.read
    outside = {(OTHER,), *([()] if policy.several else [])}
    everyday = [row.source == "builtin" and row.labels in outside for row in held]
    tests = len(selftest.asked(trained.model))
    own = [index for index, used in enumerate(trained.used) if used and not everyday[index]]
    beside = [trained.verdicts[index] for index, found in enumerate(everyday) if found]
    measures = _measures(policy, held, trained, own)
    places = [int(trained.rows[own[error.pop("index")]]) for error in measures["errors"]]
    beside_errors(measures["errors"], places, rows, text.vectors)
    return {
        "name": policy.name,
        "kind": policy.kind,
        "about": policy.about,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "encoder": asdict(trained.model.last.encoder) if trained.model.stages else None,
        "poorly_read": list(poorly_read(policy.encoder, policy.languages)) if trained.model.stages else [],
        "patterns": trained.model.policy.patterns,
        "measured_on": trained.settings["calibrated_on"],
        "measured_real": sum(held[index].source in REAL for index in own),
        "text": {
            "rows": len(rows),
            "groups": len({row.group for row in rows}),
            "sources": dict(Counter(row.source for row in rows)),
            "writers": _shares(rows),
            "forms": dict(written.forms),
            "labels": dict(Counter(label for row in rows for label in row.labels or ("none",))),
            "leaks": list(map(shortened, cleaned.leaks)),
            "contradictions": [asdict(one) | {"text": shortened(one.text)} for one in cleaned.contradictions],
            "duplicates": cleaned.duplicates,
            "empty": cleaned.empty,
            "doubts": doubt.told(text.doubts),
            "foreign": strangers.told(rows, text.dropped),
        },
        "teachers": written.teachers(),
        **gathered.told(),
        "settings": trained.settings,
        "thresholds": goals.describe(trained.chosen.thresholds),
        "goals": trained.chosen.goals,
        "aimed_error": None if policy.goal or policy.multi_label else calibrate.DEFAULT_ERROR,
        "bands": trained.chosen.by_band,
        "tests": {"count": tests, "failed": list(failures), "left_out": len(policy.tests) - tests},
        "held_out": measures,
        "everyday": {
            "rows": len(beside),
            "answered": sum(bool(v.labels) and v.labels != (OTHER,) for v in beside),
        },
        "by_source": _by_source(policy, held, trained),
        "seconds": {step: round(value, 3) for step, value in seconds.items()},
    }


def _shares(rows: Sequence[Row]) -> dict[str, float]:
    """Each teacher's share of all rows."""
    counts = Counter(row.writer for row in rows if row.writer)
    return {writer: round(count / len(rows), 4) for writer, count in counts.items()}


def _by_source(policy: Policy, held: Sequence[Row], trained: Trained) -> dict[str, Any]:
    """Held-out accuracy on each source's text alone; each teacher is a source of its own."""
    found: dict[str, Any] = {}
    sources = [row.writer or row.source for row in held]
    for source in dict.fromkeys(sources):
        chosen = [index for index, one in enumerate(sources) if one == source]
        measures = _measures(policy, held, trained, chosen)
        found[source] = {name: measures[name] for name in ("rows", "accuracy", "interval")}
    return found


def _measures(policy: Policy, held: Sequence[Row], trained: Trained, chosen: Sequence[int]) -> dict[str, Any]:
    return evaluate(
        policy,
        [held[index].shown for index in chosen],
        [held[index].labels for index in chosen],
        [trained.verdicts[index] for index in chosen],
    )
