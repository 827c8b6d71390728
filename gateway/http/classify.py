"""POST /v1/classify, an endpoint of Offramp's own: a classifier's verdicts on texts."""

from datetime import datetime

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from classifiers.verdict import Reading, Verdict
from gateway.config.problems import did_you_mean
from gateway.errors import BadRequest, ModelNotFound
from gateway.http.direct import Engine, ask, bounded, json_response, recorded
from gateway.protocols.json import decoded
from gateway.serving.snapshot import Snapshot


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
    """A verdict. label: the first of labels, null where there is none; abstained: null, or why it abstains;
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


_decode = msgspec.json.Decoder(ClassifyRequest).decode


def classify_route(engine: Engine) -> Route:

    async def classify(request: Request) -> Response:
        async with recorded(engine, request, "classify") as context:
            asked = decoded(_decode, await engine.body(request))
            snapshot = engine.current.snapshot
            name = _classifier(snapshot, asked.classifier or asked.model)
            texts = [asked.input] if isinstance(asked.input, str) else asked.input
            bounded(texts)
            readings = [
                Reading(classifier=name, texts=(text,), system=asked.system or "", now=asked.now) for text in texts
            ]
            verdicts = await ask(engine, context, snapshot, name, readings)
            results = [result_of(verdict) for verdict in verdicts]
            return json_response(ClassifyAnswer(name, snapshot.versions[name], results))

    return Route("/classify", classify, methods=["POST"])


def result_of(verdict: Verdict) -> ClassifyResult:
    """A verdict as it is sent and printed."""
    return ClassifyResult(
        label=verdict.labels[0] if verdict.labels else None,
        labels=list(verdict.labels),
        confidence=verdict.confidence,
        scores=dict(verdict.scores),
        novelty=verdict.novelty,
        abstained=verdict.abstention.value if verdict.abstention else None,
        reason=verdict.reason,
        stage=verdict.stage,
        windows_read=verdict.windows_read,
        windows_unread=verdict.windows_unread,
        spans=[ClassifySpan(span.label, span.kind, span.start, span.end) for span in verdict.spans],
        slots=[
            SlotResult(slot.slot, slot.start, slot.end, slot.raw, slot.value, slot.currency, slot.confidence)
            for slot in verdict.slots
        ],
        missing=list(verdict.missing),
    )


def _classifier(snapshot: Snapshot, name: str | None) -> str:
    names = list(snapshot.policies)
    if name is None:
        if len(names) != 1:
            raise BadRequest(
                f"classifier: name one of {', '.join(names) or 'none (none is loaded)'}", param="classifier"
            )
        return names[0]
    if name not in snapshot.policies:
        raise ModelNotFound(f"no classifier {name}{did_you_mean(name, names)}", param="classifier")
    return name
