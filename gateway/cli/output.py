"""What commands share: results on stdout (for people or --json), progress and problems on stderr, exit codes,
SIGTERM as Ctrl-C, and the check of files that a command will write."""

import json
import logging
import signal
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from itertools import combinations
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Final, Never

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table

_NOT_SHOWN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    GOAL_MISSED = 3
    UPSTREAM = 4
    ENVIRONMENT = 5
    CLOSED = 141


def stdout() -> Console:
    """Where results go. Text is printed as it is: `[red]` and `:tada:` in a label are no mark-up."""
    return Console(highlight=False, markup=False, emoji=False)


def stderr() -> Console:
    """Where progress and problems go, likewise."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout; what its encoding cannot hold is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def result(value: Any, line: str, *, as_json: bool) -> None:
    """A result as JSON, or as one line for people."""
    if as_json:
        print_json(value)
    else:
        stdout().print(line, soft_wrap=True)


def print_lines(lines: Iterable[str], *, style: str = "", indent: str = "") -> None:
    """Lines for people on stdout, not wrapped."""
    for line in lines:
        stdout().print(f"{indent}{line}", style=style or None, soft_wrap=True)


def table(title: str, columns: Iterable[str | Column], rows: Iterable[Iterable[str]]) -> Table:
    """A table for people, its title on the left."""
    made = Table(*columns, title=title, title_justify="left")
    for row in rows:
        made.add_row(*row)
    return made


def fields(record: object, *names: str) -> dict[str, Any]:
    """Some attributes of a record, for JSON."""
    return {name: getattr(record, name) for name in names}


def quoted(text: str) -> str:
    """Text from outside in one line, with signs that a terminal acts on or hides escaped: `\\x1b`, `\\n`, `\\u202e`."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _NOT_SHOWN else char for char in text
    )


def percent(share: float | None) -> str:
    """`0.123` → `12.3%`; a dash where there was nothing to measure."""
    return "–" if share is None else f"{share:.1%}"


def between(bounds: Sequence[float]) -> str:
    """`(0.123, 0.2)` → `12.3% to 20.0%`."""
    return f"{bounds[0]:.1%} to {bounds[1]:.1%}"


def surely(measures: Mapping[str, Any], name: str) -> str:
    """A share of the measures with its 95 % interval, where there was something to measure."""
    return within(measures[name], measures[f"{name}_interval"])


def within(share: float | None, bounds: Sequence[float], called: str = "") -> str:
    """`12.3% (10.0% to 15.0%)`, where there was something to measure. called: words before the bounds."""
    return percent(share) if share is None else f"{percent(share)} ({called}{between(bounds)})"


def fail(message: str, code: Exit) -> typer.Exit:
    """Prints a problem on stderr. Raise the result."""
    stderr().print(message, style="red", soft_wrap=True)
    return typer.Exit(code)


@contextmanager
def problems_as_exit_codes() -> Iterator[None]:
    """Turns the project's own errors into a message and an exit code."""
    from classifiers.errors import ArtifactError, ClassifierError, GoalMissed, TeacherError
    from gateway.config.problems import ConfigError
    from gateway.errors import ApiError
    from gateway.ledger.store import LedgerError

    codes: dict[type[Exception], Exit] = {
        ConfigError: Exit.USAGE,
        GoalMissed: Exit.GOAL_MISSED,
        TeacherError: Exit.UPSTREAM,
        ArtifactError: Exit.USAGE,
        ClassifierError: Exit.USAGE,
        ApiError: Exit.UPSTREAM,
        LedgerError: Exit.ENVIRONMENT,
        OSError: Exit.ENVIRONMENT,
    }
    try:
        yield
    except Exception as error:
        code = next((code for kind, code in codes.items() if isinstance(error, kind)), None)
        if code is None:
            raise
        message = str(error)
        if isinstance(error, OSError):
            message = (f"{error.filename}: " if error.filename else "") + (error.strerror or message)
        raise fail(message, code) from error


def log_to_stderr(level: int = logging.INFO) -> None:
    """Plain log lines on stderr."""
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(message)s", force=True)
    # uvicorn reports its own start and stop; the gateway prints its own lines for those
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


@contextmanager
def bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """A callable for progress: the step, how much of it is done, and the whole where it is known. It shows a bar on a
    terminal, and nothing elsewhere."""
    console = stderr()
    if not console.is_terminal:
        yield lambda _step, _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda step, done, total: progress.update(task, description=step, completed=done, total=total)


_AGAIN_S: Final = 0.2


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Within, SIGTERM raises KeyboardInterrupt as Ctrl-C does, once, so that a command takes back what it began.

    Service managers and parent processes often send a second SIGTERM; it is ignored. A second Ctrl-C breaks the
    clean-up off. Python drops an exception that is raised within a finalizer, so an alarm raises it again until it
    is being handled. For the main thread only.
    """

    def stop(_: int, __: FrameType | None) -> Never:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
        raise KeyboardInterrupt

    def again(number: int, frame: FrameType | None) -> None:
        error = sys.exception()
        while error is not None and not isinstance(error, KeyboardInterrupt):
            error = error.__context__
        if error is None:
            stop(number, frame)

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        numbers.append(signal.SIGINT)
    before = {number: signal.signal(number, stop) for number in numbers}
    alarm = signal.signal(signal.SIGALRM, again)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)


def check_targets(writes: Mapping[str, Path], reads: Iterable[Path]) -> None:
    """Refuses files that cannot be written: without a folder, among the files that are read, or named twice.

    writes: the file of each flag. Raises typer.BadParameter.
    """
    taken = {path.resolve() for path in reads}
    for name, path in writes.items():
        if path.is_dir() or not path.parent.is_dir():
            what = "is a folder" if path.is_dir() else "is in a folder that does not exist"
            raise typer.BadParameter(f"{path} {what}", param_hint=name)
        if path.resolve() in taken:
            raise typer.BadParameter(f"{path} is one of the files that are read; name another", param_hint=name)
    for (flag, path), (other, same) in combinations(writes.items(), 2):
        if path.resolve() == same.resolve():
            raise typer.BadParameter(f"{flag} and {other} would both be {path}; name another", param_hint=flag)
