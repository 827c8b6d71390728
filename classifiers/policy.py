"""A policy: one narrow task described in words, as frozen records. Its YAML is parsed by the caller."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from classifiers import fields
from classifiers.patterns.find import Kind as Pattern

OTHER = "other"
"""The label of a single-label verdict for text that is none of the policy's labels."""
NONE = "none"
"""What a test of a safety policy expects where no label applies."""

ANYTHING_ELSE = "anything else"
"""What is out of scope where a policy does not say."""

OUT_OF_SCOPE = 0.1
"""The share of the traffic that is of no label, where a policy does not say."""

HARMFUL_SHARE = 0.05
"""The share of the traffic that is harmful, where a safety policy does not say."""

Kind = Literal["intent", "topic", "safety", "slots"]
SlotType = Literal["text", "enum", "number", "money", "date", "time"]
HIDDEN = "hidden"
"""The recipe of a guard on the frozen encoder that has a hidden layer and reads a text in its parts."""

Recipe = Literal["frozen", "hidden", "finetune", "auto"]
"""How a model is fitted: heads on the frozen encoder, an encoder tuned for the policy, or what its goals need."""
SlotName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-zA-Z0-9_-]{0,62}$")]


def _by_name(value: object) -> object:
    return dict.fromkeys(value, ()) if isinstance(value, list | tuple) else value


def _language_code(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*", value):
        raise ValueError(f"{value!r} is no code of a language, such as en, de or pt-BR; any stands for all")
    return value


Language = Annotated[fields.Words, AfterValidator(_language_code)]

Patterns = Annotated[
    tuple[Pattern, ...], BeforeValidator(fields.one_or_more, json_schema_input_type=Pattern | tuple[Pattern, ...])
]


class Goal(fields.FrozenRecord):
    """What a classifier must reach, all as shares. A safety goal has `catch` of harmful texts and `false_alarms` of
    harmless ones; the other kinds have `max_error` of answers and `min_answered` of messages."""

    catch: fields.Share = 0.95
    false_alarms: fields.Share = 0.01
    max_error: fields.Share = 0.02
    min_answered: fields.Share = 0.0

    @model_serializer(mode="wrap")
    def _as_stated(self, fill: SerializerFunctionWrapHandler) -> dict[str, float]:
        # training demands only what is stated; a written default would be demanded as well
        return {name: value for name, value in fill(self).items() if name in self.model_fields_set}


_SAFETY_GOALS = frozenset({"catch", "false_alarms"})


class Cascade(fields.FrozenRecord):
    """A larger encoder that is asked where the small one is unsure. goal: of safety, instead of the policy's goal,
    where the larger encoder serves."""

    encoder: fields.Words
    goal: Goal | None = None


class Guard(fields.FrozenRecord):
    """A pretrained classifier that is asked where the policy's own heads are in doubt.

    labels: which labels of the policy each of its labels stands for; null where it stands for none. One that is
    not named stands for the label of the same name.
    """

    model: fields.Words
    labels: dict[fields.Words, fields.WordsList | None] = Field(default_factory=dict)


def _true_or_labels(value: object) -> object:
    return fields.true_or_false(value) if value in ("true", "false") else fields.one_or_more(value)


class Slot(fields.FrozenRecord):
    """Something that a message may fill in, and how its words are read as a value.

    values: of an enum, each with other words for it. required: whether messages of all labels that have the slot must
    fill it in, or of which labels. hours: of a time, `11:00-23:00`: resolves an hour without am or pm.
    """

    means: fields.Words
    type: SlotType = "text"
    examples: fields.WordsList = ()
    values: Annotated[dict[fields.Words, fields.WordsList], BeforeValidator(_by_name)] = Field(default_factory=dict)
    required: Annotated[
        bool | tuple[fields.Words, ...],
        BeforeValidator(_true_or_labels, json_schema_input_type=bool | fields.Words | tuple[fields.Words, ...]),
    ] = False
    hours: Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")] | None = None

    def needed_by(self, label: str) -> bool:
        """Whether a message of a label that has this slot must fill it in."""
        return self.required if isinstance(self.required, bool) else label in self.required


class Label(fields.FrozenRecord):
    """One label: what it means, key phrases, near misses, and the names other taxonomies give it.

    patterns: the forms by which the label is recognised; nothing of it is learned. slots: those that a message of this
    label may fill in; by default all. Examples may mark values: `[7 pm](time)`.
    """

    means: fields.Words
    examples: fields.WordsList = ()
    not_: fields.WordsList = Field(default=(), alias="not")
    patterns: Patterns = ()
    goal: Goal | None = None
    taxonomy: dict[str, fields.WordsList] = Field(default_factory=dict)
    slots: tuple[SlotName, ...] | None = None


class Teacher(fields.FrozenRecord):
    """A writer of training sentences: a model (by litellm name or at `base_url`) or files of sentences.

    labels: of files, what their labels are called here; rows of a label that is null are left out.
    """

    model: fields.Words | None = None
    base_url: fields.Words | None = None
    api_key: fields.Secret | None = None
    file: fields.WordsList = ()
    labels: dict[fields.Words, fields.Words | None] = Field(default_factory=dict)
    budget: fields.Dollars = 1.0
    tokens: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.model is None) == (not self.file):
            raise ValueError("a teacher needs either model: or file:")
        if self.labels and not self.file:
            raise ValueError("labels: is for the rows of file:")
        return self

    @property
    def name(self) -> str:
        return self.model or ", ".join(self.file)


def writers(teachers: Sequence[Teacher]) -> list[str]:
    """A distinct name for each teacher: its own, and where others share that, its address or its place."""
    forms = [(each.name, f"{each.name} at {each.base_url}" if each.base_url else each.name) for each in teachers]
    names = []
    for place, (name, address) in enumerate(forms):
        others = [form for other, form in enumerate(forms) if other != place and form[0] == name]
        alike = any(form[1] == address for form in others)
        names.append(f"{name} (teacher {place + 1})" if alike else address if others else name)
    return names


Teachers = Annotated[
    tuple[Teacher, ...], BeforeValidator(fields.one_or_more, json_schema_input_type=Teacher | tuple[Teacher, ...])
]


class PolicyTest(fields.FrozenRecord):
    """A text that training never sees and the label, labels, `other` or `none` expected of it.

    system: the system prompt that it is read with. slots: values expected, as they are written in the text or as they
    are read (`19:00`).
    """

    text: str
    system: str = ""
    expect: fields.WordsList = ()
    slots: dict[SlotName, fields.Words] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if not self.expect and not self.slots:
            raise ValueError("a test needs expect: or slots:")
        return self


class Policy(fields.FrozenRecord):
    """A policy file. `labels` keeps the file's order, which is the order of every score vector.

    A policy of kind slots without `labels` has one, named as itself; with one label, `other` is anything else.
    several (`multi_label:` in the file): of kind topic, whether a text may have several labels, or none.
    cascade: a larger encoder behind the small one.
    guard: of kind safety, a pretrained classifier behind the policy's heads.
    builds_on: of kind safety, a trained guard whose network adds its judgement to what this policy's lines teach.
    reads_system: of kind safety, whether each text is read with the system prompt that it was written under.
    everyday: whether the built-in writer's everyday sentences stand for what is none of the labels.
    out_of_scope: of kinds that name one label, the share of the traffic, 0 to 1, that thresholds allow to be of none.
    harmful_share: of kind safety, the share of the traffic, 0 to 1, that is taken for harmful: nine in ten blocks are
    to be right there (where a guard reads text in its parts).
    """

    version: fields.Version
    name: fields.Name
    kind: Kind
    several: fields.Flag = Field(default=False, alias="multi_label")
    about: fields.Words
    languages: Annotated[
        tuple[Language, ...],
        BeforeValidator(fields.one_or_more, json_schema_input_type=Language | tuple[Language, ...]),
    ] = ("en",)
    labels: dict[fields.Words, Label] = Field(default_factory=dict, validate_default=True)
    other: fields.Words | None = Field(default=None, validate_default=True)
    everyday: fields.Flag = True
    out_of_scope: fields.Share = OUT_OF_SCOPE
    harmful_share: fields.Share = HARMFUL_SHARE
    slots: dict[SlotName, Slot] = Field(default_factory=dict)
    reads_system: fields.Flag = False
    encoder: fields.Words | None = None
    cascade: Cascade | None = None
    guard: Guard | None = None
    builds_on: fields.Name | None = None
    recipe: Recipe = "frozen"
    data: fields.WordsList = ()
    teachers: Teachers = Field(default=(), alias="teacher")
    goal: Goal | None = None
    tests: tuple[PolicyTest, ...] = ()

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        for message in (*self._wrong_patterns(), *self._contradictions(), *self._wrong_guards(), *self._wrong_goals()):
            raise ValueError(message)
        return self

    def _contradictions(self) -> Iterator[str]:
        if self.several and self.kind != "topic":
            yield "multi_label: is for kind topic; safety may always name several labels, and intent and slots name one"
        if self.cascade and (self.several or self.slots or self.kind == "slots"):
            what = "topics with multi_label" if self.several else "policies with slots"
            yield f"cascade: is not for {what}; name a larger one as encoder:"
        if self.kind == "safety" and self.out_of_scope != OUT_OF_SCOPE:
            yield "out_of_scope: is not for safety"
        if self.reads_system and self.kind != "safety":
            yield "reads_system: is for kind safety"
        if not self.reads_system and any(test.system for test in self.tests):
            yield "a test gives a system prompt, which is read only with reads_system: true"

    def _wrong_patterns(self) -> Iterator[str]:
        # where one label is named, none may have patterns at all
        for place, label in self.labels.items() if self.multi_label else ():
            for name, value in {"examples": label.examples, "not": label.not_, "goal": label.goal}.items():
                if label.patterns and value:
                    what = f"has patterns:, so nothing is learned from {name}:; take one of the two away"
                    yield f"labels.{place}: {what}"

    def _wrong_guards(self) -> Iterator[str]:
        safety = self.kind == "safety"
        if self.recipe == HIDDEN and (not safety or self.cascade):
            yield "recipe: hidden is for kind safety, without cascade:"
        if self.guard and (not safety or self.cascade or not self.learned):
            yield "guard: is for kind safety with labels that are learned, without cascade:"
        if self.builds_on and (not safety or self.cascade or self.recipe != "frozen"):
            yield "builds_on: is for kind safety, without cascade: and with recipe: frozen"
        if self.builds_on and self.reads_system:
            yield "builds_on: adds to heads on the frozen encoder, which read no system prompts; drop reads_system:"
        if self.harmful_share != HARMFUL_SHARE and not self.reads_parts:
            yield "harmful_share: is for kind safety with builds_on: or recipe: hidden"

    def _wrong_goals(self) -> Iterator[str]:
        """What is wrong with the goals; each message begins with the goal's place."""
        of_labels = {f"labels.{name}.goal": label.goal for name, label in self.labels.items() if label.goal}
        of_cascade = self.cascade.goal if self.cascade else None
        safety = self.kind == "safety"
        if of_cascade and not safety:
            yield "cascade.goal: is for kind safety"
        if of_cascade and self.goal is None:
            yield "cascade.goal: needs goal:, which counts where the larger encoder is not to be had"
        for where in of_labels if not safety else ():
            yield f"{where}: is for kind safety; other kinds take one goal: for all"
        for where, goal in {"goal": self.goal, "cascade.goal": of_cascade, **of_labels}.items():
            known = _SAFETY_GOALS if safety else Goal.model_fields.keys() - _SAFETY_GOALS
            if goal and (wrong := sorted(goal.model_fields_set - known)):
                yield f"{where}: kind {self.kind} takes {' and '.join(sorted(known))}, not {' and '.join(wrong)}"
        if safety and self.goal and of_labels:
            yield f"goal: is for all labels together, and {next(iter(of_labels))} for one; take one away"
        if safety and self.goal and not self.learned:
            yield "goal: is for labels that are learned; all of these have patterns:"

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
    def _anything_else(cls, other: str | None, info: ValidationInfo) -> str | None:
        single = info.data.get("kind") == "slots" and len(info.data.get("labels", ())) == 1
        return other or (ANYTHING_ELSE if single else None)

    @property
    def multi_label(self) -> bool:
        """Whether several labels, or none, may hold at once: of safety always, of topics where the policy says so."""
        return self.kind == "safety" or self.several

    @property
    def learned(self) -> tuple[str, ...]:
        """The labels that training learns, in order; the others have patterns."""
        return tuple(name for name, label in self.labels.items() if not label.patterns)

    @property
    def patterns(self) -> Mapping[Pattern, str]:
        """For which label each pattern stands."""
        return {kind: name for name, label in self.labels.items() for kind in label.patterns}

    @property
    def reads_parts(self) -> bool:
        """Of kind safety: whether a text is read in its parts as well, and ordinary traffic bounds the thresholds."""
        return self.recipe == HIDDEN or self.builds_on is not None

    @property
    def larger_encoder(self) -> str | None:
        """The cascade's encoder."""
        return self.cascade.encoder if self.cascade else None

    def on_larger(self, encoder: str) -> Self:
        """Of kind safety: the same guard tuned on a larger encoder, as NAME-large, which the `guard:` of other policies
        may name. It reads texts without system prompts. encoder: its source."""
        own = {"name": f"{self.name}-large", "encoder": encoder, "recipe": "finetune"}
        alone = {"reads_system": False, "tests": tuple(test for test in self.tests if not test.system)}
        without = {"cascade": None, "guard": None, "builds_on": None, "harmful_share": HARMFUL_SHARE}
        return self.model_copy(update={**own, **alone, **without})

    def goal_where(self, *, larger: bool) -> tuple[str, Goal | None]:
        """The goal that counts for all labels of a safety policy, after its key in the file. larger: whether the larger
        encoder serves."""
        own = self.cascade.goal if larger and self.cascade else None
        return ("cascade.goal", own) if own else ("goal", self.goal)

    def categories_of(self, label: str) -> tuple[str, ...]:
        """What `/v1/moderations` calls a label: OpenAI's names for it where the policy gives them, or else its own."""
        return self.labels[label].taxonomy.get("openai") or (label,)

    def slots_of(self, label: str) -> tuple[str, ...]:
        """The slots that a message of a label may fill in, in the label's order or the policy's."""
        named = self.labels[label].slots
        return tuple(self.slots) if named is None else named
