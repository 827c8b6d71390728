"""A report as one self-contained page: style, tables, boxes; no scripts, nothing fetched. Pure."""

from collections.abc import Iterable, Sequence
from html import escape

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
