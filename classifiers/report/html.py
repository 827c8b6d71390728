"""report.html."""

from collections.abc import Mapping
from typing import Any

FILE = "report.html"


def page(report: Mapping[str, Any]) -> str:
    return "<html></html>"
