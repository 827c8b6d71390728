"""What a classifier says of a request, as far as its answer needs it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from classifiers.policy import Slot
from classifiers.verdict import SlotValue
from gateway.spelling import Names


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One of the policy's slots and what the text fills it with, in the order in which it does; nothing where it says
    nothing of it."""

    slot: Slot
    values: tuple[SlotValue, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """labels: the most certain first; names: all that it could name; scores: calibrated, of each; slots: all of its
    policy, by name."""

    labels: tuple[str, ...]
    names: Names
    confidence: float
    scores: Mapping[str, float]
    slots: Mapping[str, Found] = field(default_factory=dict)
