"""A policy: one narrow task described in words, as frozen records. Its YAML is parsed by the caller."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from classifiers.patterns.kind import Kind as Pattern
from classifiers.units import Dollars, Share

OTHER = "other"
"""The label of a single-label verdict for text that is none of the policy's labels."""
NONE = "none"
"""What a test of a safety policy expects where no label applies."""

_SENTENCES = 40

Kind = Literal["intent", "topic", "safety"]
Recipe = Literal["frozen", "finetune", "auto"]
"""How a model is fitted: heads on the frozen encoder, an encoder tuned for the policy, or what its goals need."""
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str | dict) else value


def _number(value: object) -> object:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


Version = Annotated[Literal[1], BeforeValidator(_number)]
WordsList = Annotated[
    tuple[Words, ...], BeforeValidator(_one_or_more, json_schema_input_type=Words | tuple[Words, ...])
]

Patterns = Annotated[
    tuple[Pattern, ...], BeforeValidator(_one_or_more, json_schema_input_type=Pattern | tuple[Pattern, ...])
]


class Record(BaseModel):
    """Frozen, keyword-only, and closed: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        known = {info.alias or name for name, info in cls.model_fields.items()}
        return {key: part for key, part in value.items() if part is not None or key not in known}


class LabelGoal(Record):
    """What a safety label must reach: shares of harmful text caught and of harmless text flagged."""

    catch: Share = 0.95
    false_alarms: Share = 0.01


class Label(Record):
    """One label: what it means, key phrases, near misses, and the names other taxonomies give it.

    patterns: what tells the label by its form; it holds where one is found, and nothing of it is learned.
    """

    means: Words
    examples: WordsList = ()
    not_: WordsList = Field(default=(), alias="not")
    patterns: Patterns = ()
    goal: LabelGoal | None = None
    taxonomy: dict[str, WordsList] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _told_or_learned(self) -> Self:
        given = {"examples": self.examples, "not": self.not_, "goal": self.goal}
        for name, value in given.items():
            if self.patterns and value:
                raise ValueError(f"is told by patterns:, so nothing is learned from {name}:; take one of the two away")
        return self


class Goal(Record):
    """What a single-label classifier must reach, both as shares of messages."""

    max_error: Share = 0.02
    min_answered: Share = 0.0


class Teacher(Record):
    """Who writes training sentences: a model (by litellm name or at `base_url`) or files of sentences."""

    model: Words | None = None
    base_url: Words | None = None
    api_key: str | None = None
    file: WordsList = ()
    sentences_per_label: Annotated[int, Field(ge=1, le=2000)] | None = None
    budget: Dollars = 1.0
    tokens: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.model is None) == (not self.file):
            raise ValueError("a teacher needs either model: or file:")
        return self

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.model or ", ".join(self.file)

    @property
    def sentences(self) -> int:
        """How many sentences a label a model is asked for at first."""
        return self.sentences_per_label or _SENTENCES


Teachers = Annotated[
    tuple[Teacher, ...], BeforeValidator(_one_or_more, json_schema_input_type=Teacher | tuple[Teacher, ...])
]


class PolicyTest(Record):
    """A text that training never sees and the label, labels, `other` or `none` expected of it."""

    text: str
    expect: WordsList


class Policy(Record):
    """A policy file. `labels` keeps the file's order, which is the order of every score vector."""

    version: Version
    name: Name
    kind: Kind
    about: Words
    languages: WordsList = ("en",)
    labels: Annotated[dict[Words, Label], Field(min_length=1)]
    other: Words | None = None
    encoder: Words | None = None
    larger_encoder: Words | None = None
    recipe: Recipe = "frozen"
    data: WordsList = ()
    teachers: Teachers = Field(default=(), alias="teacher")
    goal: Goal | None = None
    seed: int = 0
    tests: tuple[PolicyTest, ...] = ()

    @model_validator(mode="after")
    def _larger_for_safety(self) -> Self:
        if self.larger_encoder and not self.multi_label:
            raise ValueError(f"larger_encoder: is for kind safety, not {self.kind}; name a larger one as encoder:")
        return self

    @property
    def multi_label(self) -> bool:
        """Whether several labels, or none, may hold at once (safety)."""
        return self.kind == "safety"

    @property
    def learned(self) -> tuple[str, ...]:
        """The labels that training learns, in order; the others are told by patterns."""
        return tuple(name for name, label in self.labels.items() if not label.patterns)

    @property
    def patterns(self) -> Mapping[Pattern, str]:
        """For which label each pattern stands."""
        return {kind: name for name, label in self.labels.items() for kind in label.patterns}
