"""Questions put to classifiers directly leave a row, too."""

from typing import Any

import pytest


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/classify"])
async def test_each_leaves_a_row(api: Any, ask: Any, memory_store: Any, path: str) -> None:
    app, _, writer = api("safe")
    good = await ask(app, b'{"input": "hello"}', path=path)
    bad = await ask(app, b'{"input": 5}', path=path)
    assert (good.status, bad.status) == (200, 400)
    writer.close()
    first, second = memory_store.records
    endpoint = path.rpartition("/")[2]
    assert (first.endpoint, first.decision, first.status, first.saved_reason) == (endpoint, "answer", 200, None)
    assert (first.classifier, first.classifier_version) == ("safe", "v1")
    assert first.classifier_s is not None
    assert (second.decision, second.status, second.error) == ("error", 400, "invalid_request_error")


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/classify"])
async def test_a_body_that_is_too_large_leaves_a_row(api: Any, ask: Any, memory_store: Any, path: str) -> None:
    app, _, writer = api("safe")
    assert (await ask(app, b'{"input": "' + b"x" * 5000 + b'"}', path=path)).status == 413
    writer.close()
    (row,) = memory_store.records
    assert (row.decision, row.status, row.error) == ("error", 413, "request_too_large")
