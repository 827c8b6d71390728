"""Calls that a command is given on standard input, a line of JSON each: `{"text": "...", "label": "..."}`."""

import json
from collections.abc import Iterable
from typing import Any

from gateway.cli.output import Exit, fail

_MEND = 'write {"text": "...", "label": "..."}, one call a line'


def read(lines: Iterable[str]) -> list[tuple[str, str]]:
    """(text, label) of each line that is not blank, the first of them stdin's first. Raises typer.Exit where one is no
    call, and says which and why, but nothing of what it holds."""
    calls = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        call = _call(line)
        if isinstance(call, str):
            raise fail(f"stdin:{number}: {call}; {_MEND}", Exit.USAGE)
        calls.append(call)
    return calls


def _call(line: str) -> tuple[str, str] | str:
    """(text, label), or what is wrong."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not valid JSON: {_why(error)}"
    if not isinstance(told, dict):
        return f"the line is {_kind(told)}, not an object"
    for key in ("text", "label"):
        if key not in told:
            return f"{key} is missing"
        if not isinstance(told[key], str):
            return f"{key} is {_kind(told[key])}, not a string"
    return told["text"], told["label"]


def _why(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno})"
    return "nested too deeply" if isinstance(error, RecursionError) else "a number of too many digits"


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return "a string"
        case _:
            return "a number"
