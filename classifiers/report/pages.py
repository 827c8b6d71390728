"""MODEL_CARD.md, report.html and the page of `offramp eval`: what report.json and an evaluation say, to be read."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from classifiers.report import figures, markup
from classifiers.report.markup import counted, interval, number, percent, wrong

CARD_FILE, PAGE_FILE = "MODEL_CARD.md", "report.html"
_ERRORS, _PAIRS = 25, 15
_WEAKEST = 5


def model_card(report: Mapping[str, Any]) -> str:
    """The card as Markdown. report: as in report.json."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Mapping[str, Any]) -> Iterator[str]:
    held, text = report["held_out"], report["text"]
    yield from (f"# {report['name']}", "", f"A classifier of kind {report['kind']}: {report['about']}", "")
    yield f"- Made: {report['made_at']}, seed {report['seed']}"
    if report["encoder"]:
        yield f"- Encoder: {report['encoder']['source']}, sha256 {report['encoder']['sha256']}"
    yield f"- Head: {report['settings']['head']}"
    sources = ", ".join(f"{count} {source}" for source, count in text["sources"].items())
    yield f"- Training text: {counted(text['rows'], 'text')} ({sources})"
    yield from ("", "## How good it is", "")
    if report.get("patterns"):
        labels = ", ".join(dict.fromkeys(report["patterns"].values()))
        yield f"Found by their form, and not measured here: {labels}."
    if held["labels"]:
        yield from _figures(report, held)
        yield from _slots(report["settings"].get("slots"))
    yield from (
        f"{line[0].upper()}{line[1:]}." for line in (*figures.out_of_scope(report), *figures.in_traffic(report))
    )
    yield from ("", "## Where it is weak", "")
    yield from (f"- Not published: {line}" for line in report.get("missed", ()))
    yield from _weakest(held)
    yield from (f"- {line}" for line in (figures.teacher_caution(report), figures.aim(report)) if line)
    if report["encoder"]:
        yield "- It was trained for the languages that its policy names; text that is surely in another one abstains."
    if poor := figures.languages(report):
        yield f"- {poor}"
    if report.get("patterns"):
        yield "- Patterns find what has a form that they know; the same in words passes."
    if report["kind"] == "safety":
        yield "- No figure here covers people who try to get around it."


def _figures(report: Mapping[str, Any], held: Mapping[str, Any]) -> Iterator[str]:
    where = f"held-out {figures.where(report)}"
    if "flagged" in held and report["kind"] == "safety":
        flagged = held["flagged"]
        caught, alarms = (_bounds(flagged[side], flagged[f"{side}_interval"]) for side in ("harmful", "harmless"))
        yield f"On {where}: {percent(flagged['harmful'])} of what is harmful is flagged{caught},"
        yield f"{percent(flagged['harmless'])} of what is harmless{alarms};"
        yield f"{percent(held['doubted']['harmful'])} and {percent(held['doubted']['harmless'])} are in doubt;"
        yield f"AUPRC {number(held['any']['auprc'])}."
        return
    accuracy, bounds = percent(held["accuracy"]), _bounds(held["accuracy"], held["interval"])
    topics = "flagged" in held
    yield f"On {where}: " + (
        f"{accuracy} of texts are given just their labels{bounds};" if topics else f"accuracy {accuracy}{bounds};"
    )
    yield f"{percent(held['answered'])} answered{_bounds(held['answered'], held['answered_interval'])},"
    yield f"of which {percent(held['error'])} {wrong(held)}{_bounds(held['error'], held['error_interval'])};"
    yield (f"macro F1 {number(held['macro_f1'])}, " if topics else "") + f"ECE {number(held['ece'])}."


def _slots(slots: Mapping[str, Any] | None) -> Iterator[str]:
    if slots and slots["rows"]:
        where = f"{counted(slots['support'], 'value')} in {counted(slots['rows'], 'held-out marked sentence')}"
        whole = f"{percent(slots['whole'])} of the sentences have all right"
        yield ""
        yield f"Slots, on {where}: F1 {percent(slots['f1'])}{_bounds(slots['f1'], slots['f1_interval'])};"
        yield f"{whole}{_bounds(slots['whole'], slots['whole_interval'])}."


def _bounds(share: float | None, bounds: Sequence[float]) -> str:
    return "" if share is None else f" (95 %: {interval(share, bounds)})"


def _weakest(held: Mapping[str, Any]) -> Iterator[str]:
    # a label without held-out rows is not measured, and a label that is always right is not weak
    weak = [(label["f1"], name) for name, label in held["labels"].items() if label["support"] and label["f1"] < 1]
    for _, name in sorted(weak)[:_WEAKEST]:
        label = held["labels"][name]
        both = f"precision {percent(label['precision'])}, recall {percent(label['recall'])}"
        yield f"- {name}: {both} ({counted(label['support'], 'row')})"


def training_page(report: Mapping[str, Any]) -> str:
    """The page of a training. report: as in report.json."""
    stated = any(goal.get("stated", True) for goal in report["goals"])
    return _render("training.html.j2", report=report, held=report["held_out"], stated=stated)


def evaluation_page(evaluation: Mapping[str, Any], files: Sequence[str]) -> str:
    """The page of an evaluation. evaluation: as of `examine`; files: where the rows are from."""
    return _render("evaluation.html.j2", evaluation=evaluation, files=files)


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    for function in (markup.percent, markup.number, markup.within, markup.counted, markup.plain):
        made.filters[function.__name__] = function
    made.globals |= {"figures": figures, "svg": markup, "confusion": _confusion, "risk": _risk, "ERRORS": _ERRORS}
    return made


def _risk(title: str, done: str, curve: Sequence[Mapping[str, float]]) -> str:
    """The curve of risk and coverage. done: what is done with the texts, `answered` or `decided`."""
    points = [(point["answered"], point["error"]) for point in curve]
    top = max(0.02, *(error for _, error in points)) if points else 1.0
    return markup.curves(title, f"share {done}", f"wrong among {done}", [("error", points)], top=top)


def _confusion(matrix: Mapping[str, Any]) -> Mapping[str, Any]:
    names = matrix["labels"]
    cells: list[markup.Cell] = [(cell[0], cell[1], cell[2]) for cell in matrix["cells"]]
    picture = markup.confusion("Confusion", names, cells)
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: (-cell[2], cell))
    texts = zip(cells, matrix["texts"], strict=True)
    return {
        "names": names,
        "picture": picture,
        "too_many": bool(cells) and not picture,
        "texts": [(cell, rows) for cell, rows in texts if picture or cell in wrong],
        "pairs": wrong[:_PAIRS] if picture else wrong,
    }
