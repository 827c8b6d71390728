"""Redacts requests and answers as rules decided, and restores answers. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from msgspec import Raw

from classifiers.verdict import Abstention, Verdict
from gateway.answers.parse import Completion
from gateway.protocols import chat
from gateway.protocols.json import Path, rewrite
from gateway.redaction.placeholders import (
    Edit,
    Placeholders,
    RedactedSpan,
    Unredactable,
    edits,
    holds_json,
    merged,
    replace_spans,
    restoring,
    spread,
)
from gateway.requests.messages import text_paths
from gateway.requests.parse import Request
from gateway.rules.decide import Decision, Step, apply, redactions_of
from gateway.rules.rule import Act, Action, Rule

Counts = Mapping[tuple[str, str], int]
"""How many places were replaced, by rule and kind."""


@dataclass(slots=True, kw_only=True)
class Redacted:
    """edits: by the index of each text that changes. failed: the steps with a passage that could not be replaced."""

    edits: dict[int, list[Edit]] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: list[Step] = field(default_factory=list)

    def blocking(self) -> Step | None:
        """The block for the first failed step whose rule then blocks."""
        for step in self.failed:
            action = step.rule.otherwise[Abstention.BROKEN.value]
            if action.act is Act.BLOCK:
                verdict = replace(step.verdict, abstention=Abstention.BROKEN, doubt=None, reason="cannot be redacted")
                return replace(step, verdict=verdict, label=None, action=action, ends=True)
        return None


def of_request(request: Request, decision: Decision, placeholders: Placeholders) -> tuple[Request, Decision, Counts]:
    """The request as it is forwarded; or the decision to block it, where a passage cannot be redacted."""
    places = {path: place for place, path in enumerate(path for turn in request.turns for path in turn.paths)}
    texts = [text for turn in request.turns for text in turn.texts]
    arguments = [path[-1] == "arguments" for path in places]
    marks: dict[int, list[tuple[Step, RedactedSpan]]] = {}
    for step in decision.redactions:
        paths = text_paths(request.turns, step.rule.roles, last=step.rule.last_turn)
        for text, mark in marks_of(step):
            marks.setdefault(places[paths[text]], []).append((step, mark))
    redacted = _redacted(texts, arguments, marks, decision.redactions, placeholders)
    stopped = redacted.blocking()
    if stopped is not None:
        return request, replace(decision, act=Act.BLOCK, step=stopped, redactions=()), {}
    if not redacted.edits:
        return request, replace(decision, act=Act.FORWARD, redactions=()), {}
    paths_by_text = list(places)
    changes: dict[Path, bytes] = {
        paths_by_text[place]: chat.encode(replace_spans(texts[place], edits)) for place, edits in redacted.edits.items()
    }
    messages = Raw(rewrite(request.messages, changes))
    fields = {**request.fields, "messages": messages}
    return replace(request, messages=messages, fields=fields), decision, redacted.counts


def as_sent(request: Request, pairs: Sequence[tuple[Rule, Verdict]]) -> Request | None:
    """The request redacted by all of its rules that redact; None where a passage cannot be redacted."""
    steps = redacting(pairs)
    if not steps:
        return request if steps is not None else None
    decision = Decision(act=Act.REDACT, step=steps[0], flags=(), steps=steps, redactions=steps)
    redacted, decision, _ = of_request(request, decision, Placeholders())
    return None if decision.act is Act.BLOCK else redacted


def redacting(pairs: Sequence[tuple[Rule, Verdict]]) -> tuple[Step, ...] | None:
    """The redactions of all passages of verdicts, whatever else is decided; None where a rule that redacts blocks what
    its classifier has not read."""
    if any(rule.redacts and _unknown(rule, verdict) for rule, verdict in pairs):
        return None
    steps = (apply(rule, replace(verdict, abstention=None, doubt=None)) for rule, verdict in pairs)
    return tuple(redaction for step in steps for redaction in redactions_of(step))


def _unknown(rule: Rule, verdict: Verdict) -> bool:
    unread = verdict.abstention in (Abstention.UNREAD, Abstention.BROKEN)
    return unread and rule.otherwise[str(verdict.abstention)].act is Act.BLOCK


def of_answer(
    completion: Completion, steps: Sequence[Step], placeholders: Placeholders
) -> tuple[Completion | None, Step | None, Counts]:
    """The redacted answer, None where nothing changes; or the step that blocks it."""
    marks: dict[int, list[tuple[Step, RedactedSpan]]] = {}
    for step in steps:
        for text, mark in marks_of(step):
            marks.setdefault(text, []).append((step, replace(mark, restore=False)))
    texts = [str(text) for text in completion.texts]
    redacted = _redacted(texts, [text.arguments for text in completion.texts], marks, steps, placeholders)
    stopped = redacted.blocking()
    if stopped is not None or not redacted.edits:
        return None, stopped, {}
    return _with_edits(completion, redacted.edits), None, redacted.counts


def restore(completion: Completion, values: Mapping[str, str]) -> Completion | None:
    """The answer with values in place of their placeholders; None where it has none of those."""
    if not values:
        return None
    edits: dict[int, list[Edit]] = {}
    for index, part in enumerate(completion.texts):
        text = str(part)
        if restored := restoring(text, values, is_json=part.arguments or holds_json(text)):
            edits[index] = restored
    return _with_edits(completion, edits) if edits else None


def marks_of(step: Step) -> Iterator[tuple[int, RedactedSpan]]:
    """(index of the text, span) of each passage and each slot value that the rule redacts."""
    verdict, rule = step.verdict, step.rule
    for passage in verdict.spans:
        action = rule.then.get(passage.label)
        if action is not None and action.act is Act.REDACT:
            yield passage.text, _mark(passage.start, passage.end, passage.kind, rule, action)
    if step.action is not None and step.action.act is Act.REDACT:
        for value in verdict.slots:
            if value.slot in rule.redacts:
                mark = _mark(value.start, value.end, value.slot, rule, step.action)
                yield value.text, replace(mark, guessed=True)


def _mark(start: int, end: int, kind: str, rule: Rule, action: Action) -> RedactedSpan:
    return RedactedSpan(start=start, end=end, kind=kind, rule=rule.name, restore=action.restore)


def _redacted(
    texts: Sequence[str],
    arguments: Sequence[bool],
    marks: Mapping[int, Sequence[tuple[Step, RedactedSpan]]],
    steps: Sequence[Step],
    placeholders: Placeholders,
) -> Redacted:
    """arguments: which texts are a call's arguments, which must stay JSON; any other JSON stays JSON if it can."""
    # a policy with slots may name a label without any value: then there is nothing to hide
    redacted = Redacted(
        failed=[step for step in steps if not step.rule.slots and not any(True for _ in marks_of(step))]
    )
    for place, (text, strict) in enumerate(zip(texts, arguments, strict=True)):
        own = marks.get(place)
        if own is None:
            placeholders.reserve(text)
            continue
        spans = merged(text, (mark for _, mark in own), is_json=holds_json(text))
        try:
            edits = _edits(text, spans, placeholders, strict=strict)
        except Unredactable:
            redacted.failed += [step for step, _ in own]
            continue
        if edits:
            redacted.edits[place] = edits
            redacted.counts.update((mark.rule, mark.kind) for mark in spans)
    return redacted


def _edits(text: str, marks: Sequence[RedactedSpan], placeholders: Placeholders, *, strict: bool) -> list[Edit]:
    try:
        return edits(text, marks, placeholders, is_json=strict or holds_json(text))
    except Unredactable:
        if strict:
            raise
        return edits(text, marks, placeholders)


def _with_edits(completion: Completion, edits: Mapping[int, Sequence[Edit]]) -> Completion:
    texts = completion.texts
    return completion.with_pieces(
        {index: spread([piece.text for piece in texts[index].pieces], changes) for index, changes in edits.items()}
    )
