"""`offramp train`."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from classifiers.fields import MAX_SEED
from classifiers.policy import Policy
from classifiers.teacher import Teacher
from gateway.cli import outcomes
from gateway.cli.inputs import given
from gateway.cli.inputs import read as read_calls
from gateway.cli.output import Exit, Json, as_by_ctrl_c, print_json, stderr

if TYPE_CHECKING:
    from classifiers.training.write.teacher import Approve, Estimate, Hire, TeacherPrice


def train(
    policies: Annotated[list[Path], typer.Argument(help="Policy files.")],
    models: Annotated[
        Path | None, typer.Option("--models", help="The models folder; by default the gateway file's, or ./models.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Instead of the policy's seed:.")] = None,
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="More labelled rows, besides those that the policy names.")
    ] = None,
    beside: Annotated[
        bool, typer.Option("--beside", help="Leave the version in use; propose the new one to be tried beside it.")
    ] = False,
    calls: Annotated[
        bool,
        typer.Option("--calls", help="Read rows of calls from standard input, too; no file and no report holds them."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a teacher's model is paid.")] = False,
    json: Json = False,
) -> None:
    """Train classifiers from policies. Exit code 3 where a goal or a policy's own test is missed, or where rows of
    --data or --calls show it worse than the version in use; 4 where a teacher was not to be asked."""
    from classifiers.training.run import train as run
    from gateway.config.load import load_policy

    name: str | None = None
    code = Exit.DONE
    told: list[dict[str, Any]] = []
    of_calls = read_calls(given()) if calls else []
    try:
        for file, policy in _load_all(policies, load_policy):
            name = policy.name
            _tell_notes(file, policy, [*map(str, data or ()), *(["standard input"] if of_calls else [])])
            target = models or _models_dir(file)
            try:
                with (
                    as_by_ctrl_c(),
                    _watch(name) as watcher,
                    _teachers(policy, watcher, ask=not yes, heard=not calls) as (hire, approve),
                ):
                    outcome = run(
                        policy,
                        base_dir=file.parent,
                        models_dir=target,
                        progress=watcher,
                        seed=seed,
                        hire=hire,
                        approve=approve,
                        beside=beside,
                        more=data or (),
                        calls=of_calls,
                    )
            except _Declined as declined:
                code = max(code, Exit.UPSTREAM)
                told.append(outcomes.failed(name, str(declined)))
                stderr().print(f"{name}: NOT trained: {declined}", soft_wrap=True)
                continue
            code = max(code, Exit.DONE if outcome.accepted else Exit.GOAL_MISSED)
            told.append(outcomes.as_dict(policy, outcome))
            if not json:
                outcomes.show(policy, outcome)
    except Exception as error:
        told.append(outcomes.failed(name, str(error) or type(error).__name__))
        raise
    finally:
        # what is published by now is told, whatever became of the rest
        if json:
            print_json(told)
    if code:
        raise typer.Exit(code)


class _Declined(Exception):
    """Who trains would not have a teacher's model asked."""


def _load_all(files: Sequence[Path], load: Any) -> list[tuple[Path, Policy]]:
    """All policies, or ConfigError with the problems of all files. Of two of one name only the last would serve."""
    from gateway.config.problems import ConfigError, Problem

    loaded: list[tuple[Path, Policy]] = []
    problems: list[Problem] = []
    names: dict[str, Path] = {}
    for file in files:
        try:
            policy = load(file, os.environ)
        except ConfigError as error:
            problems += error.problems
            continue
        if (first := names.setdefault(policy.name, file)).resolve() != file.resolve():
            told = f"{policy.name} is the name in {first} as well; give each a name of its own, or train one of them"
            problems.append(Problem(file=str(file), mark=None, path=("name",), message=told))
        loaded.append((file, policy))
    if problems:
        raise ConfigError(problems)
    return loaded


def _tell_notes(file: Path, policy: Policy, more: Sequence[str]) -> None:
    """What will serve otherwise than may have been meant, as `check` tells it. more: where rows come from besides the
    policy's own files."""
    from gateway.config import source
    from gateway.config.policy_checks import policy_notes

    if not file.is_file():
        # a pipe has been read
        return
    document = source.read(file, os.environ)
    for path, what in policy_notes(policy.model_copy(update={"data": (*policy.data, *more)})):
        stderr().print(str(document.problem(path, what)), style="yellow", soft_wrap=True)


def _models_dir(policy: Path) -> Path:
    """The models folder of the gateway file above the policy's folder, if there is one that can be read."""
    from gateway.config.load import load_gateway
    from gateway.config.problems import ConfigError

    # not where a link to a policy leads: its data is sought beside the link as well
    gateway_file = policy.parent / ".." / "gateway.yaml"
    if not gateway_file.is_file():
        return Path("models")
    try:
        return load_gateway(gateway_file, os.environ, secrets=False).models_dir
    except ConfigError as error:
        stderr().print(f"{gateway_file} cannot be read, so --models names the folder: {error}")
        raise


@contextmanager
def _teachers(
    policy: Policy, watcher: "_Bars | _Lines", *, ask: bool, heard: bool
) -> Iterator[tuple["Hire | None", "Approve | None"]]:
    """What gets a teacher's model ready, and what shows its cost before it is spent. heard: whether standard input is
    there to answer on."""
    if not any(teacher.model for teacher in policy.teachers):
        yield None, None
        return
    from classifiers.training.write.sentences import FIRST
    from classifiers.training.write.teacher import Hired
    from gateway.cli.teacher import AskTeacher, price_of
    from gateway.config.settings import shipped_dir
    from gateway.ledger.prices import load_prices

    prices = load_prices(shipped_dir() / "prices.yaml")

    def approve(teacher: Teacher, expected: "Estimate", price: "TeacherPrice", why: str) -> bool:
        with watcher.aside() as console:
            console.print(_expense(policy, teacher, expected, price, why), soft_wrap=True)
            if not (ask and expected.calls and console.is_terminal):
                return True
            if _agreed(console, heard=heard):
                return True
        if why == FIRST:
            raise _Declined(f"its teacher {teacher.model} was not to be asked")
        return False

    with ExitStack() as stack:

        def hire(teacher: Teacher) -> Hired:
            asked = AskTeacher(teacher)
            stack.callback(asked.close)
            return Hired(complete=asked, price=price_of(teacher, prices))

        yield hire, approve


def _agreed(console: Console, *, heard: bool) -> bool:
    """Whether whoever sits at the terminal says yes; where standard input is at its end, nobody does."""
    why = "is at its end" if heard else "holds calls"
    # None where the shell closed it
    if heard and sys.stdin is not None:
        try:
            return typer.confirm("Go on?", err=True, default=True)
        except typer.Abort as stop:
            # Ctrl-C is for the whole command
            if not isinstance(stop.__context__, EOFError):
                raise
    console.print(f"standard input {why}, so nobody can say yes; --yes does", soft_wrap=True)
    return False


def _expense(policy: Policy, teacher: Teacher, expected: "Estimate", price: "TeacherPrice", why: str) -> str:
    """What asking will come to, and what bounds it."""
    if price.known:
        dollars, bound = f"about ${expected.usd:.4f}", f"budget ${teacher.budget:.2f}"
        bound += f" and {teacher.tokens} tokens" if teacher.tokens else ""
    elif teacher.tokens:
        dollars, bound = "at a price that is not known here", f"at most {teacher.tokens} tokens"
    else:
        dollars = "at a price that is not known here"
        bound = "so budget: cannot hold; state tokens: to bound it"
    return (
        f"{policy.name}: {teacher.model} is to be asked {expected.calls} times {why} ({expected.cached_calls} more "
        f"answers are cached), about {expected.input_tokens + expected.output_tokens} tokens, {dollars}; {bound}"
    )


class _Bars:
    """Progress as bars on a terminal."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars = bars
        self._name = name
        self._task = bars.add_task(name, total=None)

    @contextmanager
    def aside(self) -> Iterator[Console]:
        """The console, for questions: the bars are still meanwhile."""
        self._bars.stop()
        yield self._bars.console
        self._bars.start()

    def step(self, name: str) -> None:
        self._bars.reset(self._task, description=f"{self._name}: {name}", total=None)

    def advance(self, done: int, total: int) -> None:
        self._bars.update(self._task, completed=done, total=total)


class _Lines:
    """Progress as plain lines elsewhere."""

    def __init__(self, name: str) -> None:
        self._name = name

    @contextmanager
    def aside(self) -> Iterator[Console]:
        """The console, for questions."""
        yield stderr()

    def step(self, name: str) -> None:
        stderr().print(f"{self._name}: {name}")

    def advance(self, done: int, total: int) -> None:
        """A line for each text would be noise."""


@contextmanager
def _watch(name: str) -> Iterator[_Bars | _Lines]:
    console = stderr()
    if not console.is_terminal:
        yield _Lines(name)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        yield _Bars(bars, name)
