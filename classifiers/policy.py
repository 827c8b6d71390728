"""A policy: one narrow task described in words, as frozen records. Its YAML is parsed by the caller."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

from classifiers.fields import (
    FrozenRecord,
    Name,
    Seed,
    Share,
    Version,
    Words,
    WordsList,
    number,
    one_or_more,
    true_or_false,
)
from classifiers.patterns.find import Kind as Pattern
from classifiers.teacher import Teachers

OTHER = "other"
"""The label of a single-label verdict for text that is none of the policy's labels."""
NONE = "none"
"""What a test of a safety policy expects where no label applies."""

ANYTHING_ELSE = "anything else"
"""What is out of scope where a policy does not say."""

Kind = Literal["intent", "topic", "safety", "slots"]
SlotType = Literal["text", "enum", "number", "money", "date", "time"]
Recipe = Literal["frozen", "finetune", "auto"]
"""How a model is fitted: heads on the frozen encoder, an encoder tuned for the policy, or what its goals need."""
SlotName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-zA-Z0-9_-]{0,62}$")]


def _unless_auto(value: object) -> object:
    return value if value == "auto" else true_or_false(value)


def _by_name(value: object) -> object:
    """A list of names, as a mapping from names to other words for them."""
    return dict.fromkeys(value, ()) if isinstance(value, list | tuple) else value


def _language_code(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*", value):
        raise ValueError(f"{value!r} is no code of a language, such as en, de or pt-BR; any stands for all")
    return value


FirstStage = Annotated[Literal["auto", True, False], BeforeValidator(_unless_auto)]
"""Whether a table of words stands in front of the encoder and settles what it is certain of; `auto`: where it pays."""
Language = Annotated[Words, AfterValidator(_language_code)]

Patterns = Annotated[
    tuple[Pattern, ...], BeforeValidator(one_or_more, json_schema_input_type=Pattern | tuple[Pattern, ...])
]


class LabelGoal(FrozenRecord):
    """What a safety label must reach, or all of them together: shares of harmful text caught and of harmless text
    flagged."""

    catch: Share = 0.95
    false_alarms: Share = 0.01

    @model_serializer(mode="wrap")
    def _as_stated(self, fill: SerializerFunctionWrapHandler) -> dict[str, float]:
        # only what is stated is demanded, so that written out, the other side would be as well
        left_open = set(LabelGoal.model_fields) - self.model_fields_set
        return {name: value for name, value in fill(self).items() if name not in left_open}


class Slot(FrozenRecord):
    """Something that a message may fill in, and how its words are read as a value.

    values: of an enum, each with other words for it. currency: of money whose words name none (ISO 4217).
    hours: of a time, `11:00-23:00`: which of two is meant by an hour without am or pm.
    """

    means: Words
    type: SlotType = "text"
    examples: WordsList = ()
    values: Annotated[dict[Words, WordsList], BeforeValidator(_by_name)] = Field(default_factory=dict)
    required: Annotated[bool, BeforeValidator(true_or_false)] = False
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = None
    hours: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")] | None = None


class Label(FrozenRecord):
    """One label: what it means, key phrases, near misses, and the names other taxonomies give it.

    patterns: what tells the label by its form; it holds where one is found, and nothing of it is learned.
    slots: those that a message of this label may fill in; by default all. required: which it must; by default those
    that are required themselves. Examples may mark values: `[7 pm](time)`.
    """

    means: Words
    examples: WordsList = ()
    not_: WordsList = Field(default=(), alias="not")
    patterns: Patterns = ()
    goal: LabelGoal | None = None
    taxonomy: dict[str, WordsList] = Field(default_factory=dict)
    slots: tuple[SlotName, ...] | None = None
    required: tuple[SlotName, ...] | None = None

    @model_validator(mode="after")
    def _told_or_learned(self) -> Self:
        given = {"examples": self.examples, "not": self.not_, "goal": self.goal}
        for name, value in given.items():
            if self.patterns and value:
                raise ValueError(f"is told by patterns:, so nothing is learned from {name}:; take one of the two away")
        return self


class Goal(LabelGoal):
    """What a classifier must reach: of safety what its labels catch and flag together; of other kinds max_error and
    min_answered, both as shares of messages."""

    max_error: Share = 0.02
    min_answered: Share = 0.0


def _goals_of(kind: str) -> set[str]:
    """What a goal of this kind of policy may name."""
    own = set(LabelGoal.model_fields)
    return own if kind == "safety" else set(Goal.model_fields) - own


class PolicyTest(FrozenRecord):
    """A text that training never sees and the label, labels, `other` or `none` expected of it.

    system: the system prompt that it is read beside. slots: values expected, as they are written in the text or as they
    are read (`19:00`).
    """

    text: str
    system: str = ""
    expect: WordsList = ()
    slots: dict[SlotName, Words] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if not self.expect and not self.slots:
            raise ValueError("a test needs expect: or slots:")
        return self


class Policy(FrozenRecord):
    """A policy file. `labels` keeps the file's order, which is the order of every score vector.

    A policy of kind slots without `labels` has one, named as itself; with one label, `other` is anything else.
    several (`multi_label:` in the file): of kind topic, whether a text may have several labels, or none.
    larger_layers: of the larger encoder's layers, how many are kept, from the lowest; by default all.
    larger_asked: of held-out harmless text, how much it may be asked about.
    larger_goal: stands for `goal` where the larger encoder serves.
    reads_system: of kind safety, whether each text is read beside the system prompt that it was written under.
    everyday: whether the built-in writer's everyday sentences stand for what is none of the labels.
    """

    version: Version
    name: Name
    kind: Kind
    several: Annotated[bool, BeforeValidator(true_or_false)] = Field(default=False, alias="multi_label")
    about: Words
    languages: Annotated[
        tuple[Language, ...], BeforeValidator(one_or_more, json_schema_input_type=Language | tuple[Language, ...])
    ] = ("en",)
    labels: dict[Words, Label] = Field(default_factory=dict, validate_default=True)
    other: Words | None = Field(default=None, validate_default=True)
    everyday: Annotated[bool, BeforeValidator(true_or_false)] = True
    slots: dict[SlotName, Slot] = Field(default_factory=dict)
    reads_system: Annotated[bool, BeforeValidator(true_or_false)] = False
    encoder: Words | None = None
    larger_encoder: Words | None = None
    larger_layers: Annotated[int, BeforeValidator(number), Field(ge=1)] | None = None
    larger_asked: Share | None = None
    recipe: Recipe = "frozen"
    first_stage: FirstStage = "auto"
    data: WordsList = ()
    teachers: Teachers = Field(default=(), alias="teacher")
    goal: Goal | None = None
    larger_goal: LabelGoal | None = None
    seed: Seed = 0
    tests: tuple[PolicyTest, ...] = ()

    @model_validator(mode="after")
    def _several_topics(self) -> Self:
        if self.several and self.kind != "topic":
            raise ValueError(
                "multi_label: is for kind topic; safety may always name several labels, and intent and slots name one"
            )
        return self

    @field_validator("goal", mode="after")
    @classmethod
    def _goal_of_its_kind(cls, goal: Goal | None, info: ValidationInfo) -> Goal | None:
        kind = info.data.get("kind")
        if goal and kind and (wrong := sorted(goal.model_fields_set - _goals_of(kind))):
            known = " and ".join(sorted(_goals_of(kind)))
            raise ValueError(f"kind {kind} takes {known}, not {' and '.join(wrong)}")
        return goal

    @field_serializer("goal")
    def _only_of_its_kind(self, goal: Goal | None) -> dict[str, float] | None:
        return goal.model_dump(include=_goals_of(self.kind)) if goal else None

    @model_validator(mode="after")
    def _one_goal_or_several(self) -> Self:
        if self.kind == "safety" and self.goal:
            if stated := [f"labels.{name}.goal" for name, label in self.labels.items() if label.goal]:
                raise ValueError(f"goal: is for all labels together, and {stated[0]} for one; take one away")
            if not self.learned:
                raise ValueError("goal: is for labels that are learned; all of these are told by patterns:")
        return self

    @model_validator(mode="after")
    def _larger_beside(self) -> Self:
        if self.larger_encoder and (self.several or self.slots or self.kind == "slots"):
            what = "topics with multi_label" if self.several else "policies with slots"
            raise ValueError(f"larger_encoder: is not for {what}; name a larger one as encoder:")
        safety = self.larger_encoder is not None and self.kind == "safety"
        if self.larger_asked is not None and not safety:
            raise ValueError("larger_asked: is for the larger_encoder: of kind safety")
        if self.larger_goal is not None and not safety:
            raise ValueError("larger_goal: is for the larger_encoder: of kind safety")
        if self.larger_goal is not None and self.goal is None:
            raise ValueError("larger_goal: needs goal:, which counts where the larger encoder is not to be had")
        if self.larger_layers is not None and not (safety or (self.larger_encoder and self.recipe == "finetune")):
            raise ValueError("larger_layers: is for a larger_encoder: that is tuned: kind safety, or recipe: finetune")
        return self

    @model_validator(mode="after")
    def _system_of_safety(self) -> Self:
        if self.reads_system and self.kind != "safety":
            raise ValueError("reads_system: is for kind safety")
        if not self.reads_system and any(test.system for test in self.tests):
            raise ValueError("a test gives a system prompt, which is read only with reads_system: true")
        return self

    @model_validator(mode="after")
    def _first_for_one_label(self) -> Self:
        if self.first_stage is True and (self.kind not in {"intent", "topic"} or self.several):
            what = f"{self.kind} with multi_label" if self.several else self.kind
            raise ValueError(f"first_stage: true is for policies that name one label, not {what}")
        return self

    @field_validator("labels", mode="after")
    @classmethod
    def _at_least_one(cls, labels: dict[str, Label], info: ValidationInfo) -> dict[str, Label]:
        if labels:
            return labels
        if info.data.get("kind") != "slots":
            raise ValueError("needs at least one label")
        return {info.data.get("name", ""): Label(means=info.data.get("about", ""))}

    @field_validator("other", mode="after")
    @classmethod
    def _beside_one(cls, other: str | None, info: ValidationInfo) -> str | None:
        single = info.data.get("kind") == "slots" and len(info.data.get("labels", ())) == 1
        return other or (ANYTHING_ELSE if single else None)

    @property
    def multi_label(self) -> bool:
        """Whether several labels, or none, may hold at once: of safety always, of topics where the policy says so."""
        return self.kind == "safety" or self.several

    @property
    def learned(self) -> tuple[str, ...]:
        """The labels that training learns, in order; the others are told by patterns."""
        return tuple(name for name, label in self.labels.items() if not label.patterns)

    @property
    def patterns(self) -> Mapping[Pattern, str]:
        """For which label each pattern stands."""
        return {kind: name for name, label in self.labels.items() for kind in label.patterns}

    def goal_where(self, *, larger: bool) -> tuple[str, LabelGoal | None]:
        """Of safety the goal of all labels that counts, by its key in the file. larger: whether the larger encoder
        serves."""
        return ("larger_goal", self.larger_goal) if larger and self.larger_goal else ("goal", self.goal)

    def categories_of(self, label: str) -> tuple[str, ...]:
        """What `/v1/moderations` calls a label: OpenAI's names for it where the policy gives them, or else its own."""
        return self.labels[label].taxonomy.get("openai") or (label,)

    def slots_of(self, label: str) -> tuple[str, ...]:
        """The slots that a message of a label may fill in, in the label's order or the policy's."""
        named = self.labels[label].slots
        return tuple(self.slots) if named is None else named
