"""Texts that a command is given, as arguments or as lines of stdin: UTF-8, or refused."""

from collections.abc import Iterable
from typing import TypeVar

import typer

from gateway.cli.output import Exit, fail

T = TypeVar("T", str, str | None, list[str] | None)


def argument(value: T) -> T:
    """The callback of an argument or option that is text. Raises typer.BadParameter where it is not UTF-8."""
    try:
        for text in [value] if isinstance(value, str) else value or ():
            text.encode()
    except UnicodeEncodeError as error:
        raise typer.BadParameter("not UTF-8") from error
    return value


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
