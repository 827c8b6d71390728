"""Who writes training sentences for a policy, as its file says it."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from classifiers.record import Record, Secret, Words, WordsList, one_or_more
from classifiers.units import Dollars

_SENTENCES = 40


class Teacher(Record):
    """Who writes training sentences: a model (by litellm name or at `base_url`) or files of sentences.

    rounds: how often at most a model is asked again, for labels that are confused.
    """

    model: Words | None = None
    base_url: Words | None = None
    api_key: Secret | None = None
    file: WordsList = ()
    sentences_per_label: Annotated[int, Field(ge=1, le=2000)] | None = None
    rounds: Annotated[int, Field(ge=0, le=20)] = 4
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
    tuple[Teacher, ...], BeforeValidator(one_or_more, json_schema_input_type=Teacher | tuple[Teacher, ...])
]
