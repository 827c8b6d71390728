"""Redacts requests and answers as rules decided, and restores answers. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from classifiers.verdict import Abstention, Verdict
from gateway.answers.parse import Completion
from gateway.protocols.json import Path
from gateway.protocols.wire import Request
from gateway.redaction.placeholders import (
    Edit,
    Placeholders,
    RedactedSpan,
    Unredactable,
    edits,
    holds_json,
    joined,
    merged,
    replace_spans,
    restoring,
    spread,
)
from gateway.requests.turns import text_paths
from gateway.rules.decide import Decision, Step, apply, redactions_of
from gateway.rules.rule import Act, Action, Rule

Counts = Mapping[tuple[str, str], int]
"""How many places were replaced, by rule and kind."""


Marks = Mapping[int, Sequence[tuple[Step, RedactedSpan]]]
"""By the index of each text: the places to be replaced, with the steps that ask for it."""


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
    changed, counts, stopped = _redacted(texts, arguments, marks, decision.redactions, placeholders)
    if stopped is not None:
        return request, replace(decision, act=Act.BLOCK, step=stopped, redactions=()), {}
    if not changed:
        return request, replace(decision, act=Act.FORWARD, redactions=()), {}
    by_place = list(places)
    changes: dict[Path, str] = {by_place[place]: replace_spans(texts[place], own) for place, own in changed.items()}
    return request.with_texts(changes), decision, counts


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
    steps = (apply(rule, replace(verdict, abstention=None, doubts=())) for rule, verdict in pairs)
    return tuple(redaction for step in steps for redaction in redactions_of(step))


def _unknown(rule: Rule, verdict: Verdict) -> bool:
    unread = {Abstention.UNREAD, Abstention.LATE, Abstention.BROKEN}.intersection(verdict.abstentions)
    return any(rule.otherwise[kind.value].act in (Act.BLOCK, Act.ERROR) for kind in unread)


def of_answer(
    completion: Completion, steps: Sequence[Step], placeholders: Placeholders
) -> tuple[Completion | None, Step | None, Counts]:
    """The redacted answer, None where nothing changes; or the step that blocks it."""
    marks: dict[int, list[tuple[Step, RedactedSpan]]] = {}
    for step in steps:
        for text, mark in marks_of(step):
            marks.setdefault(text, []).append((step, replace(mark, restore=False)))
    texts = [str(text) for text in completion.texts]
    arguments = [text.arguments for text in completion.texts]
    changed, counts, stopped = _redacted(texts, arguments, marks, steps, placeholders)
    if stopped is not None or not changed:
        return None, stopped, {}
    return _with_edits(completion, changed), None, counts


def of_text(
    text: str,
    steps: Sequence[Step],
    placeholders: Placeholders,
    *,
    arguments: bool,
    signed: bool = False,
    before: str = "",
) -> tuple[Sequence[Edit], Step | None]:
    """The edits that redact and restore a part of an answer that is read alone; or the step that blocks it. signed: as
    of a ChoiceText. before: stands in for the text before it; places are those of both."""
    text, shift = before + text, len(before)
    found = [(step, mark) for step in steps for _, mark in marks_of(step)]
    marks = [(step, replace(one, start=one.start + shift, end=one.end + shift, restore=False)) for step, one in found]
    changed, _, stopped = _redacted([text], [arguments], {0: marks} if marks else {}, steps, placeholders)
    if stopped is not None:
        return (), stopped
    redacted = replace_spans(text, changed.get(0, ()))
    is_json, values = arguments or holds_json(redacted), {} if signed else placeholders.values
    return joined(changed.get(0, ()), restoring(redacted, values, is_json=is_json)), None


def restore(completion: Completion, values: Mapping[str, str]) -> Completion | None:
    """The answer with values in place of their placeholders; None where it has none of those. A signed text stays as it
    is, for the upstream would refuse another one in the next turn."""
    changed = {}
    for index, part in enumerate(completion.texts if values else ()):
        text = "" if part.signed else str(part)
        if restored := restoring(text, values, is_json=part.arguments or holds_json(text)):
            changed[index] = restored
    return _with_edits(completion, changed) if changed else None


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
    texts: Sequence[str], arguments: Sequence[bool], marks: Marks, steps: Sequence[Step], placeholders: Placeholders
) -> tuple[Mapping[int, Sequence[Edit]], Counts, Step | None]:
    """The edits of texts by index, how many places they replace, and the step that blocks what cannot be redacted.
    arguments: which texts are a call's arguments, which must stay JSON; any other JSON stays JSON if it can."""
    changed: dict[int, Sequence[Edit]] = {}
    counts: Counter[tuple[str, str]] = Counter()
    # a policy with slots may name a label without any value: then there is nothing to hide
    failed = [step for step in steps if not step.rule.slots and next(marks_of(step), None) is None]
    for place, (text, strict) in enumerate(zip(texts, arguments, strict=True)):
        own = marks.get(place)
        if own is None:
            placeholders.reserve(text)
            continue
        try:
            made = _edits(text, [mark for _, mark in own], placeholders, strict=strict)
        except Unredactable:
            failed += [step for step, _ in own]
            continue
        if made:
            changed[place] = made
            counts.update((edit.mark.rule, edit.mark.kind) for edit in made if edit.mark)
    return changed, counts, next((stopped for step in failed if (stopped := _blocking(step))), None)


def _blocking(step: Step) -> Step | None:
    action = step.rule.otherwise[Abstention.BROKEN.value]
    if action.act is not Act.BLOCK:
        return None
    verdict = replace(step.verdict, abstention=Abstention.BROKEN, doubts=(), reason="cannot be redacted")
    return replace(step, verdict=verdict, label=None, action=action, ends=True)


def _edits(text: str, marks: Sequence[RedactedSpan], placeholders: Placeholders, *, strict: bool) -> list[Edit]:
    try:
        return edits(text, marks, placeholders, is_json=strict or holds_json(text))
    except Unredactable:
        if strict:
            raise
        return edits(text, merged(text, marks, is_json=True), placeholders)


def _with_edits(completion: Completion, edits: Mapping[int, Sequence[Edit]]) -> Completion:
    texts = completion.texts
    return completion.with_pieces(
        {index: spread([piece.text for piece in texts[index].pieces], changes) for index, changes in edits.items()}
    )
