"""The outcomes of trainings: as data, and as lines for people."""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from classifiers.report import figures
from classifiers.report.markup import counted

if TYPE_CHECKING:
    from classifiers.training.run import TrainingOutcome

_NAMED_AT_MOST = 10
_BY_ROWS = re.compile(r"(answered|[\w ]+ among answered): ")


def as_dict(name: str | None, outcome: "TrainingOutcome | None", error: str | None = None) -> dict[str, Any]:
    """A policy's training, published or not, or why there was none. name: None where a policy could not be read."""
    return {
        "name": name,
        "accepted": outcome is not None and outcome.accepted,
        "error": error,
        "version": outcome.version if outcome else None,
        "folder": str(outcome.folder) if outcome else None,
        "missed": list(outcome.missed) if outcome else [],
        "seconds": dict(outcome.seconds) if outcome else {},
        "vectors": [b64encode(vectors).decode() for vectors in outcome.vectors] if outcome else [],
        "report": outcome.report if outcome else None,
    }


def shown(name: str, outcome: "TrainingOutcome") -> Iterator[str | Text]:
    """The same for people. The report has the details."""
    report: Mapping[str, Any] = outcome.report
    state = f"published as {outcome.version}" if outcome.accepted else "NOT published"
    yield f"{name}: {state} in {sum(outcome.seconds.values()):.1f} s"
    yield from (f"  {line}" for line in (*_rows(report), *_measures(report)))
    yield from (Text(f"  {line}", "yellow") for line in _notes(report))
    yield from (Text(f"  missed: {line}", "red") for line in outcome.missed)
    page = outcome.folder / "report.html"
    yield f"  report: {page if page.exists() else outcome.folder}"


def _rows(report: Mapping[str, Any]) -> Iterator[str]:
    """What it was trained on, what was left out, and how it compares to the version in use."""
    text = report["text"]
    if report["patterns"]:
        yield f"told by patterns: {', '.join(dict.fromkeys(report['patterns'].values()))}"
    if text["rows"]:
        sources = ", ".join(f"{count} {source}" for source, count in text["sources"].items())
        yield f"trained on {counted(text['rows'], 'text')} ({sources})"
    if unread := text["unread_calls"]:
        yield f"left out {unread} of the calls: empty, or of no label of the policy's"
    for teacher in report["teachers"]:
        if problems := "; ".join(figures.remarks(teacher)):
            yield f"teacher {teacher['writer']}: {problems}"
    dropped = sum(item["dropped"] for item in text["contradictions"])
    for count, what in ((dropped, "for several labels of one text"), (len(text["leaks"]), "with the text of a test")):
        if count:
            yield f"dropped {counted(count, 'row')} {what}; the report lists them"
    if count := text["doubts"]["rows"]:
        done = ", ".join(f"{count} {name}" for name, count in text["doubts"]["done"].items())
        yield f"{figures.read_otherwise(count)} ({done}); the report lists them"
    if against := report["incumbent"]:
        was, now = (against[name] / against["rows"] for name in ("right_before", "right_after"))
        yield f"{was:.1%} right before, {now:.1%} now, on the same {counted(against['rows'], 'held-out row')}"


def _measures(report: Mapping[str, Any]) -> Iterator[str]:
    if not report["text"]["rows"]:
        return
    slots = report["settings"].get("slots")
    yield f"held out: {figures.where(report)}"
    # as rows stand, a `not:` line counts as much as a message: what traffic meets follows, and one verdict on it
    of_traffic = figures.measured_scope(report) is not None
    for line in measures(report["held_out"], slots):
        if not (of_traffic and _BY_ROWS.match(line)):
            yield line
    if slots and slots["f1"] is not None:
        yield f"slots: {counted(slots['support'], 'value')} in {counted(slots['rows'], 'held-out sentence')}"
    yield from figures.out_of_scope(report)
    for what, found in (report["settings"].get("answered") or {}).items():
        yield f"{what} answered: {found['answered']} of {found['texts']}"
    yield from figures.in_traffic(report)
    for goal in figures.goals(report):
        if goal["stated"] and goal["mark"] != "not met":
            yield f"goal {goal['mark']}: {goal['asked']}; {goal['reached']}"
    aim = figures.aim(report).removesuffix(".")
    yield from filter(None, [aim[:1].lower() + aim[1:]])


def measures(measured: Mapping[str, Any], slots: Mapping[str, Any] | None) -> Iterator[str]:
    """The most important figures of a measurement with their intervals at 95 %, a line each."""
    for name, value, interval in figures.headline(measured, slots):
        yield f"{name}: {value}" + (f" (95 %: {interval})" if interval else "")


def _notes(report: Mapping[str, Any]) -> Iterator[str]:
    """What was done otherwise than the policy says, and what nobody will see answered."""
    yield from filter(None, [report["incumbent_note"], report["settings"].get("note")])
    yield from filter(None, [*figures.foreign(report["text"]), figures.advice(report)])
    goals = [goal for goal in report["goals"] if goal.get("never_named")]
    known = {"other", *(name for goal in goals for name in goal["never_named"])}
    labels = report.get("held_out", {}).get("labels", {})
    missed = [name for name, label in labels.items() if label["support"] and label["recall"] == 0]
    if names := [name for name in missed if name not in known]:
        more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
        listed = ", ".join(names[:_NAMED_AT_MOST]) + more
        yield f"never found in held-out text: {listed}; such text needs more rows, or rows that differ"
    for goal in goals:
        never = ", ".join(goal["never_named"])
        yield f"never named: {never}; no threshold keeps to goal.max_error on {goal['measured_on']}"
