"""Pictures as inline SVG: curves, a reliability diagram, a confusion matrix. Pure: numbers in, markup out."""

from collections import Counter
from collections.abc import Sequence
from html import escape

from classifiers.report.figures import counted

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
