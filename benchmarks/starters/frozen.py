"""A starter policy as it is trained where torch is missing: on the frozen encoder, with no larger one beside."""

from collections.abc import Mapping
from typing import Any


def frozen(written: Mapping[str, Any]) -> dict[str, Any]:
    """written: a policy's settings, as they stand in its file."""
    return {key: value for key, value in written.items() if key != "cascade"} | {"recipe": "frozen"}
