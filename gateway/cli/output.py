"""What commands share: results on stdout (for people or --json), progress and problems on stderr, exit codes, and
SIGTERM as Ctrl-C."""

import json
import signal
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from enum import IntEnum
from types import FrameType
from typing import Annotated, Any, Final, Never

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table
from rich.text import Text

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


def result(value: Any, shown: Iterable[str | Text | Table], *, as_json: bool) -> None:
    """Prints a result: as JSON, or as lines and tables for people. shown: made from the same value, lazily."""
    if as_json:
        print_json(value)
        return
    for item in shown:
        stdout().print(item, soft_wrap=not isinstance(item, Table))


def table(title: str, columns: Iterable[str | Column], rows: Iterable[Iterable[str]]) -> Table:
    """A table for people, its title on the left. Columns without settings fold long text."""
    heads = (Column(column, overflow="fold") if isinstance(column, str) else column for column in columns)
    made = Table(*heads, title=title or None, title_justify="left")
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


class Bar:
    """Progress as a bar on a terminal. Elsewhere each step of a named work is a line, and nothing else is shown."""

    def __init__(self, name: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._name = name
        self._console = stderr()
        self.shown = Progress(*columns, console=self._console, transient=True)
        self._task = self.shown.add_task(name, total=None)

    def __call__(self, step: str, done: int, total: int | None) -> None:
        """So much of a step is done. total: None where it is not known."""
        self.shown.update(self._task, description=step, completed=done, total=total)

    def step(self, name: str) -> None:
        """The next step begins."""
        if self._console.is_terminal:
            self.shown.reset(self._task, description=f"{self._name}: {name}", total=None)
        else:
            self._console.print(f"{self._name}: {name}")

    def advance(self, done: int, total: int) -> None:
        """So much of the step is done."""
        self.shown.update(self._task, completed=done, total=total)

    @contextmanager
    def paused(self) -> Iterator[Console]:
        """The console for questions, with the bar stopped."""
        if self._console.is_terminal:
            self.shown.stop()
        yield self._console
        if self._console.is_terminal:
            self.shown.start()


@contextmanager
def progress_bar(name: str = "") -> Iterator[Bar]:
    """A bar for the time of a command's work."""
    bar = Bar(name)
    with bar.shown if stderr().is_terminal else nullcontext():
        yield bar


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
