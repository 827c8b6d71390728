"""What a contract belongs to: a change of any part is another contract, which begins in shadow. Pure.

The classifier's version, its thresholds and its labels are no part: one account bounds whatever answers.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from typing import Final

import msgspec

from classifiers.verdict import ABOUT_A_MESSAGE, Abstention, Verdict
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.wire import Request
from gateway.requests.system import template
from gateway.requests.turns import select
from gateway.rules.rule import Rule

_PLAIN: Final = ({"type": "text"}, {"format": {"type": "text"}})
_NOTHING: Final = msgspec.Raw(b"null")
_COMPARED: Final = "whole answers, byte by byte but for white space at the ends"
_SHOWN: Final = 80
"""Characters of a system prompt's template that name its contract."""


class Scope(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """rule: its name; model: that the client asks for, or the rule's judge; prompt: a digest of the constant part of
    the prompt, of the shape that the answer is to have, and of what is compared; classifier: that the rule binds;
    terms: as text; sent_to: where the model is sent first, as `upstream/model`. shown: the beginning of the system
    prompt's template, for people, which is no part of the key."""

    rule: str
    model: str
    prompt: str
    classifier: str
    terms: str
    sent_to: str = ""
    shown: str = ""

    def reached(self, first: Callable[[str], str]) -> bool:
        """Whether calls may belong to it. first: where a model is sent first now, as `upstream/model`."""
        return bool(self.sent_to) and self.sent_to == first(self.model)

    @cached_property
    def key(self) -> str:
        """A short name for all of it."""
        return digest(self.rule, self.model, self.prompt, self.classifier, self.terms, self.sent_to)


def among(classifier: str, labels: Iterable[str]) -> str:
    """A short name for a classifier's labels, in whatever order: what a kept text's label was chosen from."""
    return digest(classifier, *sorted(labels))


def digest(*parts: str) -> str:
    """16 hex digits for texts in this order."""
    # as Python writes them, no two lists of texts are alike
    return hashlib.sha256(ascii(parts).encode()).hexdigest()[:16]


def likeliest(verdict: Verdict) -> Verdict:
    """The verdict with its likeliest label even where the classifier is unsure: the contract's own threshold says
    from which confidence on that is an answer, also where a part is of another matter. What was not read, lacks a slot,
    or is a task about a message stays as it is."""
    if verdict.labels or verdict.abstention is not Abstention.UNSURE or verdict.missing or not verdict.scores:
        return verdict
    if not verdict.windows_read or verdict.windows_unread or verdict.reason == ABOUT_A_MESSAGE:
        return verdict
    label, score = max(verdict.scores.items(), key=lambda one: one[1])
    return replace(verdict, labels=(label,), confidence=score, abstention=None)


def likeliest_of_all(verdict: Verdict) -> Verdict:
    """The same for the verdict and those of further classifiers."""
    if not verdict.further:
        return likeliest(verdict)
    further = {name: likeliest(each) for name, each in verdict.further.items()}
    return replace(likeliest(verdict), further=further)


def scope(rule: Rule, request: Request, sent_to: str) -> Scope:
    """The contract that a call belongs to: the prompt's template and the shape that is asked for are part of it, for
    the model may answer otherwise where they change. sent_to: where the model is sent first, as `upstream/model`."""
    assert rule.terms is not None
    frames: list[str] = []
    if rule.template is not None:
        texts, _ = select(request.turns, rule.roles, last=rule.last_turn)
        frames = rule.template.frames_of(texts)
    aliases = [f"{label}={'='.join(rule.names.words(label))}" for label in rule.names.aliases]
    prompt, shown = template(request.system_text)
    return Scope(
        rule=rule.name,
        model=request.model,
        prompt=digest(_COMPARED, prompt, *frames, *_shape(request), *rule.unusual, *aliases),
        classifier=rule.classifier,
        terms=rule.terms.text,
        sent_to=sent_to,
        shown=shown[:_SHOWN],
    )


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
