"""What settings of several kinds are made of."""

from typing import Annotated

from pydantic import BeforeValidator


def not_built(what: str) -> str:
    """What is said of a setting that a later version will know."""
    return f"{what} is not built yet; this version refuses it instead of ignoring it"


def _true_or_false(value: object) -> object:
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise ValueError(f"{value!r} is neither true nor false")
        return value == "true"
    return value


Flag = Annotated[bool, BeforeValidator(_true_or_false)]
"""`true` or `false`, which YAML gives as words here."""
