"""Which text a goal was judged on, so that its figures are not held against those of other rows. Pure."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """rows: held-out rows, of which `beside` have none of the labels: everyday sentences, where the built-in writer
    gave them, and whatever else is `other` or of no topic."""

    rows: int
    beside: int

    def record(self) -> dict[str, int]:
        """For the report."""
        return {"rows": self.rows, "rows_of_no_label": self.beside}

    def __str__(self) -> str:
        more = f", {self.beside} of them everyday sentences and other text of no label" if self.beside else ""
        return f"{_counted(self.rows, 'row')}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """answers: to those rows, of which `beside` are to text of none of the labels, and so wrong; called: one of them,
    for people."""

    answers: int
    beside: int
    called: str = "answer"

    def record(self) -> dict[str, Any]:
        """For the report."""
        return {"answers": self.answers, "answers_to_no_label": self.beside}

    def __str__(self) -> str:
        more = f", {self.beside} of them to text of no label" if self.beside else ""
        return f"{_counted(self.answers, self.called)}{more}"


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
