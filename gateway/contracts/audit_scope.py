"""Rules under a contract: what they would answer, and which contract a call belongs to. Pure."""

from dataclasses import replace
from typing import Final

import msgspec

from classifiers.verdict import WHATEVER_ITS_SCORES, Abstention, Verdict
from gateway.contracts.scope import Scope, digest
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.wire import Request
from gateway.requests.turns import select
from gateway.rules.rule import Rule

_PLAIN: Final = ({"type": "text"}, {"format": {"type": "text"}})
_NOTHING: Final = msgspec.Raw(b"null")
_COMPARED: Final = "whole answers, letter by letter"
"""What pairs say. Pairs of before compared less, so their contracts are others and begin anew."""


def likeliest(verdict: Verdict) -> Verdict:
    """The verdict with its likeliest label even where the classifier is unsure: the contract's own threshold says
    from which confidence on that is an answer. What was not read, or lacks a slot, stays as it is."""
    if verdict.labels or verdict.abstention is not Abstention.UNSURE or verdict.missing or not verdict.scores:
        return verdict
    if not verdict.windows_read or verdict.windows_unread or verdict.reason in WHATEVER_ITS_SCORES:
        return verdict
    label, score = max(verdict.scores.items(), key=lambda one: one[1])
    return replace(verdict, labels=(label,), confidence=score, abstention=None)


def likeliest_of_all(verdict: Verdict) -> Verdict:
    """The same for the verdict and those of further classifiers."""
    if not verdict.further:
        return likeliest(verdict)
    further = {name: likeliest(each) for name, each in verdict.further.items()}
    return replace(likeliest(verdict), further=further)


def scope(rule: Rule, verdict: Verdict, request: Request, sent_to: str) -> Scope:
    """The contract that a call belongs to: the prompt around the input and the shape that is asked for are part of it,
    for the reference may answer otherwise where they change. sent_to: where the model is sent first, as
    `upstream/model`."""
    assert rule.terms is not None
    frames: list[str] = []
    if rule.template is not None:
        texts, _ = select(request.turns, rule.roles, last=rule.last_turn)
        frames = rule.template.frames_of(texts)
    return Scope(
        rule=rule.name,
        model=request.model,
        prompt=digest(_COMPARED, request.system_text, *frames, *_shape(request), *rule.unusual, *_versions(verdict)),
        labels=(*rule.names.labels, *("=".join(rule.names.words(label)) for label in rule.names.aliases)),
        # where a version that is tried gave no verdict, that one names the version, too
        classifier=rule.classifier,
        version=verdict.version,
        terms=f"{rule.terms.target:g} at {rule.terms.confidence:g}",
        sent_to=sent_to,
    )


def _versions(verdict: Verdict) -> list[str]:
    """Of the further classifiers: a new version of one of them answers otherwise, too."""
    return [f"{name}@{further.version}" for name, further in sorted(verdict.further.items())]


def _shape(request: Request) -> list[str]:
    """What of a request says which shape its answer is to have, however a client spaces its JSON; what says as much as
    nothing is left out. What cannot be decoded (a number without bounds, say) is taken as it was written."""
    parts = [] if request.wire is CHAT else [request.wire.endpoint]
    for name in request.wire.requests.understood.shape:
        raw = request.fields.get(name, _NOTHING)
        try:
            value = msgspec.json.decode(raw)
            text = "" if value in (None, [], *_PLAIN) else repr(value)
        except (msgspec.DecodeError, RecursionError):
            text = repr(bytes(raw))
        if text:
            parts.append(f"{name}={text}")
    return parts
