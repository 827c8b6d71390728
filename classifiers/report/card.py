"""MODEL_CARD.md."""

from collections.abc import Mapping
from typing import Any

FILE = "MODEL_CARD.md"


def page(report: Mapping[str, Any]) -> str:
    return "# card"
