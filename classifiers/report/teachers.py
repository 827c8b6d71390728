"""What a reader must know of a teacher that is a model: what it was asked for in vain. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SHOWN_LABELS = 10


def remarks(teacher: Mapping[str, Any]) -> Iterator[str]:
    """A clause for each. teacher: as in the report's `teachers`; those of older reports say less."""
    labels = teacher.get("labels", {})
    if unusable := teacher.get("batches", {}).get("unusable", 0):
        of_each = sorted(labels.items(), key=lambda item: -item[1]["unusable"])
        shares = [f"{name} {counts['unusable']}" for name, counts in of_each if counts["unusable"]]
        told = f" ({_shortened(shares)})" if shares else ""
        refused = f", {teacher['refused']} of them refused" if teacher.get("refused") else ""
        yield f"{unusable} of {teacher['batches']['wanted']} batches brought no sentence{told}{refused}"
    if without := [name for name, counts in labels.items() if not counts["sentences"]]:
        yield f"it wrote nothing for {_shortened(without)}"
    if count := teacher.get("cut_off", 0):
        what = "1 answer was" if count == 1 else f"{count} answers were"
        yield f"{what} cut off for length, which answer_tokens bounds"
    if teacher.get("stopped_by_budget"):
        yield "stopped by its budget"


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_LABELS
    return ", ".join([*names[:_SHOWN_LABELS], *([f"and {more} more"] if more > 0 else [])])
