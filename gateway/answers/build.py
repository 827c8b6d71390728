"""A verdict in the shape that a request asks for, or the reason why it cannot be given so. Pure.

What a prompt says of its answer: which words it names, and under which key of a JSON object. Pure.

Whether a rule's fixed text can be the answer to what a request asks for. Pure.

What rules would answer in the shape that a request asks for: labels as it spells them, texts as they are. Pure.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice
from typing import Any, Final

import msgspec
import regex
from msgspec import Raw

from classifiers.policy import OTHER
from classifiers.verdict import Verdict
from gateway.answers.fill import fill
from gateway.answers.format import (
    AnyObject,
    JsonSchema,
    Path,
    PlainWord,
    Prediction,
    RequestedFormat,
    SlotFilling,
    ToolCall,
    Unsupported,
    UnsupportedReason,
    requested_format,
)
from gateway.answers.json_schema import refused
from gateway.answers.logprobs import Spelled, logprobs
from gateway.protocols import chat
from gateway.requests.parse import Request
from gateway.rules.rule import Act, Action, Rule
from gateway.spelling import Names, folded, signed

_KEY = re.compile(r"[\"'“”`]([A-Za-z_][\w-]{0,63})[\"'“”`]\s*:")
_JSON = re.compile(r"\bjson", re.IGNORECASE)
_PART: Final = regex.compile(r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]*")
"""Letters with their marks, without which words of Hindi are cut to pieces, and digits."""
_LEAST_NAMED = 2


@dataclass(frozen=True, slots=True)
class _Prompt:
    """folded: the text without its case."""

    text: str
    folded: str


def word_in_prompt(label: str, names: Names, prompt: str) -> str | Unsupported:
    """The label as the prompt spells it, or the alias that it has for it. names: all of the classifier's labels, of
    which it must name at least two (one where there is but one): a prompt that names none asks for something else."""
    shown = _Prompt(prompt, prompt.casefold())
    found = _named(label, names, shown)
    missing = min(_LEAST_NAMED, len(names.labels)) - bool(found)
    # no more labels are looked for than it takes to know that it names some
    others = (name for name in names.labels if name != label and _named(name, names, shown))
    if sum(1 for _ in islice(others, missing)) < missing:
        return Unsupported(UnsupportedReason.NO_PLACE)
    if not found:
        return Unsupported(UnsupportedReason.LABEL_NOT_ASKED, label)
    return _meant(label, found) or Unsupported(UnsupportedReason.AMBIGUOUS, ", ".join(found))


def spelled(names: Names, prompt: str, label: str) -> str | None:
    """The same for any of the labels: None where the prompt does not name it, or in several ways."""
    return _meant(label, _named(label, names, _Prompt(prompt, prompt.casefold())))


def speaks_of_json(prompt: str) -> bool:
    """Whether an answer of one word may be the wrong one: some clients ask for JSON in words only."""
    return _JSON.search(prompt) is not None


def key_in_prompt(prompt: str) -> str | Unsupported:
    """The only key that the prompt shows in quotes before a colon."""
    found = list(dict.fromkeys(_KEY.findall(prompt)))
    if not found:
        return Unsupported(UnsupportedReason.NO_PLACE)
    return found[0] if len(found) == 1 else Unsupported(UnsupportedReason.AMBIGUOUS, ", ".join(found))


def _meant(label: str, found: list[str]) -> str | None:
    if label in found and all(folded(one) == folded(label) for one in found):
        return label
    return found[0] if len(found) == 1 else None


def _named(label: str, names: Names, prompt: _Prompt) -> list[str]:
    """The ways in which the prompt writes a label, or else its aliases. `other` is a word of prose, too: where the
    prompt has an alias for it as well, both are ways."""
    own = _spellings(label, prompt)
    if own and label != OTHER:
        return own
    return [*own, *(found for alias in names.aliases.get(label, ()) for found in _spellings(alias, prompt))]


def _spellings(label: str, prompt: _Prompt) -> list[str]:
    """The distinct ways in which the prompt writes a label, in the order in which they come."""
    if not _PART.search(label):
        return [label] if label in prompt.text else []
    forms = dict.fromkeys(unicodedata.normalize(form, label) for form in ("NFC", "NFD"))
    # each label is a search of the whole prompt: its words are found much faster, and most prompts lack some
    patterns = [_pattern(one) for one in forms if all(part in prompt.folded for part in _words(one))]
    if not patterns:
        return []
    found = (match.group() for match in regex.finditer("|".join(patterns), prompt.text, regex.IGNORECASE))
    return [one for one in dict.fromkeys(found) if folded(one) == folded(label)]


def _words(label: str) -> list[str]:
    """The longest first, which is the rarest and the quickest to seek."""
    return sorted((part.casefold() for part in _PART.findall(label)), key=len, reverse=True)


def _pattern(label: str) -> str:
    """What finds a label in a prompt."""
    if signed(label):
        # another label may differ from it by the sign only
        return rf"(?<![\w\p{{N}}+#<>-]){re.escape(label)}(?![\w\p{{N}}+#])"
    written = r"[\s_/-]*".join(map(re.escape, _PART.findall(label)))
    return rf"(?<![\w\p{{N}}-]){written}(?![\w\p{{N}}+#-])"


_BYTES_A_TOKEN = 4
_BYTES_A_WORD = 8
"""A label is often one token, however long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAnswer:
    """content: the whole text, or a function's arguments; label: as it is spelled in there, None where it holds slots
    only; call: the function, None for text; logprobs: where they are asked for, and only of text; slots: names of slots
    by the place of their field in the object, those that say nothing among them; slot_confidence: 0..1, of the least
    certain slot's value."""

    content: str
    label: str | None
    call: ToolCall | None = None
    slots: Mapping[Path, str] = field(default_factory=dict)
    slot_confidence: float = 1.0
    logprobs: chat.Logprobs | None = None


def build(wanted: RequestedFormat, told: Prediction, prompts: Sequence[str]) -> LocalAnswer | Unsupported:
    """prompts: texts that may name the words to answer with; the first that does counts. At least one."""
    if not told.labels:
        return Unsupported(UnsupportedReason.NO_PLACE)
    if isinstance(wanted.shape, JsonSchema | ToolCall):
        return _by_schema(wanted, wanted.shape, told)
    for text in prompts:
        made = _by_prompt(wanted, wanted.shape, told, text)
        if not isinstance(made, Unsupported) or made.reason is not UnsupportedReason.NO_PLACE:
            break
    return made


def _within(
    wanted: RequestedFormat, made: LocalAnswer, told: Prediction, spelled: Spelled
) -> LocalAnswer | Unsupported:
    """An answer that nothing cuts, with its logprobs."""
    each = _BYTES_A_WORD if isinstance(wanted.shape, PlainWord) else _BYTES_A_TOKEN
    if wanted.most_tokens is not None and len(made.content.encode()) > each * wanted.most_tokens:
        return Unsupported(UnsupportedReason.LENGTH)
    if any(stop and stop in made.content for stop in wanted.stop):
        return Unsupported(UnsupportedReason.STOP)
    if wanted.alternatives is None or made.call is not None:
        return made
    sure = replace(told, confidence=min(told.confidence, made.slot_confidence))
    return replace(made, logprobs=logprobs(made.content, made.label, sure, wanted.alternatives, spelled))


def _by_schema(wanted: RequestedFormat, shape: JsonSchema | ToolCall, told: Prediction) -> LocalAnswer | Unsupported:
    filled = fill(shape.schema, told)
    if isinstance(filled, Unsupported):
        return filled
    made = LocalAnswer(
        content=chat.encode(filled.values).decode(),
        label=filled.label,
        call=shape if isinstance(shape, ToolCall) else None,
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


def _by_prompt(
    wanted: RequestedFormat, shape: PlainWord | AnyObject, told: Prediction, text: str
) -> LocalAnswer | Unsupported:
    if len(told.labels) > 1:
        return Unsupported(UnsupportedReason.AMBIGUOUS, ", ".join(told.labels))
    if isinstance(shape, PlainWord) and speaks_of_json(text):
        return Unsupported(UnsupportedReason.AMBIGUOUS, "the prompt speaks of JSON, and response_format does not")
    word = word_in_prompt(told.labels[0], told.names, text)
    if isinstance(word, Unsupported):
        return word
    content = word
    if isinstance(shape, AnyObject):
        key = key_in_prompt(text)
        if isinstance(key, Unsupported):
            return key
        content = chat.encode({key: word}).decode()
    return _within(wanted, LocalAnswer(content=content, label=word), told, partial(spelled, told.names, text))


_TELL: Final = frozenset({"response_format", "logprobs", "top_logprobs", "modalities", "audio", "web_search_options"})
"""The fields that a text has to fit. It is short, and no word of it is a label's."""
_FREE: Final = frozenset({"auto", "none"})


def text_unsupported(text: str, fields: Mapping[str, Raw]) -> Unsupported | None:
    """Why the text is none; None where it is one. fields: a request's top-level fields with their bytes."""
    try:
        free = all(_may_write(fields[name]) for name in ("tool_choice", "function_call") if name in fields)
    except (msgspec.DecodeError, RecursionError) as error:
        return Unsupported(UnsupportedReason.MALFORMED, str(error))
    if not free:
        return Unsupported(UnsupportedReason.NO_PLACE, "a call of a function")
    found = requested_format({name: value for name, value in fields.items() if name in _TELL})
    if isinstance(found, Unsupported):
        return found
    return _of_shape(text, found)


def _may_write(choice: Raw) -> bool:
    """Whether the model may answer in text instead of calling a function. choice: `tool_choice` or what came before it:
    a word, or an object that has it as its type or, of some tools that are allowed, as their mode.

    Raises msgspec.DecodeError and RecursionError."""
    value = msgspec.json.decode(choice)
    if isinstance(value, dict):
        allowed = value.get("allowed_tools", value)
        of_some = value.get("type") == "allowed_tools" and isinstance(allowed, dict)
        value = allowed.get("mode") if of_some else value.get("type", "function")
    return value is None or (isinstance(value, str) and value in _FREE)


def _of_shape(text: str, asked: RequestedFormat) -> Unsupported | None:
    if asked.alternatives is not None:
        return Unsupported(UnsupportedReason.MODALITY, "logprobs of a fixed text")
    if isinstance(asked.shape, AnyObject):
        return _of_schema(text, {})
    return _of_schema(text, asked.shape.schema) if isinstance(asked.shape, JsonSchema) else None


def _of_schema(text: str, schema: Mapping[str, Any]) -> Unsupported | None:
    try:
        value = msgspec.json.decode(text)
        strange = refused(schema, value)
    except msgspec.DecodeError:
        return Unsupported(UnsupportedReason.NO_PLACE, "the text is not JSON")
    except (TypeError, ArithmeticError, RecursionError) as error:
        return Unsupported(UnsupportedReason.SCHEMA, str(error))
    if strange is not None or not isinstance(value, dict):
        return Unsupported(UnsupportedReason.SCHEMA, "the text is not such a document")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAnswers:
    """By the names of rules: what their label comes to, or why it, or their text, cannot be given. None is in both."""

    made: Mapping[str, LocalAnswer] = field(default_factory=dict)
    unmet: Mapping[str, Unsupported] = field(default_factory=dict)


def local_answers(request: Request, pairs: Sequence[tuple[Rule, Verdict]]) -> LocalAnswers:
    """pairs: the rules that the request meets, each with its verdict. Those that answer nothing are left out."""
    given = [(rule, verdict, _given(rule, verdict)) for rule, verdict in pairs]
    texts = ((rule.name, action.text) for rule, _, actions in given for action in actions if not action.own_label)
    unmet = {name: why for name, text in texts if (why := text_unsupported(text, request.fields)) is not None}
    asked = [
        (rule, verdict)
        for rule, verdict, actions in given
        if rule.name not in unmet and any(action.own_label for action in actions)
    ]
    if not asked:
        return LocalAnswers(unmet=unmet)
    shape = requested_format(request.fields)
    if isinstance(shape, Unsupported):
        return LocalAnswers(unmet={**unmet, **{rule.name: shape for rule, _ in asked}})
    prompts = (request.system_text, "\n".join(text for turn in request.turns for text in turn.texts))
    found = {rule.name: build(shape, _told(rule, verdict), prompts) for rule, verdict in asked}
    return LocalAnswers(
        made={name: one for name, one in found.items() if isinstance(one, LocalAnswer)},
        unmet={**unmet, **{name: one for name, one in found.items() if isinstance(one, Unsupported)}},
    )


def _given(rule: Rule, verdict: Verdict) -> list[Action]:
    """The answers that the verdict's labels call for."""
    actions = (rule.then.get(label) for label in verdict.labels)
    return [action for action in actions if action and action.act is Act.ANSWER]


def _told(rule: Rule, verdict: Verdict) -> Prediction:
    found = {
        name: SlotFilling(slot=slot, values=tuple(value for value in verdict.slots if value.slot == name))
        for name, slot in rule.slots.items()
    }
    return Prediction(
        labels=verdict.labels, names=rule.names, confidence=verdict.confidence, scores=verdict.scores, slots=found
    )
