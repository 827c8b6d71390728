"""POST /v1/classify: a classifier's verdicts on texts."""

import msgspec
from fastapi import APIRouter, Request, Response

from classifiers.verdict import Reading, Verdict
from gateway.config.problems import did_you_mean
from gateway.endpoints.body import bounded_body, json_response
from gateway.endpoints.recorded import ask, bounded, recorded
from gateway.engine import Engine
from gateway.errors import BadRequest, ModelNotFound
from gateway.in_use import Edition
from gateway.wire.classify import ClassifyAnswer, ClassifyRequest, ClassifyResult, ClassifySpan, SlotResult
from gateway.wire.decode import decoded

_decode = msgspec.json.Decoder(ClassifyRequest).decode


def router(engine: Engine) -> APIRouter:
    """The endpoint."""
    api = APIRouter()

    @api.post("/classify", summary="Ask one classifier for its verdicts")
    async def classify(request: Request) -> Response:
        async with recorded(engine, request, "classify") as context:
            asked = decoded(_decode, await bounded_body(request))
            edition = engine.in_use.edition
            name = _classifier(edition, asked.classifier or asked.model)
            texts = [asked.input] if isinstance(asked.input, str) else asked.input
            bounded(texts)
            readings = [
                Reading(classifier=name, texts=(text,), system=asked.system or "", now=asked.now) for text in texts
            ]
            verdicts = await ask(engine, context, edition, name, readings)
            results = [result_of(verdict) for verdict in verdicts]
            return json_response(ClassifyAnswer(name, edition.versions[name], results))

    return api


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
        spans=[ClassifySpan(one.label, one.kind, one.start, one.end) for one in verdict.spans],
        slots=[
            SlotResult(
                slot=one.slot,
                start=one.start,
                end=one.end,
                raw=one.raw,
                value=one.value,
                currency=one.currency,
                confidence=one.confidence,
            )
            for one in verdict.slots
        ],
        missing=list(verdict.missing),
    )


def _classifier(edition: Edition, name: str | None) -> str:
    names = list(edition.policies)
    if name is None:
        if len(names) != 1:
            raise BadRequest(
                f"classifier: name one of {', '.join(names) or 'none (none is loaded)'}", param="classifier"
            )
        return names[0]
    if name not in edition.policies:
        raise ModelNotFound(f"no classifier {name}{did_you_mean(name, names)}", param="classifier")
    return name
