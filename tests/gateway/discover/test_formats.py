"""Records of every log format as calls."""

import json
from pathlib import Path
from typing import Any

import pytest

from .logs import START, Pair, pair, read, stream, user, write

ONE = pair(user("where is my card", "Sort this.", temperature=0), "card")


def litellm(one: Pair, **fields: Any) -> dict[str, Any]:
    return {
        "request_id": "chatcmpl-1",
        "call_type": "acompletion",
        "spend": 0.0005,
        "prompt_tokens": 90,
        "completion_tokens": 4,
        "startTime": "2025-10-09T08:53:20.000Z",
        "model": "openai/gpt-4o",
        "model_group": "gpt-4o",
        "cache_hit": "False",
        "status": "success",
        "messages": {},
        "response": one.response,
        "proxy_server_request": one.request,
        **fields,
    }


def portkey(one: Pair, **fields: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "created_at": "2025-10-09T08:53:20.000Z",
        "request": one.request,
        "response": one.response,
        "is_success": 1,
        "ai_org": "openai",
        "ai_model": "gpt-4o",
        "req_units": 90,
        "res_units": 4,
        "cost": 0.05,
        "response_status_code": 200,
        "request_url": "https://api.openai.com/v1/chat/completions",
        **fields,
    }


def helicone(one: Pair, **fields: Any) -> dict[str, Any]:
    return {
        "request_id": "1",
        "request_created_at": "2025-10-09 08:53:20",
        "request_body": one.request,
        "response_body": one.response,
        "response_status": 200,
        "request_path": "/v1/chat/completions",
        "request_model": "gpt-4o",
        "model": "gpt-4o-2024-08-06",
        "prompt_tokens": 90,
        "completion_tokens": 4,
        "cost": 0.0005,
        **fields,
    }


FORMS: dict[str, dict[str, Any]] = {
    "pair": {"request": ONE.request, "response": ONE.response},
    "pair with bodies": {"request": {"body": ONE.request}, "response": {"status_code": 200, "body": ONE.response}},
    "pair of texts": {"request": json.dumps(ONE.request), "response": json.dumps(ONE.response)},
    "input and output": {"input": ONE.request, "output": ONE.response},
    "stored": {**ONE.response, "messages": ONE.request["messages"]},
    "chat": {
        "messages": [*ONE.request["messages"], {"role": "assistant", "content": "card"}],
        "model": "gpt-4o",
        "created": START,
    },
    "litellm": litellm(ONE),
    "litellm with messages": litellm(ONE, proxy_server_request={}, messages=ONE.request["messages"]),
    "litellm as texts": litellm(
        ONE, proxy_server_request=json.dumps(ONE.request), response=json.dumps(ONE.response), messages="{}"
    ),
    "litellm payload": {
        "id": "1",
        "call_type": "acompletion",
        "response_cost": 0.0005,
        "startTime": float(START),
        "model": "gpt-4o",
        "messages": ONE.request["messages"],
        "response": ONE.response,
        "model_parameters": {"temperature": 0},
    },
    "portkey": portkey(ONE),
    "portkey, older": {
        "created_at": "2025-10-09T08:53:20Z",
        "request.body": ONE.request,
        "response.body": ONE.response,
        "ai_model": "gpt-4o",
    },
    "portkey, capitals": {name.upper(): value for name, value in portkey(ONE).items()},
    "helicone": helicone(ONE),
    "helicone, not from its cache": helicone(ONE, cache_reference_id="00000000-0000-0000-0000-000000000000"),
}


def test_a_record_of_each_form_is_a_call(tmp_path: Path) -> None:
    log = read(write(tmp_path / "log.jsonl", FORMS.values()))
    assert (list(log.problems), dict(log.skipped)) == ([], {})
    for number, (form, call) in enumerate(zip(FORMS, log.calls, strict=True), 1):
        assert [turn.texts for turn in call.turns] == [("Sort this.",), ("where is my card",)], form
        assert (call.completion.content, call.model, call.at) == ("card", "gpt-4o", START), form
        assert call.place == f"{tmp_path / 'log.jsonl'}:{number}"
        if form in ("litellm", "portkey", "helicone"):
            assert call.reported_usd == pytest.approx(0.0005), form
            assert (call.input_tokens, call.output_tokens) == (100, 5)


@pytest.mark.parametrize("start", ["", "\ufeff", ": OPENROUTER PROCESSING\n\n", "retry: 9\r\n"])
def test_a_stream_kept_as_text_is_joined(start: str, tmp_path: Path) -> None:
    usage = {"prompt_tokens": 70, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 60}}
    text = start + stream("card", usage)
    [call] = read(write(tmp_path / "log.jsonl", [portkey(ONE, response=text)])).calls
    assert call.completion.content == "card"
    assert (call.input_tokens, call.cached_input_tokens, call.output_tokens) == (70, 60, 3)


SKIPPED: list[tuple[dict[str, Any], str]] = [
    (litellm(ONE, call_type="aembedding"), "no chat call"),
    (litellm(ONE, status="failure"), "failed"),
    (litellm(ONE, cache_hit="True"), "cache"),
    (litellm(ONE, proxy_server_request={}, response={}), "not kept"),
    (
        litellm(ONE, response={"choices": [{"message": {"content": "a... (litellm_truncated skipped 9 chars)"}}]}),
        "part",
    ),
    (portkey(ONE, response_status_code=429), "failed"),
    (portkey(ONE, request_url="https://api.openai.com/v1/embeddings"), "no chat call"),
    (portkey(ONE, response={}), "not kept"),
    (helicone(ONE, response_status=500), "failed"),
    (helicone(ONE, response_status=-1, response_body=stream("car")), "failed"),
    (helicone(ONE, cache_reference_id="5f0c7e1e-2f6b-4c7e-9a38-0d5a3c6f7b11"), "cache"),
    (helicone(ONE, request_body={}, signed_body_url="https://x"), "--include-body"),
    (helicone(ONE, request_body={"input": "a", "model": "e"}), "no chat call"),
    ({"request": ONE.request, "response": {"error": {"message": "no"}}}, "failed"),
    ({"request": ONE.request, "response": {"status_code": 500, "body": ONE.response}}, "failed"),
    ({"request": ONE.request, "response": 7}, "no answer"),
    ({"request": {"input": "x"}, "response": ONE.response}, "no chat call"),
    ({"messages": ONE.request["messages"]}, "no answer"),
]


def test_what_is_no_call_to_learn_from_is_counted(tmp_path: Path) -> None:
    for record, reason in SKIPPED:
        log = read(write(tmp_path / "log.jsonl", [record, FORMS["pair"]]))
        assert (len(log.calls), list(log.problems), list(log.skipped.values())) == (1, [], [1]), record
        assert reason in next(iter(log.skipped))


@pytest.mark.parametrize("odd", [pytest.param(10**400, id="huge"), float("nan"), "nan", [1]])
def test_a_cost_a_count_or_a_status_that_is_none_is_not_there(odd: Any, tmp_path: Path) -> None:
    bare = {**ONE.response, "usage": None}
    records = [
        litellm(ONE, spend=odd, prompt_tokens=odd, response=bare),
        portkey(ONE, cost=odd, req_units=odd, response=bare),
        helicone(ONE, cost=odd, prompt_tokens=odd, response_body=bare),
        {"request": ONE.request, "response": {"status_code": odd, "body": bare}},
    ]
    log = read(write(tmp_path / "log.jsonl", records))
    assert list(log.problems) == []
    assert [(call.reported_usd, call.input_tokens) for call in log.calls] == [(None, None)] * len(records)


HALF = pair(
    user("hi \ud83d", "\ude00 Sort \ud83d\ud83d this.", metadata={"\ud83d": ["\ude00", float("nan")]}), "card \ud83d"
)
HALVES: list[dict[str, Any]] = [
    {"request": HALF.request, "response": HALF.response},
    {"request": json.dumps(HALF.request), "response": json.dumps(HALF.response)},
    {"request": HALF.request, "response": stream("card ~").replace("~", "\ud83d")},
    {**HALF.request, "messages": [*HALF.request["messages"], {"role": "assistant", "content": "card \ud83d"}]},
    portkey(HALF),
    {"custom_id": "\ud83d", "body": HALF.request},
    {"custom_id": "\ud83d", "response": {"body": HALF.response}},
]


def test_half_of_a_surrogate_pair_is_a_character_that_is_not_known(tmp_path: Path) -> None:
    log = read(write(tmp_path / "log.jsonl", HALVES))
    assert (list(log.problems), dict(log.skipped)) == ([], {})
    assert len(log.calls) == 6
    for call in log.calls:
        assert [turn.texts for turn in call.turns] == [("\ufffd Sort \ufffd\ufffd this.",), ("hi \ufffd",)]
        assert json.loads(bytes(call.fields["metadata"])) == {"\ufffd": ["\ufffd", None]}
        assert call.completion.content == "card \ufffd"


def asked(number: int, text: str) -> dict[str, Any]:
    return {"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions", "body": user(text)}


def answered(number: int, label: str = "card", **fields: Any) -> dict[str, Any]:
    answer = {"status_code": 200, "body": pair(user(""), label).response}
    return {"id": f"b{number}{label}", "custom_id": f"c{number}", "response": answer, "error": None, **fields}


def test_a_batch_is_joined_over_its_two_files(tmp_path: Path) -> None:
    requests = [asked(i, f"text {i}") for i in range(3)]
    answers = [answered(2), answered(0), answered(9)]
    log = read(write(tmp_path / "out.jsonl", answers), write(tmp_path / "in.jsonl", requests))
    assert [call.turns[0].texts[0] for call in log.calls] == ["text 2", "text 0"]
    assert sorted(log.skipped.values()) == [1, 1]
    assert any("input file" in reason for reason in log.skipped)
    assert any("output file" in reason for reason in log.skipped)


@pytest.mark.parametrize(
    ("requests", "answers", "certain"),
    [
        # batches that number their lines alike, one of which is not all answered
        (
            [asked(0, "monday 0"), asked(1, "monday 1"), asked(0, "tuesday 0"), asked(1, "tuesday 1")],
            [answered(0, "a"), answered(1, "b"), answered(0, "c")],
            [],
        ),
        ([asked(0, "monday"), asked(1, "fee")], [answered(0, "a"), answered(0, "b"), answered(1, "c")], [("fee", "c")]),
        # one file twice, and one batch twice, are no two questions
        ([asked(0, "text")] * 2, [answered(0), dict(reversed(answered(0).items()))], [("text", "card")]),
        ([asked(0, "text")] * 2, [answered(0, "a"), answered(0, "b")], [("text", "a"), ("text", "b")]),
        ([{**asked(0, "text"), "url": "/v1/embeddings"}], [answered(0)], []),
        ([asked(0, "text")] * 2, [answered(0, response=None, error={"code": "x"}), answered(0)], [("text", "card")]),
    ],
)
def test_no_answer_is_joined_to_another_batchs_request(
    requests: list[dict[str, Any]], answers: list[dict[str, Any]], certain: list[tuple[str, str]], tmp_path: Path
) -> None:
    log = read(write(tmp_path / "in.jsonl", requests), write(tmp_path / "out.jsonl", answers))
    assert [(call.turns[0].texts[0], call.completion.content) for call in log.calls] == certain
    distinct = {json.dumps(answer, sort_keys=True) for answer in answers}
    assert len(log.calls) + log.skipped.total() == len(distinct)
