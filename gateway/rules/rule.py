"""A rule as the request path uses it, compiled from settings once; and whether a request matches it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from classifiers.policy import Slot
from classifiers.verdict import Reading
from gateway.protocols.wire import Request
from gateway.requests.system import PromptPatterns
from gateway.requests.template import PromptTemplate
from gateway.spelling import LabelNames

LABEL, CONFIDENCE, FURTHER = "label", "confidence", "classifier"
"""What fills a field, besides slots. A slot's name stands behind a blank, which no name begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a contract promises: of what its rule answers, at most `target` disagrees, with a chance of `confidence`."""

    target: float
    confidence: float

    @property
    def text(self) -> str:
        """As a contract's scope has them."""
        return f"{self.target:g} at {self.confidence:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyTerms:
    """At most `missed` of what the judge calls unsafe pass unseen, and at most `wrongly` of what it calls safe are
    flagged, both together with the chance of `confidence`."""

    missed: float
    wrongly: float
    confidence: float

    @property
    def text(self) -> str:
        """As a contract's scope has them."""
        return f"missed {self.missed:g}, wrongly {self.wrongly:g} at {self.confidence:g}"


class Act(IntEnum):
    """What a rule does, the mildest first."""

    FLAG = 1
    FORWARD = 2
    ANSWER = 3
    REDACT = 4
    ERROR = 5
    """Answer that there is no time just now."""
    BLOCK = 6
    ASK = 7
    """Ask a judge before anything else is decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What to do for a label. text: the answer, or a block's message. own_label: the answer is the label itself, in the
    requested format. model: where to forward instead. restore: whether redacted values are put back into the answer.
    shape: of a block; `too_long` where it is for the length of a text."""

    act: Act
    text: str = ""
    own_label: bool = False
    model: str | None = None
    restore: bool = False
    shape: Literal["message", "error", "too_long"] = "message"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSpec:
    """The judge that a rule asks where its classifier is unsure. model: of the gateway's file. instructions: the
    policy's own text. categories: what a moderation endpoint calls each label that may be in doubt. reads_system:
    whether it gets the system prompt."""

    model: str
    instructions: str
    categories: Mapping[str, tuple[str, ...]]
    reads_system: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherClassifier:
    """A classifier besides the rule's own, whose label fills a field, or that reads other languages. names: all that
    it can name, with the field's aliases."""

    classifier: str
    names: LabelNames


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    models: empty for every model. endpoints: of wire formats; where empty, all that ask for a model's words, and all
    for a rule that redacts. system: which system prompts; None for every one. otherwise: what is done for each
    abstention. names: all labels that its classifier can name, with the rule's aliases. template: which part of each
    text it reads. slots: of its policy, read in those languages. redacts: the kinds of passages and the slots that it
    replaces. any_turn: whether its fixed texts answer more than a first turn. fields, ignores, free_order, several,
    with_lists: as of `answers.format.Prediction`.
    further: other classifiers, by the field that each fills. terms: of its contract, if it has one. unusual: settings
    other than the defaults that belong to the contract's scope. retrains: whether texts of its calls are kept to train
    on. other_languages: what reads texts in languages that its classifier does not know, if anything does. asks: its
    judge, if it has one. safety: the terms of its safety contract. blocks: all texts that it sends for a block.
    release: whether each sentence of a stream that it reads passes by itself. has_patterns: whether its policy has.
    """

    name: str
    classifier: str
    models: frozenset[str]
    system: PromptPatterns | None
    roles: frozenset[str]
    last_turn: bool
    output: bool
    template: PromptTemplate | None
    then: Mapping[str, Action]
    otherwise: Mapping[str, Action]
    names: LabelNames
    taxonomy: Mapping[str, Mapping[str, tuple[str, ...]]]
    slots: Mapping[str, Slot] = field(default_factory=dict)
    languages: tuple[str, ...] = ("en",)
    blocks: frozenset[str] = frozenset()
    redacts: tuple[str, ...] = ()
    terms: Terms | None = None
    unusual: tuple[str, ...] = ()
    retrains: bool = False
    any_turn: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    further: Mapping[str, FurtherClassifier] = field(default_factory=dict)
    ignores: Mapping[str, str] = field(default_factory=dict)
    free_order: bool = False
    several: bool = False
    with_lists: bool = False
    other_languages: FurtherClassifier | None = None
    asks: JudgeSpec | None = None
    safety: SafetyTerms | None = None
    endpoints: frozenset[str] = frozenset()
    release: bool = False
    has_patterns: bool = False

    def reading(
        self,
        texts: tuple[str, ...],
        *,
        incomplete: bool = False,
        cut: bool = False,
        system: str = "",
        alone: frozenset[str] = frozenset(),
    ) -> Reading:
        """What its classifier reads. incomplete, cut: as of a Reading; system: the prompt above the texts; alone: the
        texts that are a part of it."""
        return Reading(
            classifier=self.classifier,
            texts=texts,
            system=system,
            alone=alone,
            incomplete=incomplete,
            cut=cut,
            every_slot=bool(self.redacts),
            # an earlier stage is as often right as the others, but not as often where it is surest
            last_stage=self.terms is not None,
            other_languages=self.other_languages.classifier if self.other_languages else "",
        )


def failing_part(rule: Rule, request: Request) -> str:
    """The part of a rule's `when` that does not hold, `endpoint`, `model` or `system`; empty where all of it does."""
    if not _of_endpoint(rule, request):
        return "endpoint"
    if rule.models and request.model not in rule.models:
        return "model"
    return "" if rule.system is None or rule.system.match(request.system_text) else "system"


def mismatch(rule: Rule, request: Request) -> tuple[str, str]:
    """The same, and why it does not hold."""
    part = failing_part(rule, request)
    if part == "endpoint":
        return part, f"the call is one of {request.wire.endpoint}"
    if part == "model":
        return part, f"the call asks for {request.model}"
    return part, rule.system.mismatch(request.system_text) if rule.system else ""


def _of_endpoint(rule: Rule, request: Request) -> bool:
    if rule.endpoints:
        return request.wire.endpoint in rule.endpoints
    return request.wire.answered or bool(rule.redacts)
