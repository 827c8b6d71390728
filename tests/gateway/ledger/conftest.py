from collections.abc import Callable
from typing import Any

import pytest

from gateway.record import Record


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """make_record(**fields): a forwarded request at second 100."""

    def make(**fields: Any) -> Record:
        return Record(**{"request_id": "req_1", "at": 100.0, "endpoint": "chat.completions", **fields})

    return make
