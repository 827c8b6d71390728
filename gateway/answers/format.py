"""What a classifier predicts for a request, and why a prediction may not fit the format that it asks for. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from classifiers.policy import Slot
from classifiers.verdict import SlotValue
from gateway.protocols.wire import Unsupported, UnsupportedReason
from gateway.spelling import BARE, Form, LabelNames

Path = tuple[str, ...]
"""Names of properties, from the outermost in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotFilling:
    """One of the policy's slots and its values in the order of the text; none where the text has none."""

    slot: Slot
    values: tuple[SlotValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherLabel:
    """What another classifier says, for the field that it fills. labels: none where it abstains, for which `why`
    speaks. names: all labels that it knows. confidence: 0..1, of the least certain label."""

    classifier: str
    labels: tuple[str, ...]
    names: LabelNames
    confidence: float
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a classifier predicts for a request, as far as an answer needs it.

    labels: the most certain first. names: all labels that it knows. confidence: 0..1, of the least certain label,
    those of further classifiers with it. scores: calibrated, by label. slots: all of its policy's, by name. fields:
    what fills a schema's field, by the field's name: LABEL, CONFIDENCE, FURTHER or a slot's name. further: by the field
    that it fills. ignores: fields that are left out, or get this value where they are required. free_order: whether
    lists may be in any order. several: whether there may be several labels. with_lists: whether one label is all of a
    list. form: of the model's answers; None where nobody knows it.
    """

    labels: tuple[str, ...]
    names: LabelNames
    confidence: float
    scores: Mapping[str, float]
    slots: Mapping[str, SlotFilling] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    further: Mapping[str, FurtherLabel] = field(default_factory=dict)
    ignores: Mapping[str, Any] = field(default_factory=dict)
    free_order: bool = False
    several: bool = False
    with_lists: bool = False
    form: Form | None = BARE


class CannotFill(Exception):
    """Nothing can be given at a place of a schema. detail: a text, or several that are joined only where needed."""

    def __init__(self, reason: UnsupportedReason, path: Path, detail: str | Iterable[object] = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self._path = path
        self._detail = detail

    def unsupported(self) -> Unsupported:
        where = ".".join(self._path)
        detail = self._detail if isinstance(self._detail, str) else ", ".join(map(str, self._detail))
        return Unsupported(self.reason, ": ".join(filter(None, (where, detail))) or "the whole answer")
