"""Input of commands in UTF-8: texts as arguments or lines of stdin, and calls as lines of JSON on stdin."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import typer

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
        call = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not valid JSON: {_why(error)}"
    if not isinstance(call, dict):
        return f"the line is {_kind(call)}, not an object"
    for key in ("text", "label"):
        if key not in call:
            return f"{key} is missing"
        if not isinstance(call[key], str):
            return f"{key} is {_kind(call[key])}, not a string"
    return call["text"], call["label"]


def _why(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno})"
    return "nested too deeply" if isinstance(error, RecursionError) else "a number of too many digits"


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {
        type(None): "null",
        bool: "true or false",
        dict: "an object",
        list: "a list",
        str: "a string",
    }
    return kinds.get(type(value), "a number")


T = TypeVar("T", str, str | None, list[str] | None)
P = TypeVar("P")


def argument(value: T) -> T:
    """The callback of an argument or option that is text: what its bytes say in UTF-8, as whatever else the locale has
    read them. Raises typer.BadParameter where they are not UTF-8."""
    if value is None:
        return None
    return _of_bytes(value) if isinstance(value, str) else [_of_bytes(text) for text in value]


def parsed(parse: Callable[[str], P], text: str, flag: str) -> P:
    """The value of an option. Raises typer.BadParameter where `parse` raises ValueError."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from error


def given() -> list[str]:
    """The `lines` of standard input. Raises typer.Exit where it is closed, too."""
    # None where the shell closed it
    if sys.stdin is None:
        raise fail("stdin is closed, so there is nothing to read", Exit.USAGE)
    return lines(sys.stdin.buffer)


def lines(stdin: Iterable[bytes]) -> list[str]:
    """The text of each line, whatever system it comes from. Raises typer.Exit where one is not UTF-8."""
    texts = []
    for number, line in enumerate(stdin, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise fail(f"stdin:{number}: not UTF-8", Exit.USAGE) from error
        texts.append(text.removesuffix("\n").removesuffix("\r"))
    return texts


def _of_bytes(text: str) -> str:
    try:
        return os.fsencode(text).decode()
    except UnicodeError as error:
        raise typer.BadParameter("not UTF-8") from error
