import json
from typing import Any

import pytest
from openai.types import Model


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
