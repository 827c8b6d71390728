"""How commands speak: results on stdout (people or --json), progress and logs on stderr, problems in exit codes.

Progress as bars on a terminal, and as nothing elsewhere.

A command that SIGTERM ends as Ctrl-C does: what it began is taken back, and what it started ends too.

The files that a command is to write, looked at before it begins.
"""

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
from typing import Annotated, Any, Never

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

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
    """Where results go. Text stands as it is: `[red]` and `:tada:` in a label are no mark-up."""
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


def quoted(text: str) -> str:
    """Text of others in one line, with what a terminal would act on or hide written out: `\\x1b`, `\\n`, `\\u202e`."""
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
    """`12.3% (10.0% to 15.0%)`, where there was something to measure. called: what stands before the bounds."""
    return percent(share) if share is None else f"{percent(share)} ({called}{between(bounds)})"


def fail(message: str, code: Exit) -> typer.Exit:
    """Says what is wrong on stderr; raise what it returns."""
    stderr().print(message, style="red", soft_wrap=True)
    return typer.Exit(code)


@contextmanager
def problems_as_exit_codes() -> Iterator[None]:
    """Turns the project's own errors into a message and an exit code."""
    from classifiers.errors import ArtifactError, ClassifierError, GoalMissed, TeacherError
    from gateway.config.problems import ConfigError
    from gateway.errors import ApiError
    from gateway.ledger.store import LedgerError

    try:
        yield
    except ConfigError as error:
        raise fail(str(error), Exit.USAGE) from error
    except GoalMissed as error:
        raise fail(str(error), Exit.GOAL_MISSED) from error
    except TeacherError as error:
        raise fail(str(error), Exit.UPSTREAM) from error
    except (ArtifactError, ClassifierError) as error:
        raise fail(str(error), Exit.USAGE) from error
    except ApiError as error:
        raise fail(error.message, Exit.UPSTREAM) from error
    except LedgerError as error:
        raise fail(str(error), Exit.ENVIRONMENT) from error
    except OSError as error:
        raise fail(_os_message(error), Exit.ENVIRONMENT) from error


def _os_message(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    return f"{name}{error.strerror or error}"


def log_to_stderr(level: int = logging.INFO) -> None:
    """Plain log lines on stderr."""
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(message)s", force=True)
    # uvicorn reports its own start and stop; the gateway prints its own lines for those
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


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


@contextmanager
def as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt within, once: whoever is told to stop by Ctrl-C or SIGTERM is often told again,
    by a service manager or the process that started it, and takes back what was begun all the same, up to its end.
    A second Ctrl-C breaks that off. For the main thread only."""

    def stop(_: int, __: FrameType | None) -> Never:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    told = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        told.append(signal.SIGINT)
    before = {number: signal.signal(number, stop) for number in told}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is stop:
                signal.signal(number, handler)


def check_targets(writes: Mapping[str, Path], reads: Iterable[Path]) -> None:
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
