"""What the pages of training and of `offramp eval` both show of measures: figures, pictures, labels, errors. Pure.

What to hold against a model beside its figures, in sentences for people. Pure.

What the policy states as its goals and tests, and what became of them, as HTML. Pure.

Whose text held-out figures were measured on, in words. Pure. Reports are as in report.json.

A suite's figures as lines that people read. Pure.

What a reader must know of a teacher that is a model: what it was asked for in vain. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from classifiers.report import markup
from classifiers.report.markup import boxes, counted, interval, number, percent, quoted, table, within, wrong


def aim(report: Mapping[str, Any]) -> str:
    """Which share of errors thresholds were to keep to where the policy states no goal, and what came of it; empty
    where it states one. report: as in report.json."""
    wanted, held = report.get("aimed_error"), report["held_out"]
    if wanted is None or held.get("error") is None:
        return ""
    reached = within(held["error"], held["error_interval"])
    return f"Without a goal, {percent(wanted)} wrong among answered is aimed at, not demanded: {reached}."


def languages(report: Mapping[str, Any]) -> str:
    """Of the policy's languages those that its encoder knows poorly; empty where there are none. report: as in
    report.json."""
    poor = ", ".join(report.get("poorly_read", ()))
    return f"Its encoder knows English, and {poor} poorly; a multilingual encoder: can be named." if poor else ""


_FEW = 0.01


def foreign(text: Mapping[str, Any]) -> Iterator[str]:
    """What of the training text is in languages that the policy does not name, where that is more than a sentence here
    and there (1 %). text: of the report."""
    found = text.get("foreign", {"rows": 0, "dropped": 0})
    if found["rows"] and found["rows"] >= _FEW * found["of"]:
        are = "is" if found["rows"] == 1 else "are"
        yield (
            f"{found['rows']} of {counted(found['of'], 'row')} {are} in a language that the policy does not name "
            f"({_counted(found['languages'])}), on which it abstains: name it under languages:"
        )
    if found["dropped"]:
        were = (
            "1 sentence of a teacher was" if found["dropped"] == 1 else f"{found['dropped']} sentences of teachers were"
        )
        yield (f"{were} dropped: in a language that the policy does not name ({_counted(found['languages_dropped'])})")


def seen(rows: int) -> str:
    """Of rows of a test."""
    were = "was trained on and counts" if rows == 1 else "were trained on and count"
    return f"{counted(rows, 'more row')} {were} in no figure"


def repeats(rows: int) -> str:
    """Of rows of a test."""
    return f"{counted(rows, 'row')} {'repeats' if rows == 1 else 'repeat'} the text of another"


def read_otherwise(rows: int) -> str:
    """Of rows whose text speaks for another label than theirs."""
    return f"{counted(rows, 'row')} {'reads' if rows == 1 else 'read'} like another label"


def _counted(languages: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in languages.items())


_MARKS = {
    True: '<span class="yes">met</span>',
    False: '<span class="no">not met</span>',
    None: "not shown, with nothing to measure it on",
}
_SIDES = ("catch", "false_alarms")
_AIMED = "aimed at, not demanded"


def section(report: Mapping[str, Any]) -> str:
    """report: as in report.json."""
    parts = []
    for goal in report["goals"]:
        mark = _MARKS[goal["met"]]
        if "label" in goal:
            mark = _MARKS[goal["demanded_met"]] if goal["demanded"] else _AIMED
            aims = {side: "" if side in goal["demanded"] or not goal["stated"] else f" ({_AIMED})" for side in _SIDES}
            wanted = f"catch {percent(goal['catch'])}{aims['catch']}"
            wanted += f" at {percent(goal['false_alarms'])} false alarms{aims['false_alarms']}"
            asked = f"{escape(goal['label'] or 'any label')}: {wanted}"
            caught, alarms = (within(goal[side], goal[f"{side}_interval"]) for side in ("caught", "alarms"))
            reached = f"{caught} at {alarms}"
            asked += "" if goal["stated"] else " (by default)"
        else:
            asked = f"at most {percent(goal['max_error'])} error, at least {percent(goal['min_answered'])} answered"
            error = within(goal["error"], goal["error_interval"]) if "error" in goal else "–"
            reached = f"{error} error, {percent(goal.get('answered'))} answered"
        parts.append(f"<li>{asked}: {mark}, {reached} on {escape(goal['measured_on'])}{_judged(goal)}</li>")
    tests = report["tests"]
    failed = "".join(f'<li class="no">{escape(line)}</li>' for line in tests["failed"])
    passed = f"{tests['count'] - len(tests['failed'])} of the policy's {counted(tests['count'], 'test')} pass"
    if tests.get("left_out"):
        passed += f"; {tests['left_out']} under a system prompt are left out, since none is read"
    note = (
        '<p class="note">In brackets: 95 % intervals (Wilson) on the rows by which the thresholds were chosen.</p>'
        if parts
        else ""
    )
    return f"<ul>{''.join(parts)}</ul>{note}<p>{passed}.</p><ul>{failed}</ul>"


def _judged(goal: Mapping[str, Any]) -> str:
    """How many rows, which are more than the held-out ones above where everyday sentences are among them."""
    told = ""
    if beside := goal.get("rows_of_no_label"):
        told += f" ({counted(goal['rows'], 'row')}, {beside} of them everyday sentences and other text of no label)"
    if never := goal.get("never_named"):
        told += f'; <span class="no">never named: {escape(", ".join(never))}</span>'
    return told


_UNWARNED = frozenset({"real rows", "nothing"})


def where(report: Mapping[str, Any]) -> str:
    """`written and real text, 13 rows, 1 of them real`."""
    rows, real = report["held_out"]["rows"], report["measured_real"]
    return f"{report['measured_on']}, {counted(rows, 'row')}" + (f", {real} of them real" if 0 < real < rows else "")


def teacher_caution(report: Mapping[str, Any]) -> str:
    """What text written for training shows of what users write; empty where they wrote all that was measured on."""
    if report["measured_on"] in _UNWARNED:
        return ""
    rows, real = report["held_out"]["rows"], report["measured_real"]
    if real:
        told = f"{real} of the {counted(rows, 'row')} that this was measured on {'is' if real == 1 else 'are'} real"
        told += ", the others were written for training."
    else:
        told = "All of this was measured on text written for training."
    return (
        f"{told} Written text orders models; it promises nothing about traffic: measure on your own messages with "
        "`offramp eval`."
    )


_BAD = ("harmful", "caught", "clean", "kept", "95 %", "still caught", "95 %")
_GOOD = ("harmless", "false alarms", "95 %", "clean", "in doubt")
HEAD = ("", *_BAD, *_GOOD)


def suite_rows(suite: Mapping[str, Any]) -> Iterator[tuple[bool, tuple[str, ...]]]:
    """(whether it is a family's sum, cells under HEAD): the clean rows, then each family and its variants."""
    yield True, ("as they are", *_cells(suite["clean"]))
    for family, found in suite["families"].items():
        yield True, (family, *_cells(found["all"]))
        for variant, figures in found["variants"].items():
            yield False, (variant, *_cells(figures))


def plain(suite: Mapping[str, Any]) -> Iterator[str]:
    """For a terminal."""
    if suite_left_out(suite):
        yield suite_left_out(suite)
    yield (
        f"suite: {suite['harmful']} harmful and {suite['harmless']} harmless rows; kept = caught / caught clean, "
        "still = share of what is caught clean that still is"
    )
    lines = [(cells[0] if summed else f"  {cells[0]}", cells) for summed, cells in suite_rows(suite)]
    wide = max(len(name) for name, _ in lines)
    yield f"  {'':{wide}}{'caught':>9}{'clean':>9}{'kept':>9}{'still':>9}{'alarms':>9}{'clean':>9}{'in doubt':>10}"
    for name, cells in lines:
        shown = "".join(f"{cells[place]:>9}" for place in (2, 3, 4, 6, 9, 11))
        yield f"  {name:{wide}}{shown}{cells[12]:>10}".rstrip()


def suite_left_out(suite: Mapping[str, Any]) -> str:
    """What counts in no figure, because training had it; empty where there is none."""
    seen = suite["trained_on"]
    count, flagged = seen["harmless"], percent(seen["alarms"])
    lines = "line was trained on and counts" if count == 1 else "lines were trained on and count"
    return f"{count} of the suite's own harmless {lines} in no figure ({flagged} flagged)" if count else ""


def markdown(suite: Mapping[str, Any]) -> Iterator[str]:
    """For a document."""
    yield f"| {' | '.join(HEAD)} |"
    yield "|---" * len(HEAD) + "|"
    for summed, cells in suite_rows(suite):
        name = f"**{cells[0]}**" if summed else cells[0]
        yield f"| {' | '.join((name, *cells[1:]))} |"


def _cells(figures: Mapping[str, Any]) -> tuple[str, ...]:
    bad, good = figures["harmful"], figures["harmless"]
    caught = (
        percent(figures["caught"]),
        percent(figures["clean"]),
        percent(figures["kept"]),
        interval(figures["kept"], figures["kept_interval"]),
        percent(figures["still_caught"]),
        interval(figures["still_caught"], figures["still_caught_interval"]),
    )
    alarms = (
        percent(figures["alarms"]),
        interval(figures["alarms"], figures["alarms_interval"]),
        percent(figures["clean_alarms"]),
        percent(figures["in_doubt"]),
    )
    return (
        *((str(bad), *caught) if bad else ("",) * len(_BAD)),
        *((str(good), *alarms) if good else ("",) * len(_GOOD)),
    )


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
            yield markup.curves(title, across, up, drawn, diagonal=key == "roc")
        if _topics(measures):
            yield markup.reliability("Reliability: does a label at 70 % hold in 70 %?", bins, up="how often it holds")
        else:
            title = "Reliability: is what scores 70 % harmful in 70 %?"
            yield markup.reliability(title, bins, up="how often harmful")
        yield _risk("Risk and coverage, each score against one half", "decided", measures["risk_coverage"])
    else:
        yield _risk("Risk and coverage", "answered", measures["risk_coverage"])
        yield markup.reliability("Reliability: is what is 70 % certain right in 70 %?", bins)
    yield "</div>"
    yield from _confusion(measures["confusion"])


def _risk(title: str, done: str, curve: Sequence[Mapping[str, float]]) -> str:
    points = [(point["answered"], point["error"]) for point in curve]
    top = max(0.02, *(error for _, error in points)) if points else 1.0
    return markup.curves(title, f"share {done}", f"wrong among {done}", [("error", points)], top=top)


def _confusion(matrix: Mapping[str, Any]) -> Iterator[str]:
    names, cells = matrix["labels"], [(cell[0], cell[1], cell[2]) for cell in matrix["cells"]]
    named, drawn = {index for cell in cells for index in cell[:2]}, set(markup.shown_of(cells))
    yield f'<div id="confusion">{markup.confusion("Confusion", names, cells)}</div>'
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


def _to_cell(cell: markup.Cell, told: str) -> str:
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
    if left_out := suite_left_out(measures):
        yield f"<p>{escape(left_out)}.</p>"
    if bars:
        yield markup.bars("Recall kept", bars)
    rows = [
        [f"<b>{escape(cells[0])}</b>" if summed else escape(cells[0]), *map(escape, cells[1:])]
        for summed, cells in suite_rows(measures)
    ]
    yield table(HEAD, rows)


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


_SHOWN_LABELS = 10


def remarks(teacher: Mapping[str, Any]) -> Iterator[str]:
    """A clause for each. teacher: as in the report's `teachers`; those of older reports say less."""
    labels = teacher.get("labels", {})
    if unusable := teacher.get("batches", {}).get("unusable", 0):
        of_each = sorted(labels.items(), key=lambda item: -item[1]["unusable"])
        shares = [f"{name} {counts['unusable']}" for name, counts in of_each if counts["unusable"]]
        told = f" ({_shortened(shares)})" if shares else ""
        refused = f", {teacher['refused']} of them refused" if teacher.get("refused") else ""
        yield f"{unusable} of {teacher['batches']['wanted']} batches brought no sentence{told}{refused}"
    if without := [name for name, counts in labels.items() if not counts["sentences"]]:
        yield f"it wrote nothing for {_shortened(without)}"
    if count := teacher.get("cut_off", 0):
        what = "1 answer was" if count == 1 else f"{count} answers were"
        yield f"{what} cut off for length, which answer_tokens bounds"
    if teacher.get("stopped_by_budget"):
        yield "stopped by its budget"


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_LABELS
    return ", ".join([*names[:_SHOWN_LABELS], *([f"and {more} more"] if more > 0 else [])])
