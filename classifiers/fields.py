"""Units as people write them: 2%, 250ms, 2MiB, $1.00 → shares, seconds, bytes, dollars.

What records of YAML files are made of: closed, frozen records, and words, names and lists as people write them.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, model_validator

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


Flag = Annotated[bool, BeforeValidator(true_or_false)]
"""`true` or `false`, which the reader of YAML leaves as words."""


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds a line end or another character that cannot be sent")
    return value


MAX_SEED: Final = 2**32 - 1
"""The most that scikit-learn takes."""
Secret = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_one_line)]
"""A key on one line, without the blanks and line ends that a file of secrets leaves around it."""
Version = Annotated[Literal[1], BeforeValidator(number)]
WordsList = Annotated[tuple[Words, ...], BeforeValidator(one_or_more, json_schema_input_type=Words | tuple[Words, ...])]


class FrozenRecord(BaseModel):
    """Frozen, keyword-only, and closed: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        known = {info.alias or name for name, info in cls.model_fields.items()}
        return {key: part for key, part in value.items() if part is not None or key not in known}


_NUMBER = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*)", re.DOTALL)
_LARGEST = 2.0**62
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "kB": 1000, "KiB": 1024, "MB": 1000**2, "MiB": 1024**2, "GB": 1000**3, "GiB": 1024**3}


def parse_share(value: object) -> float:
    """`2%` or `0.02` → 0.02. Raises ValueError outside 0..1 and for text that is no share."""
    share = _parse(value, {"": 1.0, "%": 0.01}, "a percentage from 0% to 100%, such as 2.5%", most=1.0)
    # 35 * 0.01 is a little more than 0.35
    return round(share, 15)


def parse_duration(value: object) -> float:
    """`250ms`, `2s`, `30d` → seconds. Raises ValueError where the unit is missing or unknown."""
    return _parse(value, _SECONDS, f"a duration such as 250ms, 2s or 30d (units: {', '.join(_SECONDS)})")


def parse_size(value: object) -> int:
    """`2MiB` → bytes. Raises ValueError where the unit is missing or unknown."""
    return int(_parse(value, _BYTES, f"a size such as 512KiB or 2MiB (units: {', '.join(_BYTES)})"))


def parse_money(value: object) -> float:
    """`$1.00` → dollars. Raises ValueError for any other currency or a negative amount."""
    return _parse(str(value).strip().removeprefix("$"), {"": 1.0}, "an amount in dollars such as $1.00")


def _parse(value: object, units: Mapping[str, float], wanted: str, most: float = _LARGEST) -> float:
    text = str(value).strip()
    match = _NUMBER.fullmatch(text)
    amount = float(match[1]) * units[match[2]] if match and match[2] in units else -1.0
    if not 0 <= amount <= most:
        raise ValueError(f"{text!r} is not {wanted}")
    return amount


Share = Annotated[float, BeforeValidator(parse_share, json_schema_input_type=str | float)]
Seconds = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=str)]
Bytes = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str)]
Dollars = Annotated[float, BeforeValidator(parse_money, json_schema_input_type=str | float)]
