import json
from typing import Any

import pytest

from gateway.ledger.store import LedgerError
from gateway.record import Record


@pytest.mark.parametrize("name", ["hidden", "gpt-5", "../models"])
async def test_a_model_that_is_not_there(api: Any, ask: Any, name: str) -> None:
    app, _, _ = api()
    answer = await ask(app, method="GET", path=f"/v1/models/{name}")
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    "path", ["/v1/models/gpt-4o/", "//v1//models/gpt-4o", "/models/gpt-4o", "/openai/v1/models/gpt-4o"]
)
async def test_extra_slashes_change_nothing(api: Any, ask: Any, path: str) -> None:
    answer = await get(ask, api()[0], path)
    assert (answer.status, json.loads(answer.body)["id"]) == (200, "gpt-4o")


async def test_a_model_whose_name_has_a_slash_is_there(api: Any, ask: Any) -> None:
    answer = await get(ask, api()[0], "/v1/models/org/model")
    assert (answer.status, json.loads(answer.body)["id"]) == (200, "org/model")


async def get(ask: Any, app: Any, path: str) -> Any:
    return await ask(app, method="GET", path=path)


async def test_it_is_ready_while_the_ledger_can_be_written(api: Any, ask: Any, memory_store: Any) -> None:
    app, _, writer = api("safe")
    ready = await get(ask, app, "/ready")
    assert (ready.status, json.loads(ready.body)) == (
        200,
        {"status": "ready", "classifiers": {"safe": "v1"}, "ledger_pending_rows": 0},
    )
    memory_store.fail = LedgerError("disk full")
    writer.add(Record(request_id="r", at=1.0, endpoint="e"))
    writer._write_all()
    ready = await get(ask, app, "/ready")
    assert (ready.status, json.loads(ready.body)["status"]) == (503, "the ledger cannot be written")
    assert json.loads(ready.body)["ledger_pending_rows"] == 1
