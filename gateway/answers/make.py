"""A verdict in the shape that a request asks for, or the reason why it cannot be given so. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial

from gateway.answers import prompt
from gateway.answers.fill import fill
from gateway.answers.logprobs import Spelled, logprobs
from gateway.answers.placed import Path
from gateway.answers.shape import AnyObject, Call, Document, Wanted, Word
from gateway.answers.told import Told
from gateway.answers.unmet import Reason, Unmet
from gateway.spelling import Names
from gateway.wire import chat

_BYTES_A_TOKEN = 4
_BYTES_A_WORD = 8
"""A label is often one token, however long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """content: the whole text, or a function's arguments; label: as it is spelled in there, None where it holds slots
    only; call: the function, None for text; logprobs: where they are asked for, and only of text; slots: names of slots
    by the place of their field in the object, those that say nothing among them; slot_confidence: 0..1, of the least
    certain slot's value."""

    content: str
    label: str | None
    call: Call | None = None
    slots: Mapping[Path, str] = field(default_factory=dict)
    slot_confidence: float = 1.0
    logprobs: chat.Logprobs | None = None


def make(wanted: Wanted, told: Told, prompts: Sequence[str]) -> Made | Unmet:
    """prompts: texts that may name the words to answer with; the first that does counts. At least one."""
    if not told.labels:
        return Unmet(Reason.NO_PLACE)
    if isinstance(wanted.shape, Document | Call):
        return _by_schema(wanted, wanted.shape, told)
    for text in prompts:
        made = _by_prompt(wanted, wanted.shape, told, text)
        if not isinstance(made, Unmet) or made.reason is not Reason.NO_PLACE:
            break
    return made


def _within(wanted: Wanted, made: Made, told: Told, spelled: Spelled) -> Made | Unmet:
    """An answer that nothing cuts, with its logprobs."""
    each = _BYTES_A_WORD if isinstance(wanted.shape, Word) else _BYTES_A_TOKEN
    if wanted.most_tokens is not None and len(made.content.encode()) > each * wanted.most_tokens:
        return Unmet(Reason.LENGTH)
    if any(stop and stop in made.content for stop in wanted.stop):
        return Unmet(Reason.STOP)
    if wanted.alternatives is None or made.call is not None:
        return made
    sure = replace(told, confidence=min(told.confidence, made.slot_confidence))
    return replace(made, logprobs=logprobs(made.content, made.label, sure, wanted.alternatives, spelled))


def _by_schema(wanted: Wanted, shape: Document | Call, told: Told) -> Made | Unmet:
    filled = fill(shape.schema, told)
    if isinstance(filled, Unmet):
        return filled
    made = Made(
        content=chat.encode(filled.values).decode(),
        label=filled.label,
        call=shape if isinstance(shape, Call) else None,
        slots=filled.slots,
        slot_confidence=filled.confidence,
    )
    return _within(wanted, made, told, _by_label(told.names, filled.words))


def _by_label(names: Names, words: Sequence[str]) -> Spelled:
    """The one of the words that stands for a label; they are read once for all labels, and where one is asked for."""

    @cache
    def meant() -> Mapping[str | None, Sequence[str]]:
        read: dict[str | None, list[str]] = {}
        for word in dict.fromkeys(words):
            read.setdefault(names.meant(word), []).append(word)
        return read

    return lambda label: names.spelled(label, meant().get(label, ()))


def _by_prompt(wanted: Wanted, shape: Word | AnyObject, told: Told, text: str) -> Made | Unmet:
    if len(told.labels) > 1:
        return Unmet(Reason.AMBIGUOUS, ", ".join(told.labels))
    if isinstance(shape, Word) and prompt.speaks_of_json(text):
        return Unmet(Reason.AMBIGUOUS, "the prompt speaks of JSON, and response_format does not")
    word = prompt.word(told.labels[0], told.names, text)
    if isinstance(word, Unmet):
        return word
    content = word
    if isinstance(shape, AnyObject):
        key = prompt.key(text)
        if isinstance(key, Unmet):
            return key
        content = chat.encode({key: word}).decode()
    return _within(wanted, Made(content=content, label=word), told, partial(prompt.spelled, told.names, text))
