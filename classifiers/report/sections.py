"""What the pages of training and of `offramp eval` both show of measures: figures, pictures, labels, errors. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from classifiers.report import svg
from classifiers.report.figures import interval, number, percent, wrong
from classifiers.report.layout import boxes, quoted, table
from classifiers.suite import table as suite_table

_PAIRS, _ERRORS = 15, 25
_SHARES = ("precision", "95 %", "recall", "95 %", "F1", "95 %")
_RECALL = "recall_at_1pct_false_alarms"


def headline(measures: Mapping[str, Any], slots: Mapping[str, Any] | None) -> str:
    """The figures that count most. slots: how well those are found, where there are some and it was measured."""
    if _topics(measures):
        flagged = measures["flagged"]
        figures = [
            ("of texts have just their labels", *_accuracy(measures)),
            ("macro F1", number(measures["macro_f1"]), ""),
            ("macro AUPRC", number(measures["macro"]["auprc"]), ""),
            ("answered", *_share(measures, "answered")),
            (f"{wrong(measures)} among answered", *_share(measures, "error")),
            ("of text without a label given one", *_share(flagged, "harmless")),
            ("calibration error (ECE)", number(measures["ece"]), ""),
        ]
    elif "flagged" in measures:
        flagged, doubted = measures["flagged"], measures["doubted"]
        figures = [
            ("of harmful text flagged", *_share(flagged, "harmful")),
            ("of harmless text flagged", *_share(flagged, "harmless")),
            ("of harmful text in doubt", *_share(doubted, "harmful")),
            ("of harmless text in doubt", *_share(doubted, "harmless")),
            ("AUPRC, any label", number(measures["any"]["auprc"]), ""),
            ("recall at 1 % false alarms", *_share(measures["any"], _RECALL)),
            ("calibration error (ECE)", number(measures["ece"]), ""),
        ]
    else:
        figures = [
            ("accuracy", *_accuracy(measures)),
            ("macro F1", number(measures["macro_f1"]), ""),
            ("macro AUPRC", number(measures["macro"]["auprc"]), ""),
            ("answered", *_share(measures, "answered")),
            ("wrong among answered", *_share(measures, "error")),
            ("calibration error (ECE)", number(measures["ece"]), ""),
        ]
    if slots and slots["rows"]:
        asked = "label and all slots" if slots.get("with_label") else "all slots"
        figures += [("slots, F1", *_f1(slots)), (f"of texts with {asked} right", *_share(slots, "whole"))]
    return boxes(figures)


def _topics(measures: Mapping[str, Any]) -> bool:
    """Whether these are of texts that may have several labels, none of which is a harm."""
    return measures.get("kind", "safety") != "safety" and "flagged" in measures


def pictures(measures: Mapping[str, Any]) -> Iterator[str]:
    """Curves, a reliability diagram, and the confusion matrix with the texts behind its cells."""
    yield '<div class="figures">'
    bins = [(entry["confidence"], entry["correct"], entry["rows"]) for entry in measures["reliability"]]
    if "flagged" in measures:
        rankings = [("any label", measures["any"]), *measures["labels"].items()]
        mine, others = ("text of the label", "other text") if _topics(measures) else ("harmful text", "harmless text")
        for title, across, up, key in (
            ("ROC", f"{others} named", f"{mine} named", "roc"),
            ("Precision and recall", f"{mine} named", f"{mine} among named", "precision_recall"),
        ):
            drawn = [(name, one[key]) for name, one in rankings if one[key]]
            yield svg.curves(title, across, up, drawn, diagonal=key == "roc")
        if _topics(measures):
            yield svg.reliability("Reliability: does a label at 70 % hold in 70 %?", bins, up="how often it holds")
        else:
            title = "Reliability: is what scores 70 % harmful in 70 %?"
            yield svg.reliability(title, bins, up="how often harmful")
        yield _risk("Risk and coverage, each score against one half", "decided", measures["risk_coverage"])
    else:
        yield _risk("Risk and coverage", "answered", measures["risk_coverage"])
        yield svg.reliability("Reliability: is what is 70 % certain right in 70 %?", bins)
    yield "</div>"
    yield from _confusion(measures["confusion"])


def _risk(title: str, done: str, curve: Sequence[Mapping[str, float]]) -> str:
    points = [(point["answered"], point["error"]) for point in curve]
    top = max(0.02, *(error for _, error in points)) if points else 1.0
    return svg.curves(title, f"share {done}", f"wrong among {done}", [("error", points)], top=top)


def _confusion(matrix: Mapping[str, Any]) -> Iterator[str]:
    names, cells = matrix["labels"], [(cell[0], cell[1], cell[2]) for cell in matrix["cells"]]
    named, drawn = {index for cell in cells for index in cell[:2]}, set(svg.shown_of(cells))
    yield f'<div id="confusion">{svg.confusion("Confusion", names, cells)}</div>'
    if len(drawn) < len(named):
        what = f"the {len(drawn)} with most errors are drawn" if drawn else "none was taken for another"
        yield f'<p class="note">{len(named)} labels are too many for one matrix: {what}, the rest is listed below.</p>'
    for (truth, said, count), texts in zip(cells, matrix["texts"], strict=True):
        title = f"{escape(names[truth])} → {escape(names[said])}: {count} {'row' if count == 1 else 'rows'}"
        some = f", here are {len(texts)}" if len(texts) < count else ""
        lines = [[quoted(one["text"]), _sure(one)] for one in texts]
        yield (
            f'<section class="cell" id="cell-{truth}-{said}"><h3>{title}{some}</h3>'
            f'{table(["text", "certain"], lines)}<p><a href="#confusion">back to the matrix</a></p></section>'
        )
    pairs = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: (-cell[2], cell))
    listed = [pair for place, pair in enumerate(pairs) if place < _PAIRS or not drawn.issuperset(pair[:2])]
    if listed:
        yield "<h3>What is confused most</h3>" if len(listed) <= _PAIRS else "<h3>What is confused</h3>"
        yield table(
            ["is", "said", "rows"],
            [
                [escape(names[truth]), escape(names[said]), _to_cell((truth, said, n), str(n))]
                for truth, said, n in listed
            ],
        )
    right = [cell for cell in cells if cell[0] == cell[1] and cell[0] not in drawn]
    if right:
        links = " · ".join(_to_cell(cell, f"{names[cell[0]]} {cell[2]}") for cell in right)
        yield f"<details><summary>Right, of labels that are not drawn</summary><p>{links}</p></details>"


def _to_cell(cell: svg.Cell, told: str) -> str:
    truth, said, _ = cell
    return f'<a href="#cell-{truth}-{said}">{escape(told)}</a>'


def _sure(one: Mapping[str, Any]) -> str:
    told = percent(one["confidence"])
    return f'<span class="whole">unsure: {told}</span>' if one.get("doubt") else told


def labels(measures: Mapping[str, Any], thresholds: Mapping[str, Mapping[str, float]]) -> str:
    """A row a label. thresholds: as in report.json."""
    rows = [
        [
            escape(name),
            one["support"],
            *_shares(one),
            number(thresholds.get(name, {}).get("act")),
            number(one["auprc"]),
            *_share(one, _RECALL),
        ]
        for name, one in measures["labels"].items()
    ]
    return table(["label", "rows", *_SHARES, "acts from", "AUPRC", "recall at 1 %", "95 %"], rows)


def _share(measures: Mapping[str, Any], name: str) -> tuple[str, str]:
    """A share of the measures, and its interval."""
    return percent(measures[name]), interval(measures[name], measures[f"{name}_interval"])


def _accuracy(measures: Mapping[str, Any]) -> tuple[str, str]:
    return percent(measures["accuracy"]), interval(measures["accuracy"], measures["interval"])


def slots(measures: Mapping[str, Any]) -> str:
    """A row for all slots, and one a slot."""
    rows = [
        [escape(name), one["support"], *_shares(one)] for name, one in (("all", measures), *measures["slots"].items())
    ]
    return table(["slot", "values", *_SHARES], rows)


def _shares(one: Mapping[str, Any]) -> list[str]:
    return [*_share(one, "precision"), *_share(one, "recall"), *_f1(one)]


def _f1(one: Mapping[str, Any]) -> tuple[str, str]:
    return number(one["f1"]), "" if one["f1"] is None else " – ".join(map(number, one["f1_interval"]))


def slot_errors(measures: Mapping[str, Any]) -> str:
    """The texts with most slots wrong: those that are marked and not found beside those found and not marked."""
    rows = [
        [
            quoted(error["text"]),
            escape(error["truth"]),
            escape(error["said"]),
            *("".join(map(_filled, error[side])) or "nothing" for side in ("marked", "found")),
        ]
        for error in measures["errors"][:_ERRORS]
    ]
    return table(["text", "is", "said", "marked, not found", "found, not marked"], rows)


def _filled(slot: Mapping[str, Any]) -> str:
    return f'<p><span class="note">{_apart(slot["slot"])}:</span> {_apart(slot["raw"])}</p>'


def _apart(text: str) -> str:
    """A text in a line with others, which it does not turn round where it is read from the right."""
    return f"<bdi>{escape(text)}</bdi>"


def errors(measures: Mapping[str, Any]) -> str:
    """The errors made with most certainty, beside the training rows that they are nearest to, where those are known."""
    found = measures["errors"][:_ERRORS]
    if not measures["rows"]:
        return "<p>Nothing was measured.</p>"
    if not found:
        return "<p>There are none.</p>"
    near = any("nearest" in error for error in found)
    rows = [
        [
            quoted(error["text"]),
            escape(error["truth"]),
            escape(error["said"]),
            _sure(error),
            *(["".join(map(_near, error.get("nearest", ())))] if near else []),
        ]
        for error in found
    ]
    return table(["text", "is", "said", "certain", *(["nearest training rows"] if near else [])], rows)


def _near(row: Mapping[str, Any]) -> str:
    told = f"{number(row['cosine'])} {_apart('+'.join(row['labels']) or 'none')}"
    return f'<p><span class="note">{told}:</span> {_apart(row["text"])}</p>'


def suite(measures: Mapping[str, Any]) -> Iterator[str]:
    """The safety suite's table, and how much recall is kept as a picture."""
    bars: list[tuple[str, float, Sequence[float]]] = [
        (f"{family}: {name}", one["kept"], one["kept_interval"])
        for family, found in measures["families"].items()
        for name, one in found["variants"].items()
        if one["kept"] is not None
    ]
    yield (
        f"<p>{measures['harmful']} harmful and {measures['harmless']} harmless rows, and what the suite makes of them. "
        "Kept: what is caught, as a share of what is caught of the same rows as they are. Still caught: of those that "
        "are caught as they are the share that still is, so that nothing newly caught hides what is lost.</p>"
    )
    if left_out := suite_table.left_out(measures):
        yield f"<p>{escape(left_out)}.</p>"
    if bars:
        yield svg.bars("Recall kept", bars)
    rows = [
        [f"<b>{escape(cells[0])}</b>" if summed else escape(cells[0]), *map(escape, cells[1:])]
        for summed, cells in suite_table.rows(measures)
    ]
    yield table(suite_table.HEAD, rows)


def latency(measures: Mapping[str, Any]) -> str:
    """How long a text takes, one at a time."""
    return boxes(
        [
            ("median", f"{measures['p50_ms']:.1f} ms", ""),
            ("95 of 100 within", f"{measures['p95_ms']:.1f} ms", ""),
            ("mean", f"{measures['mean_ms']:.1f} ms", ""),
            ("texts, one at a time", str(measures["rows"]), f"median {measures['median_chars']} characters"),
        ]
    ) + (
        '<p class="note">On this machine with one thread, tokenizer included, nothing remembered from text to text.</p>'
    )
