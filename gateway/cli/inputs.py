"""Input of commands: in UTF-8, texts as arguments or lines of stdin, calls as lines of JSON; and the gateway's file."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import msgspec
import typer

from gateway.cli.output import Exit, fail

if TYPE_CHECKING:
    from classifiers.training.rows import LabelledCall
    from gateway.config.load import Loaded

GATEWAY: Final = Path("config/gateway.yaml")
GatewayFile = Annotated[Path, typer.Argument(help="The gateway's file.")]
_MEND = 'write {"text": "...", "label": "..."}, one call a line'

T = TypeVar("T", str, str | None, list[str] | None)
P = TypeVar("P")


def read(lines: Iterable[str]) -> "list[LabelledCall]":
    """The call of each line that is not blank, the first of them stdin's first. Raises typer.Exit where one is no call,
    and says which and why, but nothing of what it holds."""
    from classifiers.training.rows import LabelledCall

    calls = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            # msgspec's own decoder refuses half a surrogate pair
            calls.append(msgspec.convert(json.loads(line), LabelledCall))
        except (ValueError, RecursionError, msgspec.ValidationError) as error:
            raise fail(f"stdin:{number}: {error}; {_MEND}", Exit.USAGE) from error
    return calls


def gateway(file: Path) -> "Loaded":
    """A gateway's file, for what needs none of its secrets. Raises ConfigError."""
    from gateway.config.load import load_gateway

    return load_gateway(file, os.environ, secrets=False)


def argument(value: T) -> T:
    """The callback of an argument or option that is text: what its bytes say in UTF-8, as whatever else the locale has
    read them. Raises typer.BadParameter where they are not UTF-8."""
    try:
        if isinstance(value, str):
            return os.fsencode(value).decode()
        return value and [os.fsencode(text).decode() for text in value]
    except UnicodeError as error:
        raise typer.BadParameter("not UTF-8") from error


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
