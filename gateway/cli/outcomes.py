"""The outcomes of trainings: as data, and as lines for people."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from classifiers.policy import Policy
from classifiers.report import figures
from classifiers.report.figures import remarks
from classifiers.report.markup import counted, wrong
from gateway.cli.output import percent, print_lines, surely, within

if TYPE_CHECKING:
    from classifiers.training.run import TrainingOutcome

_NAMED_AT_MOST = 10


def as_dict(policy: Policy, outcome: "TrainingOutcome") -> dict[str, Any]:
    """Of a policy that was trained, whether or not it was published."""
    return {
        "name": policy.name,
        "accepted": outcome.accepted,
        "error": None,
        "version": outcome.version,
        "folder": str(outcome.folder),
        "missed": list(outcome.missed),
        "seconds": dict(outcome.seconds),
        "report": outcome.report,
    }


def failed(name: str | None, error: str) -> dict[str, Any]:
    """The same of one that was not trained. name: None where a policy could not be read."""
    return {
        "name": name,
        "accepted": False,
        "error": error,
        "version": None,
        "folder": None,
        "missed": [],
        "seconds": {},
        "report": None,
    }


def show(policy: Policy, outcome: "TrainingOutcome") -> None:
    """Prints it for people."""
    report: Mapping[str, Any] = outcome.report
    state = f"published as {outcome.version}" if outcome.accepted else "NOT published"
    print_lines([f"{policy.name}: {state} in {sum(outcome.seconds.values()):.1f} s"])
    print_lines(_rows(report), indent="  ")
    print_lines([report["incumbent_note"]] if report["incumbent_note"] else [], style="yellow", indent="  ")
    print_lines(_measures(report) if report["text"]["rows"] else (), indent="  ")
    print_lines(_notes(report), style="yellow", indent="  ")
    print_lines((f"missed: {line}" for line in outcome.missed), style="red", indent="  ")
    page = outcome.folder / "report.html"
    print_lines([f"report: {page if page.exists() else outcome.folder}"], indent="  ")


def _rows(report: Mapping[str, Any]) -> Iterator[str]:
    """What it was trained on, and how it compares to the version in use."""
    if report["patterns"]:
        yield f"told by patterns: {', '.join(dict.fromkeys(report['patterns'].values()))}"
    if report["text"]["rows"]:
        sources = ", ".join(f"{count} {source}" for source, count in report["text"]["sources"].items())
        yield f"trained on {counted(report['text']['rows'], 'text')} ({sources})"
    if unread := report["text"]["unread_calls"]:
        yield f"left out {unread} of the calls: empty, or of no label of the policy's"
    yield from _written(report)
    if against := report["incumbent"]:
        was, now = (against[name] / against["rows"] for name in ("right_before", "right_after"))
        yield f"{was:.1%} right before, {now:.1%} now, on the same {counted(against['rows'], 'held-out row')}"


def _written(report: Mapping[str, Any]) -> Iterator[str]:
    """What teachers were asked for in vain, and which rows were dropped or read like another label than theirs."""
    for teacher in report["teachers"]:
        if problems := "; ".join(remarks(teacher)):
            yield f"teacher {teacher['writer']}: {problems}"
    text = report["text"]
    if torn := text["contradictions"]:
        texts = f"{counted(len(torn), 'text')} {'was' if len(torn) == 1 else 'were'}"
        rows = counted(sum(item["dropped"] for item in torn), "row")
        yield f"{texts} given several labels, {rows} dropped for that; the report says which"
    if count := len(text["leaks"]):
        were = "text that is a test of the policy was" if count == 1 else "texts that are tests of the policy were"
        yield f"{count} {were} dropped; the report says which"
    doubts = text["doubts"]
    if doubts["rows"]:
        done = ", ".join(f"{count} {name}" for name, count in doubts["done"].items())
        them = "it" if doubts["rows"] == 1 else "them"
        yield f"{figures.read_otherwise(doubts['rows'])} ({done}); the report lists {them}"


def _measures(report: Mapping[str, Any]) -> Iterator[str]:
    """What was measured, and on what."""
    held = report["held_out"]
    real = report["measured_real"]
    some = f", {real} of them real" if 0 < real < held["rows"] else ""
    where = f"on {report['measured_on']} ({counted(held['rows'], 'row')} held out{some})"
    right = f"{within(held['accuracy'], held['interval'], '95 %: ')} {where}"
    if report["kind"] == "safety":
        caught, alarms = (surely(held["flagged"], name) for name in ("harmful", "harmless"))
        yield f"flagged: {caught} of the harmful and {alarms} of the harmless {where}"
        harmful, harmless = (surely(held["doubted"], name) for name in ("harmful", "harmless"))
        yield f"in doubt: {harmful} of the harmful and {harmless} of the harmless"
    else:
        exact = "accuracy" if "flagged" not in held else "just the right labels for"
        answers = f"{surely(held, 'answered')} answered, of which {surely(held, 'error')} {wrong(held)}"
        yield f"{exact} {right}; {answers}"
        aimed = report["aimed_error"]
        if aimed is not None and (held["error"] or 0) > aimed:
            yield f"without a goal, {percent(aimed)} wrong is aimed at, not demanded"
    slots = report["settings"].get("slots")
    if slots and slots["f1"] is not None:
        where = f"{counted(slots['support'], 'value')} in {counted(slots['rows'], 'held-out sentence')}"
        yield f"slots: F1 {within(slots['f1'], slots['f1_interval'], '95 %: ')} on {where}"


def _unfound(report: Mapping[str, Any]) -> str:
    """The labels of which no held-out row is given its label, but for those that are never named whatever the row."""
    labels = report.get("held_out", {}).get("labels", {})
    known = {"other", *(name for goal in report["goals"] for name in goal.get("never_named", ()))}
    unfound = [name for name, of_label in labels.items() if of_label["support"] and of_label["recall"] == 0]
    names = [name for name in unfound if name not in known]
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def _notes(report: Mapping[str, Any]) -> Iterator[str]:
    """What was done otherwise than the policy says, and what nobody will see answered."""
    yield from figures.foreign(report["text"])
    if note := report["settings"].get("note"):
        yield note
    if unfound := _unfound(report):
        yield f"never found in held-out text: {unfound}; such text needs more rows, or rows that differ"
    for goal in report["goals"]:
        if never := goal.get("never_named"):
            yield f"never named: {', '.join(never)}; no threshold keeps to goal.max_error on {goal['measured_on']}"
