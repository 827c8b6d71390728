"""The files that a command is to write, looked at before it begins."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

import typer


def check(writes: Mapping[str, Path], reads: Iterable[Path]) -> None:
    """writes: the file behind each flag, or whatever it is called by.

    Raises typer.BadParameter where one cannot be made for want of its folder, is one of those that are read, or is
    another's.
    """
    taken = {path.resolve() for path in reads}
    for name, path in writes.items():
        if path.is_dir() or not path.parent.is_dir():
            what = "is a folder" if path.is_dir() else "is in a folder that does not exist"
            raise typer.BadParameter(f"{path} {what}", param_hint=name)
        if path.resolve() in taken:
            raise typer.BadParameter(f"{path} is one of the files that are read; name another", param_hint=name)
    for (one, path), (other, again) in combinations(writes.items(), 2):
        if path.resolve() == again.resolve():
            raise typer.BadParameter(f"{one} and {other} would both be {path}; name another", param_hint=one)
