"""Who writes training sentences for a policy, as its file says it."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from classifiers.fields import Dollars, FrozenRecord, Secret, Words, WordsList, one_or_more

_SENTENCES = 40


class Teacher(FrozenRecord):
    """Who writes training sentences: a model (by litellm name or at `base_url`) or files of sentences.

    rounds: how often at most a model is asked again, for labels that are confused. answer_tokens: how long an answer
    of a model may be, what it thinks before it included; None: as its sentences need.
    """

    model: Words | None = None
    base_url: Words | None = None
    api_key: Secret | None = None
    file: WordsList = ()
    sentences_per_label: Annotated[int, Field(ge=1, le=2000)] | None = None
    rounds: Annotated[int, Field(ge=0, le=20)] = 4
    budget: Dollars = 1.0
    tokens: Annotated[int, Field(ge=1)] | None = None
    answer_tokens: Annotated[int, Field(ge=100)] | None = None

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


def writers(teachers: Sequence[Teacher]) -> list[str]:
    """What the rows of each are told apart by: its name, and where others have that too, its address or its place."""
    forms = [(one.name, f"{one.name} at {one.base_url}" if one.base_url else one.name) for one in teachers]
    told = []
    for place, (name, address) in enumerate(forms):
        others = [form for other, form in enumerate(forms) if other != place and form[0] == name]
        alike = any(form[1] == address for form in others)
        told.append(f"{name} (teacher {place + 1})" if alike else address if others else name)
    return told


Teachers = Annotated[
    tuple[Teacher, ...], BeforeValidator(one_or_more, json_schema_input_type=Teacher | tuple[Teacher, ...])
]
