"""Log files of every layout, and what is wrong in them by line."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from .logs import read, write
from .test_formats import FORMS, ONE, litellm, portkey

LISTS = ("data", "logs", "requests", "results")
MANY = [*FORMS.values(), litellm(ONE, call_type="aembedding")]
WHOLE: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "a list": (MANY, MANY),
    **{name: ({"meta": {"logs": [1]}, "has_more": False, name: MANY, "end": "]"}, MANY) for name in LISTS},
    "one record": (FORMS["litellm"], [FORMS["litellm"]]),
    "one with lists of its own": ({**FORMS["pair"], **{name: [{"a": 1}] for name in LISTS}}, [FORMS["pair"]]),
}


@pytest.mark.parametrize("whole", WHOLE)
def test_it_makes_no_difference_where_lines_break(whole: str, tmp_path: Path) -> None:
    held, records = WHOLE[whole]
    lines = read(write(tmp_path / "log.jsonl", records))
    for before, indent in (("", None), ("\n", 0), ("\ufeff", 2)):
        file = tmp_path / "log.json"
        file.write_text(before + json.dumps(held, indent=indent), "utf-8")
        log = read(file)
        assert (list(log.problems), log.skipped) == ([], lines.skipped)
        assert [replace(call, place="") for call in log.calls] == [replace(call, place="") for call in lines.calls]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "is not JSON"),
        ("17", "must be an object, is int"),
        ('{"a": 1}', "of no known form"),
        ('{"choices": 1, "messages": 2}', "of no known form"),
        (json.dumps(litellm(ONE, proxy_server_request="[1]")), "proxy_server_request: must be an object, is list"),
        (json.dumps(portkey(ONE, created_at="yesterday")), "created_at: 'yesterday' is no time"),
        (json.dumps(litellm(ONE, response="oops")), "response: is text, but not JSON"),
        (json.dumps({"request": {"messages": [{"role": 1}]}, "response": ONE.response}), "messages:"),
        (json.dumps({"request": ONE.request, "response": {"choices": [{"message": 3}]}}), "no chat completion"),
        (json.dumps({"request": "[" * 100_000, "response": ONE.response}), "request: is text, but not JSON"),
        (json.dumps({"request": ONE.request, "response": ONE.response, "created_at": 10**400}), "is no time"),
        (json.dumps(portkey(ONE, created_at=float("nan"))), "created_at: 'nan' is no time"),
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


def test_a_list_that_is_cut_off_says_where(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text(json.dumps([FORMS["pair"], FORMS["pair"]], indent=1)[:-300])
    log = read(file)
    assert len(log.calls) == 1
    assert log.problems[0].startswith(f"{file}:")
