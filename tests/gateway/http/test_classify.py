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


async def test_one_text_is_one_result_and_a_broken_classifier_says_so(api: Any, ask: Any) -> None:
    app, _, _ = api("safe")
    _, answer = await post(ask, app, {"input": "violence"})
    assert answer["results"][0]["labels"] == ["violence"]
    _, answer = await post(ask, app, {"input": "broken"})
    assert (answer["results"][0]["abstained"], answer["results"][0]["reason"]) == ("broken", "said so")


async def test_texts_may_come_with_their_system_prompt(api: Any, ask: Any) -> None:
    app, engine, _ = api("safe")
    await post(ask, app, {"input": ["hello", "violence"], "system": "be nice"})
    await post(ask, app, {"input": "hello"})
    assert [reading.system for reading in engine.classify.asked] == ["be nice", "be nice", ""]


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


@pytest.mark.parametrize("path", ["/v1/classify", "/classify", "/v1/moderations", "/moderations"])
async def test_where_nothing_is_loaded(api: Any, ask: Any, path: str) -> None:
    app, _, _ = api()
    status, answer = await post(ask, app, {"input": "x"}, path)
    assert status in (400, 404)
    assert set(answer["error"]) == {"message", "type", "param", "code"}


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


@pytest.mark.parametrize(
    ("body", "param"),
    [({"input": ["a", 7]}, "input[1]"), ({"input": "x", "classifier": 7}, "classifier"), ({"input": [[]]}, "input[0]")],
)
async def test_wrong_types(api: Any, ask: Any, body: Any, param: str) -> None:
    app, _, _ = api("safe")
    status, answer = await post(ask, app, body)
    assert (status, answer["error"]["param"]) == (400, param)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_post(api: Any, ask: Any, method: str) -> None:
    app, _, _ = api("safe")
    for path in ("/v1/classify", "/v1/moderations"):
        answer = await ask(app, method=method, path=path)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert json.loads(answer.body)["error"]["code"] == "method_not_allowed"
