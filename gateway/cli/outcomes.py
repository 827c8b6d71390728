"""The outcomes of trainings: as data, and as lines for people."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from classifiers.policy import Policy
from classifiers.report import figures
from classifiers.report.figures import remarks
from classifiers.report.markup import counted, wrong
from gateway.cli.output import percent, stdout, surely, within

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
    console = stdout()
    report: Mapping[str, Any] = outcome.report
    sources = ", ".join(f"{count} {source}" for source, count in report["text"]["sources"].items())
    seconds = sum(outcome.seconds.values())
    state = f"published as {outcome.version}" if outcome.accepted else "NOT published"
    console.print(f"{policy.name}: {state} in {seconds:.1f} s")
    if report["patterns"]:
        text = ", ".join(dict.fromkeys(report["patterns"].values()))
        console.print(f"  told by patterns: {text}", soft_wrap=True)
    if report["text"]["rows"]:
        console.print(f"  trained on {counted(report['text']['rows'], 'text')} ({sources})", soft_wrap=True)
    if unread := report["text"]["unread_calls"]:
        console.print(f"  left out {unread} of the calls: empty, or of no label of the policy's", soft_wrap=True)
    for line in _written(report):
        console.print(f"  {line}", soft_wrap=True)
    if against := report["incumbent"]:
        was, now = (against[name] / against["rows"] for name in ("right_before", "right_after"))
        same = counted(against["rows"], "held-out row")
        text = f"{was:.1%} right before, {now:.1%} now, on the same {same}"
        console.print(f"  {text}", soft_wrap=True)
    if note := report["incumbent_note"]:
        console.print(f"  {note}", style="yellow", soft_wrap=True)
    for line in _measures(report) if report["text"]["rows"] else ():
        console.print(f"  {line}", soft_wrap=True)
    for line in _notes(report):
        console.print(f"  {line}", style="yellow", soft_wrap=True)
    for line in outcome.missed:
        console.print(f"  missed: {line}", style="red", soft_wrap=True)
    page = outcome.folder / "report.html"
    console.print(f"  report: {page if page.exists() else outcome.folder}", soft_wrap=True)


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
