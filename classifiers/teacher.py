"""The writers of training sentences that a policy names: models and files."""

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from classifiers.fields import Dollars, FrozenRecord, Secret, Words, WordsList, one_or_more


class Teacher(FrozenRecord):
    """A writer of training sentences: a model (by litellm name or at `base_url`) or files of sentences.

    labels: of files, what their labels are called here; rows of a label that is null are left out.
    """

    model: Words | None = None
    base_url: Words | None = None
    api_key: Secret | None = None
    file: WordsList = ()
    labels: dict[Words, Words | None] = Field(default_factory=dict)
    budget: Dollars = 1.0
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
        """The name in reports."""
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
    tuple[Teacher, ...], BeforeValidator(one_or_more, json_schema_input_type=Teacher | tuple[Teacher, ...])
]
