"""Pictures as inline SVG: curves, a reliability diagram, a confusion matrix. Pure: numbers in, markup out.

Figures as people read them. Pure.

A report as one self-contained page: style, tables, boxes; no scripts, nothing fetched. Pure.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any


def percent(share: float | None) -> str:
    """`0.123` → `12.3 %`; a dash where there was nothing to measure."""
    return "–" if share is None else f"{share:.1%}".replace("%", " %")


def number(value: float | None) -> str:
    """Three digits; a dash where there was nothing to measure."""
    return "–" if value is None else f"{value:.3f}"


def wrong(measures: Mapping[str, Any]) -> str:
    """How an answer that is an error is called: where several labels may hold, a missed one makes it so as well, which
    a goal for the labels given does not count. measures: of intents or topics."""
    return "with a label wrong or missed" if "flagged" in measures else "wrong"


def interval(share: float | None, bounds: Sequence[float] | None) -> str:
    """The bounds of the share, `80.1 – 85.2 %`; nothing where there was nothing to measure, which bounds of 0 and 1
    would not tell from a share that rows leave open."""
    return "" if share is None or bounds is None else f"{bounds[0] * 100:.1f} – {bounds[1] * 100:.1f} %"


def within(share: float | None, bounds: Sequence[float]) -> str:
    """`82.0 % (80.1 – 85.2 %)`; a dash where there was nothing to measure."""
    return percent(share) if share is None else f"{percent(share)} ({interval(share, bounds)})"


def counted(count: int, name: str) -> str:
    """`1 row`, `2 rows`. name: of one."""
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def plain(value: Any) -> str:
    """A setting, whatever it is: `{"sharpness": 20.0, "share": 0.5}` → `sharpness 20.0, share 0.5`."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        inner = ((name, f"({plain(one)})" if isinstance(one, Mapping) else plain(one)) for name, one in value.items())
        return ", ".join(f"{name} {told}" for name, told in inner)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    return str(value)


_STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--paper:#fff;--soft:#57606a;--line:#d8dee4;--faint:#eaeef2;--frame:#fafbfc;
--good:26,127,90;--bad:200,50,40;--link:#0969da;--c0:#1f2328;--c1:#1f6feb;--c2:#d1572b;--c3:#1a7f5a;--c4:#8250df;
--c5:#b08800;--c6:#8c959f;--c7:#c2297d;--c8:#0a8f9c;--c9:#8a5a2b}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--soft:#9aa4af;--line:#30363d;--faint:#21262d;
--frame:#161b22;--good:63,185,120;--bad:248,92,80;--link:#58a6ff;--c0:#e6edf3;--c1:#58a6ff;--c2:#f0883e;--c3:#3fb978;
--c4:#bc8cff;--c5:#e3b341;--c6:#8b949e;--c7:#f778ba;--c8:#39c5cf;--c9:#c69060}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1320px;margin:2rem auto;
padding:0 1rem}p,ul{max-width:1080px}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:.4rem 0}a{color:var(--link)}
p.lead,figure p,.note{color:var(--soft)}table{border-collapse:collapse;margin:.6rem 0;display:block;overflow-x:auto}
td,th{padding:.25rem .45rem;text-align:left;border-bottom:1px solid var(--faint);vertical-align:top}
td:first-child:not(.n){min-width:9rem}
td.n,th.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}td p{margin:0}
.figures{display:flex;flex-wrap:wrap;gap:1.2rem}figure{margin:0;overflow-x:auto}figcaption{font-weight:600}
svg{max-width:100%;height:auto}svg text{font-size:10px;fill:var(--soft);font-family:system-ui,sans-serif}
svg .frame{fill:var(--frame);stroke:var(--line)}svg .faint{stroke:var(--c6);stroke-dasharray:4 4}
svg polyline{fill:none;stroke-width:2}svg circle{fill:var(--c1);fill-opacity:.65}
svg .good{fill:rgb(var(--good))}svg .bad{fill:rgb(var(--bad))}svg .bar{fill:var(--c1);fill-opacity:.75}
svg .whisker{stroke:var(--ink)}svg a:hover rect,svg a:focus rect{stroke:var(--ink);stroke-width:2}
figure.curve{max-width:345px}
.cell{display:none;border-left:3px solid var(--c1);padding:.2rem 0 .2rem 1rem;margin:.6rem 0;scroll-margin-top:40vh}
.cell:target{display:block}
.legend span{margin-right:.9rem;white-space:nowrap}
.legend i{display:inline-block;width:.7em;height:.7em;margin-right:.3em}
.yes{color:rgb(var(--good))}.no{color:rgb(var(--bad))}.warn{border-left:3px solid var(--c5);padding-left:1rem}
.whole{white-space:nowrap}
.big{display:flex;flex-wrap:wrap;gap:2rem;margin:1rem 0}
.big div{min-width:8rem}.big b{display:block;font-size:1.7rem;font-weight:600}
"""


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page of parts that are markup already."""
    meta = "<meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    head = f"<head>{meta}<title>{escape(title)}</title><style>{_STYLE}</style></head>"
    return f"<!doctype html><html lang='en'>{head}<body>{''.join(parts)}</body></html>\n"


def boxes(figures: Iterable[tuple[str, str, str]]) -> str:
    """Figures in large type. figures: name, value and a note on each."""
    told = (
        f"<div><b>{value}</b>{escape(name)}<br><span class='note'>{note}</span></div>" for name, value, note in figures
    )
    return f'<div class="big">{"".join(told)}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Cells are markup already; columns of figures alone are set to the right."""
    columns = list(zip(*rows, strict=True)) or [()] * len(head)
    marks = [' class="n"' if _figures(column) else "" for column in columns]
    titles = "".join(f"<th{mark}>{escape(title)}</th>" for title, mark in zip(head, marks, strict=True))
    lines = "".join(
        f"<tr>{''.join(f'<td{mark}>{value}</td>' for value, mark in zip(row, marks, strict=True))}</tr>" for row in rows
    )
    return f"<table><tr>{titles}</tr>{lines}</table>"


def listed(rows: Iterable[tuple[str, object]]) -> str:
    """Names and what each is, all set to the left."""
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>" for name, value in rows)
    return f"<table>{lines}</table>"


def quoted(text: str) -> str:
    """A text that people wrote, in the direction that it reads in."""
    return f'<p dir="auto">{escape(text)}</p>'


def _figures(column: Sequence[object]) -> bool:
    """Whether all that stands in a column is figures, or a dash for one."""
    told = [value for value in column if value != ""]
    return bool(told) and all(
        isinstance(value, int) or (isinstance(value, str) and (value == "–" or value[:1].isdigit()) and len(value) < 17)
        for value in told
    )


_SIZE, _MARGIN = 260, 50
_COLOURS = tuple(f"var(--c{index})" for index in range(10))
_BIGGEST_MATRIX = 120
_LONGEST_NAME = 36
_LETTER = 0.58
"""How wide a letter is on average, as a share of its size."""

Cell = tuple[int, int, int]
"""Of a confusion matrix: truth, said, count; by index into the labels."""

Curve = tuple[str, Sequence[tuple[float, float]]]


def curves(
    title: str, across: str, up: str, lines: Sequence[Curve], *, diagonal: bool = False, top: float = 1.0
) -> str:
    """Lines over 0..1 across and 0..top up. lines: name and points of each."""
    body = [_axes(across, up, top)]
    if diagonal:
        body.append(f'<line class="faint" {_segment((0, 0), (1, top), top)}/>')
    for index, (name, points) in enumerate(lines):
        colour = _COLOURS[index % len(_COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_at(point, top) for point in points))
        body.append(f'<polyline points="{path}" style="stroke:{colour}"><title>{escape(name)}</title></polyline>')
    legend = "".join(
        f'<span><i style="background:{_COLOURS[index % len(_COLOURS)]}"></i>{escape(name)}</span>'
        for index, (name, _) in enumerate(lines)
    )
    return _figure(title, "".join(body), legend if len(lines) > 1 else "")


def reliability(title: str, bins: Sequence[tuple[float, float, int]], *, up: str = "how often right") -> str:
    """bins: mean confidence, share correct, rows. A dot's area grows with its rows; on the diagonal all is well."""
    most = max((rows for _, _, rows in bins), default=1)
    body = [_axes("confidence", up, 1.0), f'<line class="faint" {_segment((0, 0), (1, 1), 1.0)}/>']
    for confidence, right, rows in bins:
        x, y = _at((confidence, right), 1.0)
        radius = 3 + 9 * (rows / most) ** 0.5
        told = f"{counted(rows, 'row')} at {confidence:.0%}: {right:.0%}"
        body.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{told}</title></circle>')
    return _figure(title, "".join(body), "")


def shown_of(cells: Sequence[Cell]) -> list[int]:
    """Which labels `confusion` draws: all that have a cell, or of too many those with the most errors."""
    named = sorted({index for cell in cells for index in cell[:2]})
    if len(named) <= _BIGGEST_MATRIX:
        return named
    errors: Counter[int] = Counter()
    for truth, said, count in cells:
        if truth != said:
            errors.update({truth: count, said: count})
    return sorted(index for index, _ in errors.most_common(_BIGGEST_MATRIX))


def confusion(title: str, labels: Sequence[str], cells: Sequence[Cell]) -> str:
    """The diagonal is right; what is off it stands out in red. Only the labels of `shown_of`; empty without any.

    Each cell leads to the element `cell-TRUTH-SAID` of the page.
    """
    shown = shown_of(cells)
    if not shown:
        return ""
    place = {index: position for position, index in enumerate(shown)}
    step = max(7, min(26, 620 // len(shown)))
    size = min(10, step - 1)
    left = 12 + int(_LETTER * size * max(len(_short(labels[index])) for index in shown))
    totals = {index: sum(count for truth, _, count in cells if truth == index) for index in shown}
    parts: list[str] = []
    for index in shown:
        centre = left + place[index] * step + step / 2
        name, style = escape(_short(labels[index])), f'style="font-size:{size}px"'
        parts.append(f'<text x="{left - 5}" y="{centre + 3:.1f}" text-anchor="end" {style}>{name}</text>')
        turn = f'transform="rotate(-60 {centre:.1f} {left - 5})"'
        parts.append(f'<text x="{centre:.1f}" y="{left - 5}" {style} {turn}>{name}</text>')
    for truth, said, count in cells:
        if truth not in place or said not in place:
            continue
        share = count / max(totals[truth], 1)
        colour = "good" if truth == said else "bad"
        x, y = left + place[said] * step, left + place[truth] * step
        told = escape(f"{labels[truth]} → {labels[said]}: {count} ({share:.0%})")
        parts.append(
            f'<a href="#cell-{truth}-{said}"><rect class="{colour}" x="{x}" y="{y}" width="{step - 1}" '
            f'height="{step - 1}" fill-opacity="{0.15 + 0.85 * share:.2f}"><title>{told}</title></rect></a>'
        )
    side = left + len(shown) * step + left // 2
    hint = "rows: what it is · columns: what was said · hover for counts, click for texts"
    picture = (
        f'<svg viewBox="0 0 {side} {left + len(shown) * step}" width="{side}" role="img" aria-label="{escape(title)}">'
    )
    return f"<figure><figcaption>{escape(title)}</figcaption>{picture}{''.join(parts)}</svg><p>{hint}</p></figure>"


def bars(title: str, lines: Sequence[tuple[str, float, Sequence[float] | None]]) -> str:
    """Bars over 0..1 with whiskers. lines: name, share and its interval, of which what lies past 1 is cut off."""
    left = 12 + int(_LETTER * 10 * max((len(_short(name)) for name, _, _ in lines), default=0))
    width, step = 420, 18
    parts = []
    for index, (name, share, bounds) in enumerate(lines):
        y = index * step
        told = escape(f"{name}: {share:.1%}" + (f" (95 %: {bounds[0]:.1%} to {bounds[1]:.1%})" if bounds else ""))
        long = width * min(share, 1.0)
        parts.append(f'<text x="{left - 6}" y="{y + 12}" text-anchor="end">{escape(_short(name))}</text>')
        size = f'x="{left}" y="{y + 3}" width="{long:.1f}" height="{step - 6}"'
        parts.append(f'<rect class="bar" {size}><title>{told}</title></rect>')
        if bounds:
            ends = (f"{left + width * min(bound, 1.0):.1f}" for bound in bounds)
            parts.append('<line class="whisker" x1="{}" x2="{}" y1="{y}" y2="{y}"/>'.format(*ends, y=y + step // 2))
        parts.append(f'<text x="{left + width + 6}" y="{y + 12}">{share:.0%}</text>')
    box = f'viewBox="0 0 {left + width + 50} {len(lines) * step}" width="{left + width + 50}"'
    picture = f'<svg {box} role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    return f"<figure><figcaption>{escape(title)}</figcaption>{picture}</figure>"


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_NAME else label[: _LONGEST_NAME - 1] + "…"


def _figure(title: str, body: str, legend: str) -> str:
    side = _SIZE + 2 * _MARGIN
    caption = f"<figcaption>{escape(title)}</figcaption>"
    picture = f'<svg viewBox="0 0 {side} {side}" width="{side}" role="img" aria-label="{escape(title)}">{body}</svg>'
    return f'<figure class="curve">{caption}{picture}<p class="legend">{legend}</p></figure>'


def _axes(across: str, up: str, top: float) -> str:
    parts = [f'<rect class="frame" x="{_MARGIN}" y="{_MARGIN}" width="{_SIZE}" height="{_SIZE}"/>']
    for step in range(5):
        share = step / 4
        x, y = _at((share, share * top), top)
        parts.append(f'<text x="{x:.0f}" y="{_MARGIN + _SIZE + 14}" text-anchor="middle">{share:.0%}</text>')
        parts.append(f'<text x="{_MARGIN - 5}" y="{y + 3:.0f}" text-anchor="end">{share * top:.{_digits(top)}%}</text>')
    middle = _MARGIN + _SIZE / 2
    parts.append(f'<text x="{middle}" y="{_MARGIN + _SIZE + 32}" text-anchor="middle">{escape(across)}</text>')
    parts.append(
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{escape(up)}</text>'
    )
    return "".join(parts)


def _digits(top: float) -> int:
    return 0 if top >= 0.2 else 1


def _at(point: tuple[float, float], top: float) -> tuple[float, float]:
    x, y = point
    return _MARGIN + x * _SIZE, _MARGIN + _SIZE * (1 - min(y, top) / top)


def _segment(start: tuple[float, float], end: tuple[float, float], top: float) -> str:
    (x1, y1), (x2, y2) = _at(start, top), _at(end, top)
    return f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
