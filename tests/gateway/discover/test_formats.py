"""Batches, whose requests and answers stand in two files."""

import json
from pathlib import Path
from typing import Any

import pytest

from .logs import pair, read, user, write


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
        ([asked(0, "text")] * 2, [answered(0)] * 2, [("text", "card")]),
        ([asked(0, "text")] * 2, [answered(0), dict(reversed(answered(0).items()))], [("text", "card")]),
        ([asked(0, "text")] * 2, [answered(0, "a"), answered(0, "b")], [("text", "a"), ("text", "b")]),
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
