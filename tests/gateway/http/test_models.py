import json
from typing import Any

import pytest
from openai.types import Model
from prometheus_client.parser import text_string_to_metric_families

from gateway.ledger.record import Record
from gateway.ledger.store import LedgerError


@pytest.mark.parametrize("base", ["", "/v1"])
async def test_the_models_that_clients_may_ask_for(api: Any, ask: Any, base: str) -> None:
    app, _, _ = api()
    listed = json.loads((await ask(app, method="GET", path=f"{base}/models")).body)
    assert listed["object"] == "list"
    assert [Model.model_validate(model).id for model in listed["data"]] == ["gpt-4o", "org/model"]


@pytest.mark.parametrize("name", ["gpt-4o", "org/model"])
async def test_one_model(api: Any, ask: Any, name: str) -> None:
    app, _, _ = api()
    answer = await ask(app, method="GET", path=f"/v1/models/{name}")
    assert Model.model_validate_json(answer.body).id == name


@pytest.mark.parametrize("name", ["hidden", "gpt-5", "", "gpt-4o/", "../models"])
async def test_a_model_that_is_not_there(api: Any, ask: Any, name: str) -> None:
    app, _, _ = api()
    answer = await ask(app, method="GET", path=f"/v1/models/{name}")
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (404, "model_not_found")


async def get(ask: Any, app: Any, path: str) -> Any:
    return await ask(app, method="GET", path=path)


async def test_the_process_lives(api: Any, ask: Any) -> None:
    app, _, _ = api()
    assert json.loads((await get(ask, app, "/health")).body) == {"status": "ok"}


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


async def test_metrics_are_prometheus_text(api: Any, ask: Any) -> None:
    app, _, _ = api()
    answer = await get(ask, app, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "offramp_in_flight_requests" in {
        family.name for family in text_string_to_metric_families(answer.body.decode())
    }


async def test_a_path_that_is_not_there(api: Any, ask: Any) -> None:
    app, _, _ = api()
    answer = await get(ask, app, "/v1/nothing")
    assert answer.status == 404
    assert set(json.loads(answer.body)["error"]) == {"message", "type", "param", "code"}
