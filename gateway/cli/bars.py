"""Progress as bars on a terminal, and as nothing elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gateway.cli.output import stderr


@contextmanager
def bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """What is to be told how far the work is: what is done, how much of it, of how much where that is known."""
    console = stderr()
    if not console.is_terminal:
        yield lambda _what, _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def advance(what: str, done: int, total: int | None) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield advance
