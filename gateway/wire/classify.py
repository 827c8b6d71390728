"""POST /v1/classify: Offramp's own endpoint."""

from msgspec import Struct


class ClassifyRequest(Struct):
    """`input`: a text or a list of texts; `classifier`: its name, needed where several are loaded."""

    input: str | list[str]
    classifier: str | None = None
    model: str | None = None


class ClassifySpan(Struct):
    """A place in the input. start, end: in characters (Unicode code points), end exclusive."""

    label: str
    kind: str
    start: int
    end: int


class ClassifyResult(Struct):
    """A verdict. label: the first of labels, null where there is none; abstained: null, unsure, unread or broken."""

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


class ClassifyAnswer(Struct):
    """One result for each input, in order."""

    classifier: str
    version: str
    results: list[ClassifyResult]
    object: str = "classification"
