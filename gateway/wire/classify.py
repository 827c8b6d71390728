"""POST /v1/classify: Offramp's own endpoint."""

from datetime import datetime

from msgspec import Struct


class ClassifyRequest(Struct):
    """`input`: a text or a list of texts; `classifier`: its name, needed where several are loaded;
    `system`: the system prompt that they were written under, for classifiers that read it;
    `now`: what `tomorrow` is relative to, ISO 8601, by default the server's time."""

    input: str | list[str]
    system: str | None = None
    now: datetime | None = None
    classifier: str | None = None
    model: str | None = None


class ClassifySpan(Struct):
    """A place in the input. start, end: in characters (Unicode code points), end exclusive."""

    label: str
    kind: str
    start: int
    end: int


class SlotResult(Struct):
    """What the input fills a slot with. start, end: characters of the input, end exclusive; raw: those characters;
    value: what they say, null where that can't be told; currency: of money."""

    slot: str
    start: int
    end: int
    raw: str
    value: str | int | float | None
    currency: str | None
    confidence: float


class ClassifyResult(Struct):
    """A verdict. label: the first of labels, null where there is none; abstained: null, unsure, unread or broken;
    slots, missing: of a policy with slots, what the input fills in and which required slots it does not."""

    label: str | None
    labels: list[str]
    confidence: float
    scores: dict[str, float]
    novelty: float
    abstained: str | None
    reason: str
    stage: str
    windows_read: int
    windows_unread: int
    spans: list[ClassifySpan] = []
    slots: list[SlotResult] = []
    missing: list[str] = []


class ClassifyAnswer(Struct):
    """One result for each input, in order."""

    classifier: str
    version: str
    results: list[ClassifyResult]
    object: str = "classification"
