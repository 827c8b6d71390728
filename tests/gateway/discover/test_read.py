"""Logs of every maker, as files, and what is wrong in them by line."""

import json
from dataclasses import replace
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


@pytest.mark.parametrize("form", FORMS)
def test_a_record_of_each_form_is_a_call(form: str, tmp_path: Path) -> None:
    log = read(write(tmp_path / "log.jsonl", [FORMS[form]]))
    assert (list(log.problems), dict(log.skipped)) == ([], {})
    [call] = log.calls
    assert [turn.texts for turn in call.turns] == [("Sort this.",), ("where is my card",)]
    assert call.completion.content == "card"
    assert (call.model, call.at) == ("gpt-4o", START)
    assert call.place == f"{tmp_path / 'log.jsonl'}:1"


@pytest.mark.parametrize(("form", "usd"), [("litellm", 0.0005), ("portkey", 0.0005), ("helicone", 0.0005)])
def test_what_the_log_says_of_the_cost_is_in_dollars(form: str, usd: float, tmp_path: Path) -> None:
    record = FORMS[form]
    [call] = read(write(tmp_path / "log.jsonl", [record])).calls
    assert call.reported_usd == pytest.approx(usd)
    assert (call.input_tokens, call.output_tokens) == (100, 5)


@pytest.mark.parametrize(
    "start", ["", "\n", "\ufeff", ": OPENROUTER PROCESSING\n\n", "event: message\n", "retry: 9\r\n"]
)
def test_a_stream_kept_as_text_is_joined(start: str, tmp_path: Path) -> None:
    usage = {"prompt_tokens": 70, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 60}}
    text = start + stream("card", usage)
    [call] = read(write(tmp_path / "log.jsonl", [portkey(ONE, response=text)])).calls
    assert call.completion.content == "card"
    assert (call.input_tokens, call.cached_input_tokens, call.output_tokens) == (70, 60, 3)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
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
        *((helicone(ONE, response_status=-code, response_body=stream("car")), "failed") for code in (1, 2, 3, 4)),
        (helicone(ONE, cache_reference_id="5f0c7e1e-2f6b-4c7e-9a38-0d5a3c6f7b11"), "cache"),
        (helicone(ONE, request_body={}, signed_body_url="https://x"), "--include-body"),
        (helicone(ONE, request_body={"input": "a", "model": "e"}), "no chat call"),
        ({"request": ONE.request, "response": {"error": {"message": "no"}}}, "failed"),
        ({"request": {"input": "x"}, "response": ONE.response}, "no chat call"),
        ({"messages": ONE.request["messages"]}, "no answer"),
    ],
)
def test_what_is_no_call_to_learn_from_is_counted(record: dict[str, Any], reason: str, tmp_path: Path) -> None:
    log = read(write(tmp_path / "log.jsonl", [record, FORMS["pair"]]))
    assert len(log.calls) == 1
    assert list(log.problems) == []
    [(told, count)] = log.skipped.items()
    assert count == 1
    assert reason in told


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "is not JSON"),
        ("17", "must be an object, is int"),
        ('{"a": 1}', "of no known form"),
        (json.dumps(portkey(ONE, created_at="yesterday")), "created_at: 'yesterday' is no time"),
        (json.dumps(litellm(ONE, response="oops")), "response: is text, but not JSON"),
        (json.dumps({"request": {"messages": [{"role": 1}]}, "response": ONE.response}), "messages:"),
        (json.dumps({"request": ONE.request, "response": {"choices": [{"message": 3}]}}), "no chat completion"),
        (json.dumps({"request": "[" * 100_000, "response": ONE.response}), "request: is text, but not JSON"),
        (json.dumps({"request": ONE.request, "response": ONE.response, "created_at": 10**400}), "is no time"),
        (json.dumps(portkey(ONE, created_at=float("nan"))), "created_at: 'nan' is no time"),
        (json.dumps(portkey(ONE, created_at=-(10**17))), f"created_at: '{-(10**17)}' is no time"),
        (json.dumps(portkey(ONE, created_at=-(10**30))), f"created_at: '{-(10**30)}' is no time"),
        (json.dumps(portkey(ONE, created_at=-(10**400))), "is no time"),
        (json.dumps(portkey(ONE, created_at=float("-inf"))), "created_at: '-inf' is no time"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_the_rest_is_read(line: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    good = json.dumps(FORMS["pair"])
    file.write_text(f"{good}\n\n{line}\n{good}\n")
    log = read(file)
    assert len(log.calls) == 2
    [problem] = log.problems
    assert problem.startswith(f"{file}:3: ")
    assert message in problem


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_a_time_may_be_in_parts_of_a_second(unit: int, tmp_path: Path) -> None:
    [call] = read(write(tmp_path / "log.jsonl", [portkey(ONE, created_at=START * unit)])).calls
    assert call.at == START


@pytest.mark.parametrize(
    "zero",
    [
        -6795364578871345152,
        -62135596800.0,
        0,
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "1970-01-01",
    ],
)
def test_a_clock_that_was_not_set_tells_no_time(zero: float | str, tmp_path: Path) -> None:
    log = read(write(tmp_path / "log.jsonl", [portkey(ONE, created_at=zero), portkey(ONE, created_at=1)]))
    assert list(log.problems) == []
    assert [call.at for call in log.calls] == [None, 1]


@pytest.mark.parametrize("odd", [pytest.param(10**400, id="huge"), float("nan"), float("inf"), "nan", [1], {"a": 1}])
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
HALVES: dict[str, list[dict[str, Any]]] = {
    "pair": [{"request": HALF.request, "response": HALF.response}],
    "pair of texts": [{"request": json.dumps(HALF.request), "response": json.dumps(HALF.response)}],
    "pair with a stream": [{"request": HALF.request, "response": stream("card \ud83d")}],
    "pair with a stream that is not escaped": [
        {"request": HALF.request, "response": stream("card ~").replace("~", "\ud83d")}
    ],
    "chat": [
        {**HALF.request, "messages": [*HALF.request["messages"], {"role": "assistant", "content": "card \ud83d"}]}
    ],
    "portkey": [portkey(HALF)],
    "batch": [
        {"custom_id": "\ud83d", "body": HALF.request},
        {"custom_id": "\ud83d", "response": {"body": HALF.response}},
    ],
}


@pytest.mark.parametrize("form", HALVES)
def test_half_of_a_surrogate_pair_is_a_character_that_is_not_known(form: str, tmp_path: Path) -> None:
    log = read(write(tmp_path / "log.jsonl", HALVES[form]))
    assert (list(log.problems), dict(log.skipped)) == ([], {})
    [call] = log.calls
    assert [turn.texts for turn in call.turns] == [("\ufffd Sort \ufffd\ufffd this.",), ("hi \ufffd",)]
    assert json.loads(bytes(call.fields["metadata"])) == {"\ufffd": ["\ufffd", None]}
    assert call.completion.content == "card \ufffd"


@pytest.mark.parametrize("said", ["😀", r"\ud83d", r"\\ud83d", "\\", "\\😀\n", '"\\"'])
@pytest.mark.parametrize("as_stream", [True, False])
def test_what_only_looks_like_half_of_a_pair_stays(said: str, as_stream: bool, tmp_path: Path) -> None:
    text = f"data: {json.dumps({'choices': [{'delta': {'content': said}}]})}\n\n"
    response = text if as_stream else json.dumps(pair(ONE.request, said).response)
    [call] = read(write(tmp_path / "log.jsonl", [{"request": user(said), "response": response}])).calls
    assert (call.turns[0].texts, call.completion.content) == ((said,), said)


LISTS = ("data", "logs", "requests", "results")
MANY = [*FORMS.values(), litellm(ONE, call_type="aembedding")]
WHOLE: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "a list": (MANY, MANY),
    **{name: ({"meta": {"logs": [1]}, "has_more": False, name: MANY, "end": "]"}, MANY) for name in LISTS},
    **{f"one {form}": (record, [record]) for form, record in FORMS.items()},
    "one with lists of its own": ({**FORMS["pair"], **{name: [{"a": 1}] for name in LISTS}}, [FORMS["pair"]]),
}


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("before", ["", "\n", "\ufeff"])
@pytest.mark.parametrize("whole", WHOLE)
def test_it_makes_no_difference_where_lines_break(whole: str, before: str, indent: int | None, tmp_path: Path) -> None:
    held, records = WHOLE[whole]
    file = tmp_path / "log.json"
    file.write_text(before + json.dumps(held, indent=indent), "utf-8")
    log, lines = read(file), read(write(tmp_path / "log.jsonl", records))
    assert (list(log.problems), log.skipped) == ([], lines.skipped)
    assert [replace(call, place="") for call in log.calls] == [replace(call, place="") for call in lines.calls]


def test_lists_a_line_are_all_read(tmp_path: Path) -> None:
    log = read(write(tmp_path / "log.jsonl", [[FORMS["pair"]], [FORMS["chat"], FORMS["litellm"]], FORMS["portkey"]]))
    assert [call.place[-1] for call in log.calls] == ["1", "2", "2", "3"]


def test_what_is_wrong_in_a_list_over_several_lines_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text(json.dumps({"meta": {"data": [1, 2]}, "data": [17, FORMS["pair"]]}, indent=1))
    log = read(file)
    assert len(log.calls) == 1
    [problem] = log.problems
    assert problem.startswith(f"{file}:9: must be an object")


def test_a_list_that_is_cut_off_says_where(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text(json.dumps([FORMS["pair"], FORMS["pair"]], indent=1)[:-300])
    log = read(file)
    assert len(log.calls) == 1
    assert log.problems[0].startswith(f"{file}:")


def test_the_bytes_of_an_image_are_not_taken_for_tokens(tmp_path: Path) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * 100_000}"}}
    request = user("")
    request["messages"][-1]["content"] = [{"type": "text", "text": "wörd"}, image]
    [call] = read(write(tmp_path / "log.jsonl", [{"request": request, "response": ONE.response}])).calls
    assert call.message_bytes == 5
