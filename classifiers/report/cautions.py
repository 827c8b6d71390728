"""What to hold against a model beside its figures, in sentences for people. Pure."""

from collections.abc import Mapping
from typing import Any


def languages(report: Mapping[str, Any]) -> str:
    """Of the policy's languages those that its encoder knows poorly; empty where there are none. report: as in
    report.json."""
    poor = ", ".join(report.get("poorly_read", ()))
    return f"Its encoder knows English, and {poor} poorly; a multilingual encoder: can be named." if poor else ""
