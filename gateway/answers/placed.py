"""What stands in an object that is being filled."""

from dataclasses import dataclass, field

Path = tuple[str, ...]
"""Names of properties, from the outermost in."""


@dataclass(slots=True)
class Placed:
    """What stands in the object so far. label: as the caller spells it; words: the caller's values for its place that
    stand for labels; slots: names of slots by their field's place, those that say nothing among them; confidence:
    0..1, of the least certain slot's value; values: how many slots have one."""

    label: str | None = None
    words: tuple[str, ...] = ()
    slots: dict[Path, str] = field(default_factory=dict)
    confidence: float = 1.0
    values: int = 0

    def copy(self) -> "Placed":
        return Placed(self.label, self.words, dict(self.slots), self.confidence, self.values)
