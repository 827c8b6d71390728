"""report.html and the page of `offramp eval`: templates/ rendered over report.json and over an evaluation."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from classifiers.report import figures, markup

FILE = "report.html"
_ERRORS, _PAIRS = 25, 15


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
    """The matrix as a picture, the confused pairs, and the texts behind both."""
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
