"""How commands speak: results on stdout (people or --json), progress and logs on stderr, problems in exit codes."""

import json
import logging
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated, Any

import typer
from rich.console import Console

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
