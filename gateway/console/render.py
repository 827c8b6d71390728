"""Templates to pages, and how figures, times and foreign text are written on them."""

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

HERE: Final = Path(__file__).parent
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
PAGES: Final = (
    *(("/", "Live"), ("/today", "Today"), ("/try", "Try it"), ("/review", "Review"), ("/train", "Train")),
    *(("/classifiers", "Classifiers"), ("/rules", "Rules"), ("/discover", "Discover")),
)
"""Address and name of each page, in the order of the menu."""


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A whole page. values: what its template shows."""
    text = _templates().get_template(template).render(path=request.url.path, pages=PAGES, **values)
    return HTMLResponse(text, status_code=status)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"dollars": dollars, "at": at, "ms": ms, "visible": visible, "query": query}
    made.filters["segment"] = lambda text: quote(text, safe="")
    return made


def dollars(value: float | None) -> str:
    """`$0.001250`, `$12.30`; what is not known is no zero."""
    if value is None:
        return "unknown"
    sign, size = "−" if value < 0 else "", abs(value)
    return f"{sign}${size:,.2f}" if size >= 1 or size == 0 else f"{sign}${size:.6f}"


def at(seconds: float) -> str:
    """Unix seconds as `2026-12-03 05:12:09`, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def ms(seconds: float | None) -> str:
    """Seconds as milliseconds; a dash where nothing was measured."""
    return "–" if seconds is None else f"{seconds * 1000:.1f}" if seconds < 0.1 else f"{seconds * 1000:,.0f}"


def visible(text: str) -> str:
    """A foreign text with its invisible signs written out, as `⟨U+200B⟩`; line ends and tabs stay."""
    return "".join(
        f"⟨U+{ord(sign):04X}⟩" if unicodedata.category(sign) in _INVISIBLE and sign not in "\n\t" else sign
        for sign in text
    )


def query(values: Mapping[str, Any], **changed: Any) -> str:
    """An address's query, `?rule=safety`, of what is not empty."""
    kept = {name: value for name, value in {**values, **changed}.items() if value not in ("", None)}
    return f"?{urlencode(kept)}" if kept else "?"
