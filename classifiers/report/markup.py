"""Figures as people read them, and pictures as inline SVG. Pure: numbers in, text or markup out."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from markupsafe import Markup

_SIZE, _MARGIN = 260, 50
_COLOURS = 10
_BIGGEST_MATRIX = 120
_LONGEST_NAME = 36
_LETTER = 0.58
"""How wide a letter is on average, as a share of its size."""

_FIGURE = re.compile(r"–|[0-9].{,15}")
_DIAGONAL = Markup('<line class="faint" x1="{0}" y1="{1}" x2="{1}" y2="{0}"/>').format(_MARGIN, _MARGIN + _SIZE)
Cell = tuple[int, int, int]
"""A cell of a confusion matrix: truth, prediction, count; the labels by index."""
Curve = tuple[str, Sequence[tuple[float, float]]]


def percent(share: float | None) -> str:
    """`0.123` → `12.3 %`; a dash where there was nothing to measure."""
    return "–" if share is None else f"{share:.1%}".replace("%", " %")


def number(value: float | None) -> str:
    """Three digits; a dash where there was nothing to measure."""
    return "–" if value is None else f"{value:.3f}"


def wrong(measures: Mapping[str, Any]) -> str:
    """What an error is called. Where several labels may hold, a missed label is an error as well."""
    return "with a label wrong or missed" if "flagged" in measures else "wrong"


def interval(share: float | None, bounds: Sequence[float] | None) -> str:
    """The bounds of a share, `80.1 – 85.2 %`; empty where there was nothing to measure."""
    return "" if share is None or bounds is None else f"{bounds[0] * 100:.1f} – {bounds[1] * 100:.1f} %"


def within(share: float | None, bounds: Sequence[float]) -> str:
    """`82.0 % (80.1 – 85.2 %)`; a dash where there was nothing to measure."""
    return percent(share) if share is None else f"{percent(share)} ({interval(share, bounds)})"


def moment(at: float) -> str:
    """Unix seconds in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def counted(count: int, noun: str) -> str:
    """`1 row`, `2 rows`. noun: in the singular."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def plain(value: Any) -> str:
    """A setting of any type: `{"sharpness": 20.0, "share": 0.5}` → `sharpness 20.0, share 0.5`."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        texts = {key: f"({plain(item)})" if isinstance(item, Mapping) else plain(item) for key, item in value.items()}
        return ", ".join(f"{key} {text}" for key, text in texts.items())
    return ", ".join(map(plain, value)) if isinstance(value, (list, tuple)) else str(value)


def numeric_columns(rows: Sequence[Sequence[object]], width: int) -> list[bool]:
    """Which columns hold only figures, or dashes for them, and are set to the right."""
    columns = [[str(row[place]) for row in rows if row[place] != ""] for place in range(width)]
    return [bool(cells) and all(_FIGURE.fullmatch(cell) for cell in cells) for cells in columns]


def curves(title: str, across: str, up: str, lines: Sequence[Curve], *, top: float = 1.0) -> Markup:
    """Lines over 0..1 across and 0..top up. lines: name and points of each."""
    parts, legend = [_axes(across, up, top)], []
    for index, (name, points) in enumerate(lines):
        colour = f"c{index % _COLOURS}"
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (_position(point, top) for point in points))
        line = Markup('<polyline points="{}" class="{}"><title>{}</title></polyline>')
        parts.append(line.format(path, colour, name))
        legend.append(Markup('<span><i class="{}"></i>{}</span>').format(colour, name))
    return _chart(title, parts, legend if len(lines) > 1 else ())


def reliability(title: str, bins: Sequence[tuple[float, float, int]], *, up: str = "how often right") -> Markup:
    """bins: mean confidence, share correct, rows. A dot's area grows with its rows; a perfect model is on the line."""
    most = max((rows for _, _, rows in bins), default=1)
    parts = [_axes("confidence", up, 1.0), _DIAGONAL]
    for confidence, right, rows in bins:
        x, y = _position((confidence, right), 1.0)
        label = f"{counted(rows, 'row')} at {confidence:.0%}: {right:.0%}"
        dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle>')
        parts.append(dot.format(x, y, 3 + 9 * (rows / most) ** 0.5, label))
    return _chart(title, parts)


def confusion(title: str, labels: Sequence[str], cells: Sequence[Cell]) -> Markup:
    """A matrix of the labels that have a cell, right cells green and wrong ones red; empty without any or of too many.
    Each cell links to the element `cell-TRUTH-PREDICTION` of the page."""
    shown = sorted({index for cell in cells for index in cell[:2]})
    if not 0 < len(shown) <= _BIGGEST_MATRIX:
        return Markup()
    step = max(7, min(26, 620 // len(shown)))
    size = min(10, step - 1)
    left = 12 + int(_LETTER * size * max(len(_short(labels[index])) for index in shown))
    places = {index: left + position * step for position, index in enumerate(shown)}
    style = Markup(' font-size="{}"').format(size)
    parts = []
    totals: Counter[int] = Counter()
    for truth, _, count in cells:
        totals[truth] += count
    for index, place in places.items():
        centre = f"{place + step / 2:.1f}"
        turned = style + Markup(' transform="rotate(-60 {} {})"').format(centre, left - 5)
        parts.append(_text(left - 5, f"{place + step / 2 + 3:.1f}", _short(labels[index]), "end", style))
        parts.append(_text(centre, left - 5, _short(labels[index]), "start", turned))
    square = Markup(
        '<a href="#cell-{}-{}"><rect class="{}" x="{}" y="{}" width="{side}" height="{side}" fill-opacity="{:.2f}">'
        "<title>{}</title></rect></a>"
    )
    for truth, prediction, count in cells:
        share = count / max(totals[truth], 1)
        colour = "good" if truth == prediction else "bad"
        label = f"{labels[truth]} → {labels[prediction]}: {count} ({share:.0%})"
        where = truth, prediction, colour, places[prediction], places[truth]
        parts.append(square.format(*where, 0.15 + 0.85 * share, label, side=step - 1))
    end = left + len(shown) * step
    hint = Markup("<p>rows: what it is · columns: what was said · hover for counts, click for texts</p>")
    return _figure(title, (end + left // 2, end), parts, hint)


def bars(title: str, days: Mapping[str, float], written: Callable[[float], str]) -> Markup:
    """A bar for each day from the first to the last, up from 0; empty without any. days: by ISO date, values, of which
    negative ones are drawn as 0 and missing ones left out. written: a value for people."""
    if not days:
        return Markup()
    first, last = date.fromisoformat(min(days)), date.fromisoformat(max(days))
    each = [(first + timedelta(days=place)).isoformat() for place in range((last - first).days + 1)]
    step, most = min(120, 340 / len(each)), max(0.0, *days.values())
    width = max(240, round(len(each) * step))
    scale = Markup('<line class="scale" x1="0" y1="{0}" x2="{1}" y2="{0}"/>')
    parts = [scale.format(110, width), scale.format(14, width), _text(0, 10, written(most)), _text(0, 126, each[0])]
    parts.append(_text(width, 126, each[-1] if len(each) > 1 else "", "end"))
    bar = Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}: {}</title></rect>')
    for place, day in enumerate(each):
        height = 96 * max(0.0, days.get(day, 0.0)) / (most or 1.0)
        if day in days:
            parts.append(bar.format(place * step, 110 - height, 0.9 * step, height, day, written(days[day])))
    return _figure(title, (width, 132), parts)


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_NAME else label[: _LONGEST_NAME - 1] + "…"


def _text(x: object, y: object, text: str, anchor: str = "start", more: str = "") -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}"{}>{}</text>').format(x, y, anchor, more, text)


def _chart(title: str, parts: Sequence[str], legend: Sequence[Markup] = ()) -> Markup:
    side = _SIZE + 2 * _MARGIN
    return _figure(
        title, (side, side), parts, Markup('<p class="legend">{}</p>').format(Markup().join(legend)), "curve"
    )


def _figure(title: str, size: tuple[float, float], parts: Sequence[str], note: str = "", kind: str = "wide") -> Markup:
    return Markup(
        '<figure class="{kind}"><figcaption>{title}</figcaption><svg viewBox="0 0 {0} {1}" width="{0}" role="img" '
        'aria-label="{title}">{parts}</svg>{note}</figure>'
    ).format(*size, kind=kind, title=title, parts=Markup().join(parts), note=note)


def _axes(across: str, up: str, top: float) -> Markup:
    frame = Markup('<rect class="frame" x="{0}" y="{0}" width="{1}" height="{1}"/>').format(_MARGIN, _SIZE)
    digits = 0 if top >= 0.2 else 1
    parts = [frame]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = _position((share, share * top), top)
        parts.append(_text(f"{x:.0f}", _MARGIN + _SIZE + 14, f"{share:.0%}", "middle"))
        parts.append(_text(_MARGIN - 5, f"{y + 3:.0f}", f"{share * top:.{digits}%}", "end"))
    middle = _MARGIN + _SIZE / 2
    parts.append(_text(middle, _MARGIN + _SIZE + 32, across, "middle"))
    parts.append(_text(12, middle, up, "middle", Markup(' transform="rotate(-90 12 {})"').format(middle)))
    return Markup().join(parts)


def _position(point: tuple[float, float], top: float) -> tuple[float, float]:
    x, y = point
    return _MARGIN + x * _SIZE, _MARGIN + _SIZE * (1 - min(y, top) / top)
