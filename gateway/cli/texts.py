"""Texts that a command is given, as arguments or as lines of stdin: UTF-8, or refused."""

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

import typer

from gateway.cli.output import Exit, fail

T = TypeVar("T", str, str | None, list[str] | None)


def argument(value: T) -> T:
    """The callback of an argument or option that is text: what its bytes say in UTF-8, as whatever else the locale has
    read them. Raises typer.BadParameter where they are not UTF-8."""
    if value is None:
        return None
    return _of_bytes(value) if isinstance(value, str) else [_of_bytes(text) for text in value]


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
