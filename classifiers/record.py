"""What records of YAML files are made of: closed, frozen records, and words, names and lists as people write them."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


def one_or_more(value: object) -> object:
    """One thing stands for a list of it."""
    return (value,) if isinstance(value, str | dict) else value


def number(value: object) -> object:
    """Digits, as the reader of YAML leaves them."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def true_or_false(value: object) -> object:
    """The words `true` and `false`, likewise. Raises ValueError for others."""
    if isinstance(value, str):
        if value not in {"true", "false"}:
            raise ValueError(f"{value!r} is neither true nor false")
        return value == "true"
    return value


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds a line end or another character that cannot be sent")
    return value


MAX_SEED: Final = 2**32 - 1
"""The most that scikit-learn takes."""
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Secret = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_one_line)]
"""A key on one line, without the blanks and line ends that a file of secrets leaves around it."""
Version = Annotated[Literal[1], BeforeValidator(number)]
WordsList = Annotated[tuple[Words, ...], BeforeValidator(one_or_more, json_schema_input_type=Words | tuple[Words, ...])]


class Record(BaseModel):
    """Frozen, keyword-only, and closed: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        known = {info.alias or name for name, info in cls.model_fields.items()}
        return {key: part for key, part in value.items() if part is not None or key not in known}
