"""What is wrong with files of rows, in lines for people: a name that is no label of the policy's once, however many
rows have it."""

from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches

from classifiers.policy import NONE, OTHER, Policy

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name in a label's place that is no label of the policy's."""

    name: str


@dataclass(slots=True)
class Faults:
    """Those of some files, in order, each with its place."""

    found: list[tuple[str, str | Unknown]] = field(default_factory=list)
    rows: Counter[Unknown] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, place: str, fault: str | Unknown) -> None:
        """place: `file:line`, or the file."""
        if isinstance(fault, Unknown):
            self.rows[fault] += 1
            if self.rows[fault] > 1:
                return
        self.found.append((place, fault))

    def told(self, policy: Policy) -> str:
        """The first of them, a line each, and how many more there are."""
        lines = [f"{place}: {self._line(policy, fault)}" for place, fault in self.found[:_SHOWN]]
        more = len(self.found) - _SHOWN
        return "\n".join([*lines, *([f"… and {more} more"] if more > 0 else [])])

    def _line(self, policy: Policy, fault: str | Unknown) -> str:
        if isinstance(fault, str):
            return fault
        near = get_close_matches(fault.name, list(policy.labels), n=1)
        # both, for `harmless` is near to `harmful`
        meant = [*(f"did you mean {name!r}?" for name in near), f"where no label holds, write {nothing(policy)}"]
        more = self.rows[fault] - 1
        others = f" ({more:,} more {'row has' if more == 1 else 'rows have'} it)" if more else ""
        return f"no label {fault.name!r} in the policy {policy.name}{others}; {' '.join(meant)}"


def nothing(policy: Policy) -> str:
    """What stands in a label's place where none of the policy's holds."""
    return NONE if policy.multi_label else OTHER
