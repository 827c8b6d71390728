"""Builds local answers in the format that a request asks for, or the reason why they cannot be given. Pure.

A label is spelled as the request's schema or prompt spells it. A rule's fixed text is given as it is, where it fits.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice
from typing import Final

import regex

from classifiers.policy import OTHER
from classifiers.verdict import Abstention, Verdict
from gateway.answers.fill import fill
from gateway.answers.format import FurtherLabel, Path, Prediction, SlotFilling
from gateway.answers.logprobs import Spelled, logprobs
from gateway.answers.understood import why_not_answerable
from gateway.protocols import wire
from gateway.protocols.json import encode
from gateway.rules.rule import LABEL, Act, Action, FurtherClassifier, Rule
from gateway.spelling import BARE, Form, LabelNames, normalized, signed

_KEY: Final = re.compile(r"[\"'“”`]([A-Za-z_][\w-]{0,63})[\"'“”`]\s*:")
_STRINGS: Final = re.compile(r"""\s*\[\s*(?:(?:"[^"\n]*"|'[^'\n]*'|[“”][^“”\n]*[“”]|\.{3}|…)\s*(?:,\s*)?)*\]""")
"""A list of strings, as an example has it after the key."""
_QUOTED: Final = re.compile(r"\s*[\"'“”]")
_LIST: Final = re.compile(
    r"\s*\[|[\s\"'<(]*(?:an?\s+)?(?:json\s+)?(?:(?:list|array)\s*(?:of\b|[\[<(])|str(?:ing)?\[\])", re.IGNORECASE
)
"""Whatever after a key may ask for a list: `[topic]`, `list of topics`, `string[]`."""
_JSON: Final = re.compile(r"\bjson", re.IGNORECASE)
_WORD: Final = regex.compile(r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]*")
"""Letters with their marks, without which words of Hindi are cut to pieces, and digits."""
_LEAST_NAMED: Final = 2
_BYTES_PER_TOKEN: Final = 4
_BYTES_PER_WORD: Final = 8
"""A label is often one token, however long."""
_BYTES_PER_TOKEN_AT_LEAST: Final = 2
"""Of a fixed text in any language: the caller must not see one that its own limit would have cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAnswer:
    """An answer that can be given here.

    content: the whole text, or a function's arguments. label: as it is spelled in there, None where there are slots
    only. call: the function, None for text. slots: names of slots by the path of their field, empty ones included.
    part_confidence: 0..1, of the least certain slot value or further label. logprobs: of text, where they are asked
    for. label_at: the label's place in JSON. further, uncompared, unordered: as of `fill.Filled`. form: that it has.
    """

    content: str
    label: str | None
    call: wire.FunctionCall | None = None
    slots: Mapping[Path, str] = field(default_factory=dict)
    part_confidence: float = 1.0
    logprobs: Sequence[wire.TokenLogprob] | None = None
    label_at: Path | None = None
    further: Mapping[Path, LabelNames] = field(default_factory=dict)
    uncompared: frozenset[Path] = frozenset()
    unordered: frozenset[Path] = frozenset()
    form: Form = BARE

    @property
    def is_word(self) -> bool:
        """Whether it is a label in plain text."""
        return self.label is not None and self.label_at is None and self.call is None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAnswers:
    """By rule: the answer with its label, or why its label or its text cannot be given. No rule is in both."""

    answers: Mapping[str, LocalAnswer] = field(default_factory=dict)
    unsupported: Mapping[str, wire.Unsupported] = field(default_factory=dict)


def local_answers(
    request: wire.Request, pairs: Sequence[tuple[Rule, Verdict]], forms: Mapping[str, Form]
) -> LocalAnswers:
    """pairs: the rules that a request matches, each with its verdict. Rules that answer nothing are left out. forms: of
    the model's answers, by rule under a contract."""
    unsupported: dict[str, wire.Unsupported] = {}
    labelled: list[tuple[Rule, Verdict]] = []
    for rule, verdict in pairs:
        planned = (rule.then.get(label) for label in verdict.labels)
        actions = [action for action in planned if action and action.act is Act.ANSWER]
        why = next(filter(None, (_why_not_answered(rule, action, request) for action in actions)), None)
        if why is not None:
            unsupported[rule.name] = why
        elif any(action.own_label for action in actions):
            labelled.append((rule, verdict))
    if not labelled:
        return LocalAnswers(unsupported=unsupported)
    prompts = (request.system_text, "\n".join(text for turn in request.turns for text in turn.texts))
    answers: dict[str, LocalAnswer] = {}
    for rule, verdict in labelled:
        requested = request.wire.requests.requested(request.fields)
        form = forms.get(rule.name) or (BARE if rule.system and rule.system.names(request.system_text) else None)
        prediction = replace(_prediction(rule, verdict), form=form)
        answer = requested if isinstance(requested, wire.Unsupported) else build(requested, prediction, prompts)
        if isinstance(answer, wire.Unsupported):
            unsupported[rule.name] = answer
        else:
            answers[rule.name] = answer
    return LocalAnswers(answers=answers, unsupported=unsupported)


def _why_not_answered(rule: Rule, action: Action, request: wire.Request) -> wire.Unsupported | None:
    """Why the request is not one that the rule may answer, or its fixed text none that suits the format."""
    why = why_not_answerable(rule, request, fixed=not action.own_label)
    if why is not None or action.own_label:
        return why
    return text_unsupported(action.text, request.wire.requests.requested(request.fields))


def _prediction(rule: Rule, verdict: Verdict) -> Prediction:
    further = {name: _further(each, verdict.further.get(each.classifier)) for name, each in rule.further.items()}
    own = verdict.least_confidence(verdict.labels)
    return Prediction(
        labels=verdict.labels,
        names=rule.names,
        confidence=min([own, *(each.confidence for each in further.values() if each.labels)]),
        scores=verdict.scores,
        slots={
            name: SlotFilling(slot=slot, values=tuple(value for value in verdict.slots if value.slot == name))
            for name, slot in rule.slots.items()
        },
        fields=rule.fields,
        further=further,
        ignores=rule.ignores,
        free_order=rule.free_order,
        several=rule.several,
        with_lists=rule.with_lists,
    )


def _further(source: FurtherClassifier, verdict: Verdict | None) -> FurtherLabel:
    kind = Abstention.BROKEN if verdict is None else verdict.abstention
    why = "" if kind is None else f"{kind.value} ({verdict.reason})" if verdict and verdict.reason else kind.value
    return FurtherLabel(
        classifier=source.classifier,
        labels=() if verdict is None or kind else verdict.labels,
        names=source.names,
        confidence=verdict.least_confidence(verdict.labels) if verdict else 0.0,
        why=why,
    )


def build(
    requested: wire.RequestedFormat, prediction: Prediction, prompts: Sequence[str]
) -> LocalAnswer | wire.Unsupported:
    """The prediction in the requested format. prompts: one or more texts; the first that lists the labels counts."""
    if not prediction.labels:
        return wire.Unsupported(wire.UnsupportedReason.NO_PLACE)
    if isinstance(requested.shape, wire.SchemaObject | wire.FunctionCall):
        return _by_schema(requested, requested.shape, prediction)
    for prompt in prompts:
        answer = _by_prompt(requested, requested.shape, prediction, prompt)
        if not isinstance(answer, wire.Unsupported) or answer.reason is not wire.UnsupportedReason.NO_PLACE:
            break
    return answer


def _by_schema(
    requested: wire.RequestedFormat, shape: wire.SchemaObject | wire.FunctionCall, prediction: Prediction
) -> LocalAnswer | wire.Unsupported:
    filled = fill(shape.schema, prediction)
    if isinstance(filled, wire.Unsupported):
        return filled
    answer = LocalAnswer(
        content=encode(filled.values).decode(),
        label=filled.label,
        call=shape if isinstance(shape, wire.FunctionCall) else None,
        slots=filled.slots,
        part_confidence=filled.confidence,
        label_at=filled.label_at,
        further=filled.further,
        uncompared=filled.uncompared,
        unordered=filled.unordered,
    )
    return _finished(requested, answer, prediction, _spelled_in(prediction.names, filled.words))


def _spelled_in(names: LabelNames, words: Sequence[str]) -> Spelled:
    """Finds the word that stands for a label; the words are read once, at the first look-up."""

    @cache
    def words_by_label() -> Mapping[str | None, Sequence[str]]:
        by_label: dict[str | None, list[str]] = {}
        for word in dict.fromkeys(words):
            by_label.setdefault(names.resolve(word), []).append(word)
        return by_label

    return lambda label: names.spell(label, words_by_label().get(label, ()))


def _by_prompt(
    requested: wire.RequestedFormat, shape: wire.PlainWord | wire.AnyObject, prediction: Prediction, prompt: str
) -> LocalAnswer | wire.Unsupported:
    # some clients ask for JSON in words only, and then one word is the wrong answer
    if isinstance(shape, wire.PlainWord) and _JSON.search(prompt):
        return wire.Unsupported(
            wire.UnsupportedReason.AMBIGUOUS, "the prompt speaks of JSON, and response_format does not"
        )
    words: list[str] = []
    for label in prediction.labels:
        word = word_in_prompt(label, prediction.names, prompt)
        if isinstance(word, wire.Unsupported):
            return word
        words.append(word)
    answer: LocalAnswer | wire.Unsupported = LocalAnswer(content=words[0], label=words[0])
    if isinstance(shape, wire.AnyObject):
        answer = _object_by_prompt(words, prediction, prompt)
    elif len(words) > 1:
        answer = wire.Unsupported(wire.UnsupportedReason.AMBIGUOUS, ", ".join(words))
    if isinstance(answer, wire.Unsupported):
        return answer
    if prediction.form is None:
        why = "the rule does not name the system prompt, whole or as a template"
        return wire.Unsupported(wire.UnsupportedReason.FREE_FORM, why)
    return _finished(requested, answer, prediction, partial(_spelled_in_prompt, prediction.names, prompt))


def _object_by_prompt(words: list[str], prediction: Prediction, prompt: str) -> LocalAnswer | wire.Unsupported:
    """An object with the prompt's key. Its value is a list of the words where the prompt shows a list."""
    key = key_in_prompt(prompt)
    if isinstance(key, wire.Unsupported):
        return key
    if prediction.fields.get(key, LABEL) != LABEL:
        return wire.Unsupported(wire.UnsupportedReason.OTHER_FIELD, key)
    ends = [match.end() for match in _KEY.finditer(prompt)]
    # where one label is named, such a list may be that of all labels to choose from
    is_list = prediction.several and all(_STRINGS.match(prompt, end) for end in ends)
    unclear = prediction.several and not all(_QUOTED.match(prompt, end) for end in ends)
    if not is_list and (unclear or any(_LIST.match(prompt, end) for end in ends)):
        return wire.Unsupported(wire.UnsupportedReason.AMBIGUOUS, f"{key} may be a list")
    if not is_list and len(words) > 1:
        return wire.Unsupported(wire.UnsupportedReason.AMBIGUOUS, ", ".join(words))
    return LocalAnswer(
        content=encode({key: words if is_list else words[0]}).decode(),
        label=words[0],
        label_at=(key,),
        unordered=frozenset({(key,)} if is_list and prediction.free_order else ()),
    )


def _finished(
    requested: wire.RequestedFormat, answer: LocalAnswer, prediction: Prediction, spelled: Spelled
) -> LocalAnswer | wire.Unsupported:
    """The answer in its form, with its logprobs, if no limit of the request would cut it."""
    if (form := prediction.form) and answer.call is None:
        content = form.of(answer.content) if answer.is_word else form.around(answer.content)
        answer = replace(answer, content=content, form=form)
    bytes_per_token = _BYTES_PER_WORD if answer.content == answer.label else _BYTES_PER_TOKEN
    if requested.max_tokens is not None and len(answer.content.encode()) > bytes_per_token * requested.max_tokens:
        return wire.Unsupported(wire.UnsupportedReason.LENGTH)
    if any(stop and stop in answer.content for stop in requested.stop):
        return wire.Unsupported(wire.UnsupportedReason.STOP)
    if requested.alternatives is None or answer.call is not None:
        return answer
    if answer.form != BARE:
        return wire.Unsupported(wire.UnsupportedReason.MODALITY, "logprobs of a label in a form of its own")
    least_certain = replace(prediction, confidence=min(prediction.confidence, answer.part_confidence))
    # the same word may stand for labels of two classifiers, and of several labels the first is not the least certain
    label = None if answer.further or len(prediction.labels) > 1 else answer.label
    tokens = logprobs(answer.content, label, least_certain, requested.alternatives, spelled)
    return replace(answer, logprobs=tokens)


def word_in_prompt(label: str, names: LabelNames, prompt: str) -> str | wire.Unsupported:
    """The label, or its alias, as the prompt spells it. names: all of the classifier's labels. The prompt must name two
    of them (or the only one): a prompt that names none asks for something else."""
    caseless = prompt.casefold()
    words = _named(label, names, prompt, caseless)
    missing = min(_LEAST_NAMED, len(names.labels)) - bool(words)
    # stops as soon as enough labels are found
    others = (name for name in names.labels if name != label and _named(name, names, prompt, caseless))
    if sum(1 for _ in islice(others, missing)) < missing:
        return wire.Unsupported(wire.UnsupportedReason.NO_PLACE)
    if not words:
        return wire.Unsupported(wire.UnsupportedReason.LABEL_NOT_ASKED, label)
    return _only_word(label, words) or wire.Unsupported(wire.UnsupportedReason.AMBIGUOUS, ", ".join(words))


def key_in_prompt(prompt: str) -> str | wire.Unsupported:
    """The only key that the prompt shows in quotes before a colon."""
    keys = list(dict.fromkeys(_KEY.findall(prompt)))
    if not keys:
        return wire.Unsupported(wire.UnsupportedReason.NO_PLACE)
    return keys[0] if len(keys) == 1 else wire.Unsupported(wire.UnsupportedReason.AMBIGUOUS, ", ".join(keys))


def _spelled_in_prompt(names: LabelNames, prompt: str, label: str) -> str | None:
    """A label as the prompt spells it; None where it does not, or in several ways."""
    return _only_word(label, _named(label, names, prompt, prompt.casefold()))


def _only_word(label: str, words: list[str]) -> str | None:
    # whether the signs at its ends are the label's own, or those of a sentence
    if len({word == _bare(word) for word in words}) > 1:
        return None
    if label in words and all(normalized(word) == normalized(label) for word in words):
        return label
    return words[0] if len(words) == 1 else None


def _named(label: str, names: LabelNames, prompt: str, caseless: str) -> list[str]:
    """The ways in which the prompt writes a label, or else its aliases. caseless: the prompt without its case. `other`
    is also an ordinary word: where the prompt has an alias for it as well, both are ways."""
    own = _spellings(label, prompt, caseless)
    if own and label != OTHER:
        return own
    return [*own, *(word for alias in names.aliases.get(label, ()) for word in _spellings(alias, prompt, caseless))]


def _spellings(label: str, prompt: str, caseless: str) -> list[str]:
    if not _WORD.search(label):
        return [label] if label in prompt else []
    forms = dict.fromkeys(unicodedata.normalize(form, label) for form in ("NFC", "NFD"))
    # a pattern searches the whole prompt; words are found much faster, the longest first, and most prompts lack some
    rarest = {form: sorted(map(str.casefold, _WORD.findall(form)), key=len, reverse=True) for form in forms}
    patterns = [_pattern(form) for form, words in rarest.items() if all(word in caseless for word in words)]
    if not patterns:
        return []
    found = dict[str, None]()
    for match in regex.finditer("|".join(patterns), prompt, regex.IGNORECASE):
        found[match.group()] = None
        # a sentence may end there
        if prompt[match.end() : match.end() + 1] in ("", " ", "\n"):
            found[_bare(match.group())] = None
    return [word for word in found if normalized(word) == normalized(label)]


def _bare(word: str) -> str:
    """Without the signs at its ends."""
    places = [match.span() for match in _WORD.finditer(word)]
    return word[places[0][0] : places[-1][1]] if places else word


def _pattern(label: str) -> str:
    if signed(label):
        # another label may differ from it by the sign only
        return rf"(?<![\w\p{{N}}+#<>-]){re.escape(label)}(?![\w\p{{N}}+#])"
    words = _WORD.findall(label)
    # the signs at both ends are the label's where the prompt writes them, but for those that end a sentence or a part
    before, after = label.partition(words[0])[0], label.rpartition(words[-1])[2].rstrip(".,;:")
    written = r"[\s_/-]*".join(map(re.escape, words))
    signed_too = rf"(?:{re.escape(before)}{written}{re.escape(after)}|{written})"
    return rf"(?<![\w\p{{N}}-]){signed_too}(?![\w\p{{N}}+#-])"


def text_unsupported(text: str, requested: wire.RequestedFormat | wire.Unsupported) -> wire.Unsupported | None:
    """Why a fixed text cannot be the answer; None where it can. It never stands for JSON or a function's arguments."""
    if isinstance(requested, wire.Unsupported):
        return requested
    if not isinstance(requested.shape, wire.PlainWord):
        return wire.Unsupported(
            wire.UnsupportedReason.NO_PLACE, "a fixed text is neither JSON nor a call of a function"
        )
    if requested.alternatives is not None:
        return wire.Unsupported(wire.UnsupportedReason.MODALITY, "logprobs of a fixed text")
    if requested.max_tokens is not None and len(text.encode()) > _BYTES_PER_TOKEN_AT_LEAST * requested.max_tokens:
        return wire.Unsupported(wire.UnsupportedReason.LENGTH)
    return wire.Unsupported(wire.UnsupportedReason.STOP) if any(stop in text for stop in requested.stop) else None
