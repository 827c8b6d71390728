"""MODEL_CARD.md: what the model is for, how good it is and on what, where it is weak. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from classifiers.report import figures
from classifiers.report.markup import counted, interval, number, percent, wrong

FILE = "MODEL_CARD.md"
_WEAKEST = 5


def page(report: Mapping[str, Any]) -> str:
    """report: as in report.json."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    held, text = report["held_out"], report["text"]
    yield f"# {report['name']}"
    yield ""
    yield f"A classifier of kind {report['kind']}: {report['about']}"
    yield ""
    yield f"- Made: {report['made_at']}, seed {report['seed']}"
    if report["encoder"]:
        yield f"- Encoder: {report['encoder']['source']}, sha256 {report['encoder']['sha256']}"
    yield f"- Head: {report['settings']['head']}"
    sources = ", ".join(f"{count} {source}" for source, count in text["sources"].items())
    yield f"- Training text: {counted(text['rows'], 'text')} ({sources})"
    yield ""
    yield "## How good it is"
    yield ""
    if report.get("patterns"):
        labels = ", ".join(dict.fromkeys(report["patterns"].values()))
        yield f"Told by their form, and not measured here: {labels}."
    if held["labels"]:
        yield from _figures(report, held)
        yield from _slots(report["settings"].get("slots"))
    yield ""
    yield "## Where it is weak"
    yield ""
    yield from (f"- Not published: {line}" for line in report.get("missed", ()))
    yield from _weakest(held)
    if told := figures.teacher_caution(report):
        yield f"- {told}"
    if aim := figures.aim(report):
        yield f"- {aim}"
    if report["encoder"]:
        yield "- It was trained for the languages that its policy names; text that is surely in another one abstains."
    if poor := figures.languages(report):
        yield f"- {poor}"
    if report.get("patterns"):
        yield "- Patterns find what has the form that they know; the same told in words passes."
    if report["kind"] == "safety":
        yield "- No figure here covers people who try to get around it."


def _figures(report: Mapping[str, Any], held: Mapping[str, Any]) -> Iterator[str]:
    where, sure = f"held-out {figures.where(report)}", _sure(held["accuracy"], held["interval"])
    if "flagged" in held and report["kind"] != "safety":
        yield f"On {where}: {percent(held['accuracy'])} of texts are given just their labels{sure};"
        yield from _answers(held)
        yield f"macro F1 {number(held['macro_f1'])}, ECE {number(held['ece'])}."
    elif "flagged" in held:
        flagged = held["flagged"]
        caught, alarms = (_sure(flagged[side], flagged[f"{side}_interval"]) for side in ("harmful", "harmless"))
        yield f"On {where}: {percent(flagged['harmful'])} of what is harmful is flagged{caught},"
        yield f"{percent(flagged['harmless'])} of what is harmless{alarms};"
        yield f"{percent(held['doubted']['harmful'])} and {percent(held['doubted']['harmless'])} are in doubt;"
        yield f"AUPRC {number(held['any']['auprc'])}."
    else:
        yield f"On {where}: accuracy {percent(held['accuracy'])}{sure};"
        yield from _answers(held)
        yield f"ECE {number(held['ece'])}."


def _answers(held: Mapping[str, Any]) -> Iterator[str]:
    yield f"{percent(held['answered'])} answered{_sure(held['answered'], held['answered_interval'])},"
    yield f"of which {percent(held['error'])} {wrong(held)}{_sure(held['error'], held['error_interval'])};"


def _slots(told: Mapping[str, Any] | None) -> Iterator[str]:
    if told and told["rows"]:
        where = f"{counted(told['support'], 'value')} in {counted(told['rows'], 'held-out marked sentence')}"
        yield ""
        yield f"Slots, on {where}: F1 {percent(told['f1'])}{_sure(told['f1'], told['f1_interval'])};"
        yield f"{percent(told['whole'])} of the sentences have all right{_sure(told['whole'], told['whole_interval'])}."


def _sure(share: float | None, bounds: Sequence[float]) -> str:
    """The interval of a share, where there was something to measure."""
    return "" if share is None else f" (95 %: {interval(share, bounds)})"


def _weakest(held: Mapping[str, Any]) -> Iterator[str]:
    # what no held-out row is of is not measured, however often it was said; and what is all right is not weak
    labels = [(one["f1"], name, one) for name, one in held["labels"].items() if one["support"] and one["f1"] < 1]
    for _, name, one in sorted(labels, key=lambda item: item[:2])[:_WEAKEST]:
        both = f"precision {percent(one['precision'])}, recall {percent(one['recall'])}"
        yield f"- {name}: {both} ({counted(one['support'], 'row')})"
