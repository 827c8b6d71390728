"""report.html: the report as one self-contained page with pictures; no scripts, nothing fetched. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from classifiers.report import svg
from classifiers.report.figures import interval, number, percent

FILE = "report.html"

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1f2328;background:#fff;max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #d8dee4}
p.lead,figure p,.note{color:#57606a}table{border-collapse:collapse;margin:.6rem 0}
td,th{padding:.25rem .7rem;text-align:left;border-bottom:1px solid #eaeef2;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.figures{display:flex;flex-wrap:wrap;gap:1.2rem}figure{margin:0;overflow-x:auto}figcaption{font-weight:600}
svg{max-width:100%;height:auto}svg text{font-size:10px;fill:#57606a;font-family:system-ui,sans-serif}
svg .frame{fill:#fafbfc;stroke:#d0d7de}svg .faint{stroke:#b6bec8;stroke-dasharray:4 4}
svg polyline{fill:none;stroke-width:2}svg circle{fill:#1f6feb;fill-opacity:.65}
figure.curve{max-width:345px}
.legend span{margin-right:.9rem;white-space:nowrap}
.legend i{display:inline-block;width:.7em;height:.7em;margin-right:.3em}
.yes{color:#1a7f37}.no{color:#c5221f}.big{display:flex;flex-wrap:wrap;gap:2rem;margin:1rem 0}
.big div{min-width:8rem}.big b{display:block;font-size:1.7rem;font-weight:600}
"""


def page(report: Mapping[str, Any]) -> str:
    """report: as in report.json."""
    held = report["held_out"]
    parts = [
        f"<h1>{escape(report['name'])}</h1>",
        f'<p class="lead">{escape(report["about"])} · {escape(report["kind"])} · {escape(report["made_at"])}</p>',
        _verdict(report),
        _patterns(report),
        *(_learned(report, held) if held["labels"] else ()),
        "<h2>Goals and tests</h2>",
        _goals(report),
        _cascade(report),
        "<h2>How it was made</h2>",
        _settings(report),
    ]
    meta = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    head = f"<head>{meta}<title>{escape(report['name'])}</title><style>{_STYLE}</style></head>"
    return f"<!doctype html><html lang='en'>{head}<body>{''.join(parts)}</body></html>\n"


def _verdict(report: Mapping[str, Any]) -> str:
    if report.get("accepted"):
        return '<p class="yes">Published: its tests pass, and the goals that the policy states are met.</p>'
    lines = "".join(f"<li>{escape(line)}</li>" for line in report.get("missed", ()))
    return f'<div class="no">Not published:<ul>{lines}</ul></div>'


def _learned(report: Mapping[str, Any], held: Mapping[str, Any]) -> Iterator[str]:
    yield _headline(report, held)
    yield "<h2>Pictures</h2>"
    yield f'<div class="figures">{"".join(_pictures(held))}</div>'
    yield "<h2>Labels</h2>"
    yield _labels(report, held)
    yield "<h2>Most certain errors</h2>"
    yield _errors(held)
    yield "<h2>Training text</h2>"
    yield _text(report)


def _patterns(report: Mapping[str, Any]) -> str:
    rows = [[escape(kind), escape(label)] for kind, label in report.get("patterns", {}).items()]
    if not rows:
        return ""
    note = "<p>These labels hold where a pattern is found; nothing of them is learned or measured here.</p>"
    return f"<h2>Patterns</h2>{note}{table(['pattern', 'label'], rows)}"


def _headline(report: Mapping[str, Any], held: Mapping[str, Any]) -> str:
    if "flagged" in held:
        flagged = held["flagged"]
        figures = [
            ("of harmful text flagged", percent(flagged["harmful"]), interval(flagged["harmful_interval"])),
            ("of harmless text flagged", percent(flagged["harmless"]), interval(flagged["harmless_interval"])),
            ("of harmless text in doubt", percent(held["doubted"]["harmless"]), ""),
            ("AUPRC, any label", number(held["any"]["auprc"]), ""),
            ("recall at 1 % false alarms", percent(held["any"]["recall_at_1pct_false_alarms"]), ""),
        ]
    else:
        figures = [
            ("accuracy", percent(held["accuracy"]), interval(held["interval"])),
            ("answered", percent(held["answered"]), ""),
            ("wrong among answered", percent(held["error"]), interval(held["error_interval"])),
            ("calibration error (ECE)", number(held["ece"]), ""),
        ]
    boxes = "".join(
        f"<div><b>{value}</b>{escape(name)}<br><span class='note'>{note}</span></div>" for name, value, note in figures
    )
    told = (
        f"Measured on held-out {escape(report['measured_on'])}, {held['rows']} rows: each was scored by a fit that saw"
        " neither it nor its group."
    )
    if report["measured_on"] == "written text":
        told += " Written text orders models; it promises nothing about traffic."
    if report["everyday"]["rows"]:
        told += (
            f" Of {report['everyday']['rows']} everyday sentences, {report['everyday']['answered']} were given a label."
        )
    return f'<div class="big">{boxes}</div><p class="note">{told}</p>'


def _pictures(held: Mapping[str, Any]) -> Iterator[str]:
    bins = [(entry["confidence"], entry["correct"], entry["rows"]) for entry in held["reliability"]]
    if "flagged" in held:
        lines = [("any label", held["any"]["roc"]), *((name, one["roc"]) for name, one in held["labels"].items())]
        drawn = [(name, points) for name, points in lines if points]
        yield svg.curves("ROC", "harmless text flagged", "harmful text caught", drawn, diagonal=True)
        yield svg.reliability("Reliability: is what scores 70 % harmful in 70 %?", bins)
        return
    points = [(point["answered"], point["error"]) for point in held["risk_coverage"]]
    top = max(0.02, *(error for _, error in points)) if points else 1.0
    yield svg.curves("Risk and coverage", "share answered", "wrong among answered", [("error", points)], top=top)
    yield svg.reliability("Reliability: is what is 70 % certain right in 70 %?", bins)
    matrix = held["confusion"]
    cells = [(cell[0], cell[1], cell[2]) for cell in matrix["cells"]]
    yield svg.confusion("Confusion", matrix["labels"], cells)


def _labels(report: Mapping[str, Any], held: Mapping[str, Any]) -> str:
    safety = "flagged" in held
    extra = ["AUPRC", "recall at 1 %"] if safety else []
    rows = [
        [
            escape(name),
            one["support"],
            percent(one["precision"]),
            percent(one["recall"]),
            interval(one["recall_interval"]),
            number(one["f1"]),
            number(report["thresholds"].get(name, {}).get("act")),
            *((number(one["auprc"]), percent(one["recall_at_1pct_false_alarms"])) if safety else ()),
        ]
        for name, one in held["labels"].items()
    ]
    return table(["label", "rows", "precision", "recall", "95 %", "F1", "acts from", *extra], rows)


def _errors(held: Mapping[str, Any]) -> str:
    rows = [
        [escape(error["text"]), escape(error["truth"]), escape(error["said"]), percent(error["confidence"])]
        for error in held["errors"][:25]
    ]
    return table(["text", "is", "said", "certain"], rows) if rows else "<p>There are none.</p>"


def _text(report: Mapping[str, Any]) -> str:
    text = report["text"]
    rows = [[escape(name), count] for name, count in text["sources"].items()]
    forms = ", ".join(f"{count} {escape(form)}" for form, count in text["forms"].items())
    parts = [
        table(["source", "texts"], rows),
        *_teachers(report),
        f"<p>The built-in writer made: {forms or 'nothing'}.</p>",
    ]
    parts.append(f"<p>Dropped: {text['duplicates']} duplicates, {text['empty']} empty.</p>")
    if text["leaks"]:
        parts.append(
            f"<p>Dropped, since the policy's tests hold them too: {'; '.join(map(escape, text['leaks']))}.</p>"
        )
    if text["contradictions"]:
        lines = [[escape(one["text"]), escape(", ".join(one["labels"]))] for one in text["contradictions"]]
        parts.append(f"<p>Dropped, since they were given several labels:</p>{table(['text', 'labels'], lines)}")
    by_source = report["by_source"]
    if len(by_source) > 1:
        lines = [
            [escape(name), one["rows"], percent(one["accuracy"]), interval(one["interval"])]
            for name, one in by_source.items()
        ]
        parts.append(table(["held-out text of", "rows", "accuracy", "95 %"], lines))
    return "".join(parts)


def _teachers(report: Mapping[str, Any]) -> Iterator[str]:
    """Who wrote sentences: how many, which share of all texts that is, and what it cost."""
    rows = []
    for one in report["teachers"]:
        names = [one["model"]] if "model" in one else one["file"]
        shares = [f"{percent(report['text']['writers'].get(name, 0.0))} of all texts" for name in names]
        cost = f"${one['spent_usd']:.4f}" if one.get("price_known") else "unknown" if "model" in one else ""
        tokens = f"{one['input_tokens']} + {one['output_tokens']}" if "model" in one else ""
        note = "stopped by its budget" if one.get("stopped_by_budget") else ""
        cells = [", ".join(names), one["sentences"], ", ".join(shares), cost, tokens, note]
        rows.append([escape(cell) if isinstance(cell, str) else cell for cell in cells])
    if rows:
        yield table(["teacher", "sentences", "share", "cost in this run", "tokens in + out", ""], rows)


def _goals(report: Mapping[str, Any]) -> str:
    parts = []
    for goal in report["goals"]:
        mark = '<span class="yes">met</span>' if goal["met"] else '<span class="no">not met</span>'
        if "label" in goal:
            wanted = f"catch {percent(goal['catch'])} at {percent(goal['false_alarms'])} false alarms"
            asked = f"{escape(goal['label'])}: {wanted}"
            reached = f"{percent(goal['caught'])} at {percent(goal['alarms'])}"
            asked += "" if goal["stated"] else " (by default)"
        else:
            asked = f"at most {percent(goal['max_error'])} error, at least {percent(goal['min_answered'])} answered"
            reached = f"{percent(goal.get('error'))} error, {percent(goal.get('answered'))} answered"
        parts.append(f"<li>{asked}: {mark}, {reached} on {escape(goal['measured_on'])}</li>")
    tests = report["tests"]
    failed = "".join(f'<li class="no">{escape(line)}</li>' for line in tests["failed"])
    passed = tests["count"] - len(tests["failed"])
    return f"<ul>{''.join(parts)}</ul><p>{passed} of the policy's {tests['count']} tests pass.</p><ul>{failed}</ul>"


def _cascade(report: Mapping[str, Any]) -> str:
    """What each share of questions to the large encoder buys."""
    told = report["settings"].get("cascade")
    if not told:
        return ""
    rows = [
        [
            escape(point["point"]),
            percent(point["asked_of_harmless"]),
            percent(point["asked"]),
            percent(point["caught"]),
            percent(point["alarms"]),
            number(point["auprc"]),
            f"{point['ms']:.1f} ms",
        ]
        for point in told["points"]
    ]
    head = ["", "asked of harmless", "asked of all", "harmful flagged", "harmless flagged", "AUPRC", "32 tokens"]
    note = (
        f"The small encoder settles what it is sure of; the large one is asked about the rest, at most "
        f"{percent(told['most_asked'])} of harmless text. On held-out {escape(report['measured_on'])}; "
        "the time is for a window of 32 tokens of harmless text, on the machine that trained."
    )
    return f'<h2>Two encoders</h2><p class="note">{note}</p>{table(head, rows)}'


def _settings(report: Mapping[str, Any]) -> str:
    steps = ", ".join(f"{escape(step)} {seconds:.1f} s" for step, seconds in report["seconds"].items())
    encoder = report["encoder"]
    rows = [
        ["encoder", escape(f"{encoder['source']} ({encoder['sha256'][:12]}…)") if encoder else "none"],
        ["seed", report["seed"]],
        *(
            [escape(name.replace("_", " ")), escape(str(value))]
            for name, value in report["settings"].items()
            if name != "cascade"
        ),
        ["seconds", steps],
    ]
    return table(["", ""], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Cells are markup already; figures are set to the right."""
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    lines = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
    return f"<table><tr>{titles}</tr>{lines}</table>"


def _cell(value: object) -> str:
    figure = isinstance(value, int) or (isinstance(value, str) and value[:1].isdigit() and len(value) < 16)
    return f'<td class="n">{value}</td>' if figure else f"<td>{value}</td>"
