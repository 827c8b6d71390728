"""What to hold against a model beside its figures, in sentences for people. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from classifiers.report.figures import counted, percent, within


def aim(report: Mapping[str, Any]) -> str:
    """Which share of errors thresholds were to keep to where the policy states no goal, and what came of it; empty
    where it states one. report: as in report.json."""
    wanted, held = report.get("aimed_error"), report["held_out"]
    if wanted is None or held.get("error") is None:
        return ""
    reached = within(held["error"], held["error_interval"])
    return f"Without a goal, {percent(wanted)} wrong among answered is aimed at, not demanded: {reached}."


def languages(report: Mapping[str, Any]) -> str:
    """Of the policy's languages those that its encoder knows poorly; empty where there are none. report: as in
    report.json."""
    poor = ", ".join(report.get("poorly_read", ()))
    return f"Its encoder knows English, and {poor} poorly; a multilingual encoder: can be named." if poor else ""


_FEW = 0.01


def foreign(text: Mapping[str, Any]) -> Iterator[str]:
    """What of the training text is in languages that the policy does not name, where that is more than a sentence here
    and there (1 %). text: of the report."""
    found = text.get("foreign", {"rows": 0, "dropped": 0})
    if found["rows"] and found["rows"] >= _FEW * found["of"]:
        are = "is" if found["rows"] == 1 else "are"
        yield (
            f"{found['rows']} of {counted(found['of'], 'row')} {are} in a language that the policy does not name "
            f"({_counted(found['languages'])}), on which it abstains: name it under languages:"
        )
    if found["dropped"]:
        were = (
            "1 sentence of a teacher was" if found["dropped"] == 1 else f"{found['dropped']} sentences of teachers were"
        )
        yield (f"{were} dropped: in a language that the policy does not name ({_counted(found['languages_dropped'])})")


def seen(rows: int) -> str:
    """Of rows of a test."""
    were = "was trained on and counts" if rows == 1 else "were trained on and count"
    return f"{counted(rows, 'more row')} {were} in no figure"


def repeats(rows: int) -> str:
    """Of rows of a test."""
    return f"{counted(rows, 'row')} {'repeats' if rows == 1 else 'repeat'} the text of another"


def read_otherwise(rows: int) -> str:
    """Of rows whose text speaks for another label than theirs."""
    return f"{counted(rows, 'row')} {'reads' if rows == 1 else 'read'} like another label"


def _counted(languages: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in languages.items())
