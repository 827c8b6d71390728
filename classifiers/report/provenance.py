"""Whose text held-out figures were measured on, in words. Pure. Reports are as in report.json."""

from collections.abc import Mapping
from typing import Any

from classifiers.report.figures import counted

_UNWARNED = frozenset({"real rows", "nothing"})


def where(report: Mapping[str, Any]) -> str:
    """`written and real text, 13 rows, 1 of them real`."""
    rows, real = report["held_out"]["rows"], report["measured_real"]
    return f"{report['measured_on']}, {counted(rows, 'row')}" + (f", {real} of them real" if 0 < real < rows else "")


def caution(report: Mapping[str, Any]) -> str:
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
