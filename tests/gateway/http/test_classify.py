import json
from typing import Any

import pytest


async def post(ask: Any, app: Any, body: Any, path: str = "/v1/classify") -> tuple[int, dict[str, Any]]:
    answer = await ask(app, body if isinstance(body, bytes) else json.dumps(body).encode(), path=path)
    assert answer.headers["x-request-id"].startswith("req_")
    return answer.status, json.loads(answer.body)


async def test_each_text_gets_its_verdict(api: Any, ask: Any) -> None:
    app, engine, _ = api("bank")
    status, answer = await post(ask, app, {"input": ["a greeting", "hello", "unsure"]})
    assert (status, answer["classifier"], answer["version"], answer["object"]) == (200, "bank", "v1", "classification")
    assert [(result["label"], result["abstained"]) for result in answer["results"]] == [
        ("greeting", None),
        ("other", None),
        (None, "unsure"),
    ]
    assert list(answer["results"][0]["scores"]) == ["greeting", "rate", "card"]
    labels = {"rule": "", "classifier": "bank", "outcome": "label", "label": "greeting"}
    assert engine.metrics.registry.get_sample_value("offramp_verdicts_total", labels) == 1


async def test_what_was_found_is_told_by_its_place(api: Any, ask: Any) -> None:
    app, _, _ = api("data")
    _, answer = await post(ask, app, {"input": ["hello", "é joe@example.com"]})
    assert [result["spans"] for result in answer["results"]] == [
        [],
        [{"label": "contact", "kind": "email", "start": 2, "end": 17}],
    ]


async def test_of_several_classifiers_one_is_named(api: Any, ask: Any) -> None:
    app, _, _ = api("safe", "bank")
    assert (await post(ask, app, {"input": "x", "classifier": "bank"}))[1]["classifier"] == "bank"
    assert (await post(ask, app, {"input": "x", "model": "safe"}))[1]["classifier"] == "safe"
    status, answer = await post(ask, app, {"input": "x"})
    assert (status, answer["error"]["param"]) == (400, "classifier")
    assert "safe, bank" in answer["error"]["message"]
    status, answer = await post(ask, app, {"input": "x", "classifier": "bnak"})
    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    assert 'did you mean "bank"' in answer["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"\xff", 400, None),
        ({}, 400, "input"),
        ({"input": 7}, 400, "input"),
        ({"input": None}, 400, "input"),
        ({"input": {"a": 1}}, 400, "input"),
        (b'{"input":"x","y":' + b"[" * 1900, 400, None),
        (b'{"input":"' + b"x" * 2001 + b'"}', 413, None),
    ],
)
@pytest.mark.parametrize("path", ["/v1/classify", "/v1/moderations"])
async def test_bad_input(api: Any, ask: Any, body: Any, status: int, param: str | None, path: str) -> None:
    app, _, _ = api("safe")
    got, answer = await post(ask, app, body, path)
    assert (got, answer["error"]["param"]) == (status, param)
