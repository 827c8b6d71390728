"""Why a group's calls cannot be answered here, as far as that shows without a model. Pure."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from gateway.answers.make import make
from gateway.answers.shape import wanted
from gateway.answers.told import Told
from gateway.answers.unmet import Reason, Unmet
from gateway.discover.facts import answer_chars
from gateway.discover.group import Group, unread
from gateway.discover.labels import Labels, names_of, reserved
from gateway.reading.roles import system_text

LEAST_INPUTS: Final = 40
_FREE_CHARS = 80
_FREE_SHARE = 0.5
_MOST_LABELS = 500
_MOST_RARE = 0.2
_MOST_UNREAD = 0.5
_TRIED = 300


def obstacle(group: Group, labels: Labels) -> str | None:
    """The first that there is, in words; None where a classifier may stand in."""
    return next(_obstacles(group, labels), None)


def _obstacles(group: Group, labels: Labels) -> Iterator[str]:
    yield from _questions(group)
    yield from _answers(group, labels)
    if group.system is None and not group.reads.roles:
        yield "the system prompt changes with the calls: a contract would begin anew for each"
    if not group.readable:
        yield "no rule can read just the input: its template stands in several messages or parts of one"
    yield from _shape(group, labels)


def _questions(group: Group) -> Iterator[str]:
    # first, for the same words beside other images are another question
    if sum(unread(call, group.reads) for call in group.calls) > _MOST_UNREAD * len(group.calls):
        yield "images, audio or files, which no rule reads"
    if group.constant:
        yield f"one and the same question {len(group.calls):,} times: a cache answers that"


def _answers(group: Group, labels: Labels) -> Iterator[str]:
    inputs = len(set(group.inputs))
    answered = sum(label is not None for label in labels.of)
    if labels.several:
        yield "several labels a text"
    if not answered:
        yield "no answer that can be read"
    rare = 1 - sum(label in labels.names for label in labels.of) / len(labels.of)
    many = labels.distinct > _FREE_SHARE * answered
    if many and (answer_chars(group.calls) > _FREE_CHARS or answered >= LEAST_INPUTS):
        yield "free text"
    if inputs < LEAST_INPUTS:
        yield f"too few calls: {inputs} different inputs, at least {LEAST_INPUTS} are needed"
    if len(labels.names) > _MOST_LABELS or rare > _MOST_RARE:
        yield f"too many different answers: {labels.distinct:,}, of {rare:.0%} of calls too rare to be learned"
    if len(labels.names) < 2:
        yield f"always the same answer ({labels.names[0] if labels.names else 'none'})"
    if all(map(reserved, labels.names)):
        yield f"no answer that a label may be called: {' and '.join(labels.names)} are words of a policy's own"


def _shape(group: Group, labels: Labels) -> Iterator[str]:
    share, why = givable(group, labels)
    if share < 0.5 and why is not None:
        detail = f" ({why.detail})" if why.detail else ""
        yield f"an answer cannot be given in the shape that is asked for: {why.reason}{detail}"


def givable(group: Group, labels: Labels) -> tuple[float, Unmet | None]:
    """The share of calls that a rule reads whole and whose answer can be given in their shape, tried on some; and why
    it cannot be given in that of the others."""
    names = names_of(labels.names)
    pairs = [(call, label) for call, label in zip(group.calls, labels.of, strict=True) if label in labels.names]
    pairs = pairs[:: max(1, len(pairs) // _TRIED)]
    scores = dict.fromkeys(names.labels, 1 / max(len(names.labels), 1))
    unmet: Counter[Unmet] = Counter()
    read = [(call, label) for call, label in pairs if not unread(call, group.reads)]
    for call, label in read:
        shape = wanted(dict(call.fields))
        meant = names.meant(str(label))
        if meant is None:
            shape = Unmet(Reason.LABEL_NOT_ASKED, str(label))
        elif not isinstance(shape, Unmet):
            told = Told(labels=(meant,), names=names, confidence=0.9, scores=scores)
            prompts = (system_text(call.turns), "\n".join(text for turn in call.turns for text in turn.texts))
            shape = made if isinstance(made := make(shape, told, prompts), Unmet) else shape
        if isinstance(shape, Unmet):
            unmet[shape] += 1
    if not pairs:
        return 0.0, None
    most = unmet.most_common(1)
    return (len(read) - sum(unmet.values())) / len(pairs), most[0][0] if most else None
