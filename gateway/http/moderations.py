"""POST /v1/moderations: the safety classifier in OpenAI's shape."""

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from classifiers.policy import Policy
from classifiers.verdict import Abstention, Reading, Verdict
from gateway.context import REQUEST_ID
from gateway.errors import BadRequest, ModelNotFound, NotFound, Overloaded, Unavailable
from gateway.http.direct import Engine, ask, bounded, json_response, recorded
from gateway.protocols import moderations as wire
from gateway.protocols.json import decoded
from gateway.protocols.moderations import CATEGORIES
from gateway.requests.messages import READABLE_PARTS
from gateway.serving.snapshot import Snapshot

_decode = msgspec.json.Decoder(wire.ModerationRequest).decode
_decode_item = msgspec.json.Decoder(str | wire.ModerationPart).decode


def moderations_route(engine: Engine) -> Route:
    """The endpoint."""

    async def moderations(request: Request) -> Response:
        async with recorded(engine, request, "moderations") as context:
            asked = decoded(_decode, await engine.body(request))
            edition = engine.in_use.edition
            name = _classifier(edition, asked.model)
            readings = [Reading(classifier=name, texts=texts) for texts in _inputs(asked)]
            verdicts = await ask(engine, context, edition, name, readings)
            for verdict in verdicts:
                _must_be_judged(verdict, context.wait_s)
            results = [_result(verdict, edition.policies[name]) for verdict in verdicts]
            answer_id = "modr-" + request.scope[REQUEST_ID].removeprefix("req_")
            return json_response(wire.ModerationAnswer(answer_id, f"{name}@{edition.versions[name]}", results))

    return Route("/moderations", moderations, methods=["POST"])


def _must_be_judged(verdict: Verdict, wait_s: float) -> None:
    """What was not read, or not judged, must not be called harmless. A label that holds stands all the same."""
    if verdict.labels:
        return
    if verdict.windows_unread:
        raise BadRequest("input: is too long to be read whole; send it in parts", param="input")
    if verdict.abstention is Abstention.LANGUAGE:
        raise BadRequest(f"input: is in a language that {verdict.classifier} does not name", param="input")
    if verdict.abstention is Abstention.LATE:
        raise Overloaded(wait_s)
    if verdict.abstention is Abstention.BROKEN:
        raise Unavailable(f"the classifier {verdict.classifier} gave no verdict ({verdict.reason})")


def _classifier(edition: Snapshot, model: str | None) -> str:
    """The safety classifier that `model` names; any other model name gets the gateway's own."""
    if model is not None and model in edition.policies:
        if edition.policies[model].kind != "safety":
            raise ModelNotFound(f"{model} is no safety classifier", param="model")
        return model
    name = edition.first_safety()
    if name is None:
        raise NotFound("no safety classifier is loaded here")
    return name


def _inputs(asked: wire.ModerationRequest) -> list[tuple[str, ...]]:
    """One tuple of texts for each result; a list of parts is one input. Raises BadRequest for other parts."""
    if isinstance(asked.input, str):
        return [(asked.input,)]
    if not asked.input:
        raise BadRequest("input: must not be empty", param="input")
    bounded(asked.input)
    items = [decoded(_decode_item, bytes(raw)) for raw in asked.input]
    if all(isinstance(item, str) for item in items):
        return [(item,) for item in items if isinstance(item, str)]
    parts = [wire.ModerationPart("text", item) if isinstance(item, str) else item for item in items]
    if any(part.text is None or part.type not in READABLE_PARTS for part in parts):
        raise BadRequest(
            "input: only text can be read here, and what was not read is not said to be harmless", param="input"
        )
    return [tuple(part.text for part in parts if part.text is not None)]


def _result(verdict: Verdict, policy: Policy) -> wire.ModerationResult:
    """Scores and labels under OpenAI's category names where the policy gives them, under their own names else."""
    scores = dict.fromkeys(CATEGORIES, 0.0)
    flags = dict.fromkeys(CATEGORIES, False)
    for label, score in verdict.scores.items():
        for category in policy.categories_of(label):
            scores[category] = max(scores.get(category, 0.0), score)
            flags[category] = flags.get(category, False) or label in verdict.labels
    applied: Mapping[str, list[str]] = {category: ["text"] for category in scores}
    return wire.ModerationResult(bool(verdict.labels), flags, scores, dict(applied))
