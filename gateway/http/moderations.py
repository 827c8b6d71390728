"""POST /v1/moderations: the safety classifier in OpenAI's shape."""

from typing import cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from classifiers.policy import Policy
from classifiers.verdict import Abstention, Reading, Verdict
from gateway.context import REQUEST_ID
from gateway.errors import BadRequest, ModelNotFound, NotFound, Overloaded, Unavailable
from gateway.http.direct import Engine, ask, bounded, json_response, recorded
from gateway.http.passthrough import Passthrough
from gateway.protocols import moderations as wire
from gateway.protocols.chat_requests import READABLE_PARTS
from gateway.protocols.json import decoded
from gateway.protocols.moderations import CATEGORIES
from gateway.rules.decide import TOO_LONG
from gateway.serving.snapshot import Snapshot

_decode = msgspec.json.Decoder(wire.ModerationRequest).decode
_decode_item = msgspec.json.Decoder(str | wire.ModerationPart).decode


def moderations_route(engine: Engine, passthrough: Passthrough | None) -> Route:
    """passthrough: where calls go on while no safety classifier is bound."""

    async def moderations(request: Request) -> Response:
        bound = engine.current.snapshot.first_safety() is not None
        if not bound and passthrough is not None and passthrough.names("moderations"):
            return cast("Response", passthrough)
        async with recorded(engine, request, "moderations") as context:
            asked = decoded(_decode, await engine.body(request))
            snapshot = engine.current.snapshot
            name = _classifier(snapshot, asked.model)
            inputs, apart = _inputs(asked)
            other = snapshot.other_languages(name)
            readings = [Reading(classifier=name, texts=texts, other_languages=other) for texts in inputs]
            verdicts = await ask(engine, context, snapshot, name, readings)
            policy, results = snapshot.policies[name], []
            for place, verdict in enumerate(verdicts):
                error = _why_not_judged(verdict, f"input[{place}]" if apart else "input", context.wait_s)
                if error is not None and not apart:
                    raise BadRequest(error.message, param=error.param)
                results.append(_result(verdict, policy) if error is None else _not_judged(error, policy))
            answer_id = "modr-" + request.scope[REQUEST_ID].removeprefix("req_")
            return json_response(wire.ModerationAnswer(answer_id, f"{name}@{snapshot.versions[name]}", results))

    return Route("/moderations", moderations, methods=["POST"])


def _why_not_judged(verdict: Verdict, param: str, wait_s: float) -> wire.ItemError | None:
    """What was not read, or not judged, must not be called harmless. A label that holds stands all the same. Raises
    Unavailable or Overloaded where the same text may be judged another time: a client that asks again loses nothing.
    wait_s: after which it may."""
    if verdict.labels:
        return None
    if verdict.reason == TOO_LONG or any(part.windows_unread for part in verdict.parts or (verdict,)):
        return wire.ItemError(f"{param}: is too long to be read whole; send it in parts", param, "too_long")
    if Abstention.LANGUAGE in verdict.abstentions:
        return wire.ItemError(f"{param}: is in a language that {verdict.classifier} does not name", param, "language")
    if Abstention.LATE in verdict.abstentions:
        raise Overloaded(wait_s)
    if Abstention.BROKEN in verdict.abstentions:
        raise Unavailable(f"the classifier {verdict.classifier} gave no verdict ({verdict.reason})")
    return None


def _classifier(snapshot: Snapshot, model: str | None) -> str:
    """The safety classifier that `model` names; any other model name gets the gateway's own."""
    if model is not None and model in snapshot.policies:
        if snapshot.policies[model].kind != "safety":
            raise ModelNotFound(f"{model} is no safety classifier", param="model")
        return model
    name = snapshot.first_safety()
    if name is None:
        raise NotFound("no safety classifier is loaded here")
    return name


def _inputs(asked: wire.ModerationRequest) -> tuple[list[tuple[str, ...]], bool]:
    """One tuple of texts for each result, and whether they are a list's; a list of parts is one input. Raises
    BadRequest for other parts."""
    if isinstance(asked.input, str):
        return [(asked.input,)], False
    if not asked.input:
        raise BadRequest("input: must not be empty", param="input")
    bounded(asked.input)
    items = [decoded(_decode_item, bytes(raw), at=f"input[{place}]") for place, raw in enumerate(asked.input)]
    if all(isinstance(item, str) for item in items):
        return [(item,) for item in items if isinstance(item, str)], True
    parts = [wire.ModerationPart("text", item) if isinstance(item, str) else item for item in items]
    if any(part.text is None or part.type not in READABLE_PARTS for part in parts):
        raise BadRequest(
            "input: only text can be read here, and what was not read is not said to be harmless", param="input"
        )
    return [tuple(part.text for part in parts if part.text is not None)], False


def _categories(policy: Policy, label: str) -> tuple[str, ...]:
    """The categories that a label shows under: the one that it names; of several, which it does not tell apart, those
    without a slash, or else the wholes of all, such as sexual for sexual/minors."""
    named = dict.fromkeys(policy.categories_of(label))
    if len(named) == 1:
        return tuple(named)
    return tuple(name for name in named if "/" not in name) or tuple({name.partition("/")[0]: None for name in named})


def _result(verdict: Verdict, policy: Policy) -> wire.ModerationResult:
    """Scores and labels under OpenAI's category names where the policy gives them, under their own names else."""
    scores = dict.fromkeys(CATEGORIES, 0.0)
    flags = dict.fromkeys(CATEGORIES, False)
    sure = {label: part.scores.get(label, 0.0) for part in verdict.parts for label in part.labels}
    for label, score in {**verdict.scores, **sure}.items():
        for category in _categories(policy, label):
            scores[category] = max(scores.get(category, 0.0), score)
            flags[category] = flags.get(category, False) or label in verdict.labels
    return wire.ModerationResult(bool(verdict.labels), flags, scores, {category: ["text"] for category in scores})


def _not_judged(error: wire.ItemError, policy: Policy) -> wire.ModerationResult:
    """The result of a list's text that was not judged: flagged, and no category has a value."""
    own = (category for label in policy.labels for category in _categories(policy, label))
    categories: dict[str, None] = dict.fromkeys((*CATEGORIES, *own))
    return wire.ModerationResult(True, categories, categories, {name: [] for name in categories}, error)
