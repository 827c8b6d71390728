"""`offramp train`."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from classifiers.fields import MAX_SEED
from gateway.cli.inputs import given
from gateway.cli.inputs import read as read_calls
from gateway.cli.output import Exit, Json, print_json, sigterm_as_ctrl_c, stderr

if TYPE_CHECKING:
    from classifiers.policy import Policy
    from classifiers.teacher import Teacher
    from classifiers.training.run import TrainingOutcome
    from classifiers.training.write.teacher import Approve, Estimate, Hire, TeacherPrice


def train(
    policies: Annotated[list[Path], typer.Argument(help="Policy files.")],
    models: Annotated[
        Path | None, typer.Option(help="The models folder; by default the gateway file's, or ./models.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Decides every random choice.")] = 0,
    data: Annotated[
        list[Path] | None, typer.Option(help="More labelled rows, besides those that the policy names.")
    ] = None,
    propose: Annotated[
        bool, typer.Option("--propose", help="Leave the version in use; propose the new one to be tried beside it.")
    ] = False,
    calls: Annotated[
        bool, typer.Option("--calls", help="Read rows of calls from standard input, too; no file or report has them.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a teacher's model is paid.")] = False,
    json: Json = False,
) -> None:
    """Train classifiers from policies. Exit code 3 where a goal or a policy's own test is missed, or where rows of
    --data or --calls show it worse than the version in use; 4 where a teacher was not to be asked."""
    from gateway.cli import outcomes

    rows = read_calls(given()) if calls else []
    options = _Options(models, seed, data or (), rows, propose=propose, ask=not yes, can_answer=not calls)
    name: str | None = None
    code = Exit.DONE
    results: list[dict[str, Any]] = []
    try:
        for file, policy in _load_all(policies):
            name = policy.name
            try:
                outcome = _train_policy(file, policy, options)
            except _Declined as declined:
                code = max(code, Exit.UPSTREAM)
                results.append(outcomes.failed(name, str(declined)))
                stderr().print(f"{name}: NOT trained: {declined}", soft_wrap=True)
                continue
            code = max(code, Exit.DONE if outcome.accepted else Exit.GOAL_MISSED)
            results.append(outcomes.as_dict(policy, outcome))
            if not json:
                outcomes.show(policy, outcome)
    except Exception as error:
        results.append(outcomes.failed(name, str(error) or type(error).__name__))
        raise
    finally:
        if json:  # also where a later policy fails
            print_json(results)
    if code:
        raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class _Options:
    """How to train each policy. can_answer: whether standard input is free for answers to questions."""

    models: Path | None
    seed: int
    data: Sequence[Path]
    calls: Sequence[tuple[str, str]]
    propose: bool
    ask: bool
    can_answer: bool


def _train_policy(file: Path, policy: "Policy", options: _Options) -> "TrainingOutcome":
    """Raises _Declined."""
    from classifiers.training.run import train as run

    _print_notes(file, policy, [*map(str, options.data), *(["standard input"] if options.calls else [])])
    models_dir = options.models or _models_dir(file)
    with (
        sigterm_as_ctrl_c(),
        _progress(policy.name) as progress,
        _teachers(policy, progress, options) as (hire, approve),
    ):
        return run(
            policy,
            base_dir=file.parent,
            models_dir=models_dir,
            progress=progress,
            seed=options.seed,
            hire=hire,
            approve=approve,
            propose=options.propose,
            more=options.data,
            calls=options.calls,
        )


class _Declined(Exception):
    """The user did not agree to pay a teacher's model."""


def _load_all(files: Sequence[Path]) -> "list[tuple[Path, Policy]]":
    """All policies. Raises ConfigError with the problems of all files; two policies may not share a name."""
    from gateway.config.load import load_policy
    from gateway.config.problems import ConfigError, Problem

    loaded: list[tuple[Path, Policy]] = []
    problems: list[Problem] = []
    names: dict[str, Path] = {}
    for file in files:
        try:
            policy = load_policy(file, os.environ)
        except ConfigError as error:
            problems += error.problems
            continue
        if (first := names.setdefault(policy.name, file)).resolve() != file.resolve():
            what = f"{policy.name} is the name in {first} as well; give each a name of its own, or train one of them"
            problems.append(Problem(file=str(file), mark=None, path=("name",), message=what))
        loaded.append((file, policy))
    if problems:
        raise ConfigError(problems)
    return loaded


def _print_notes(file: Path, policy: "Policy", more: Sequence[str]) -> None:
    """Prints the notes of `check` on a policy. more: other sources of rows than the policy's own files."""
    from gateway.config import source
    from gateway.config.policy_checks import policy_notes

    if not file.is_file():
        # a pipe can be read only once
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
    policy: "Policy", progress: "_TrainingProgress", options: _Options
) -> Iterator[tuple["Hire | None", "Approve | None"]]:
    """The two callables that training gets for teachers' models: one opens a client, one asks before money is spent."""
    if not any(teacher.model for teacher in policy.teachers):
        yield None, None
        return
    from classifiers.training.write.teacher import Hired
    from gateway.cli.teacher import AskTeacher, price_of
    from gateway.config.settings import shipped_dir
    from gateway.ledger.prices import load_prices

    prices = load_prices(shipped_dir() / "prices.yaml")

    def approve(teacher: "Teacher", expected: "Estimate", price: "TeacherPrice") -> bool:
        with progress.paused() as console:
            console.print(_expense(policy, teacher, expected, price), soft_wrap=True)
            asks = options.ask and expected.calls and console.is_terminal
            if asks and not _agreed(console, can_answer=options.can_answer):
                raise _Declined(f"its teacher {teacher.model} was not to be asked")
        return True

    with ExitStack() as stack:

        def hire(teacher: "Teacher") -> Hired:
            client = AskTeacher(teacher)
            stack.callback(client.close)
            return Hired(complete=client, price=price_of(teacher, prices))

        yield hire, approve


def _agreed(console: Console, *, can_answer: bool) -> bool:
    """Whether the user at the terminal says yes; at the end of standard input, nobody does."""
    why = "is at its end" if can_answer else "holds calls"
    # None where the shell closed it
    if can_answer and sys.stdin is not None:
        try:
            return typer.confirm("Go on?", err=True, default=True)
        except typer.Abort as stop:
            # Ctrl-C is for the whole command
            if not isinstance(stop.__context__, EOFError):
                raise
    console.print(f"standard input {why}, so nobody can say yes; --yes does", soft_wrap=True)
    return False


def _expense(policy: "Policy", teacher: "Teacher", expected: "Estimate", price: "TeacherPrice") -> str:
    """The expected cost of asking a teacher, and its bound."""
    if price.known:
        dollars, bound = f"about ${expected.usd:.4f}", f"budget ${teacher.budget:.2f}"
        bound += f" and {teacher.tokens} tokens" if teacher.tokens else ""
    else:
        dollars = "at a price that is not known here"
        unbounded = "so budget: cannot hold; state tokens: to bound it"
        bound = f"at most {teacher.tokens} tokens" if teacher.tokens else unbounded
    return (
        f"{policy.name}: {teacher.model} is to be asked {expected.calls} times for sentences of every label "
        f"({expected.cached_calls} more answers are cached), about "
        f"{expected.input_tokens + expected.output_tokens} tokens, {dollars}; {bound}"
    )


class _TrainingProgress:
    """Progress as bars on a terminal, and as plain lines elsewhere."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars = bars
        self._name = name
        self._task = bars.add_task(name, total=None)

    @contextmanager
    def paused(self) -> Iterator[Console]:
        """The console for questions, with the bars stopped."""
        shown = self._bars.live.is_started
        if shown:
            self._bars.stop()
        yield self._bars.console
        if shown:
            self._bars.start()

    def step(self, name: str) -> None:
        """The next step begins."""
        if self._bars.live.is_started:
            self._bars.reset(self._task, description=f"{self._name}: {name}", total=None)
        else:
            self._bars.console.print(f"{self._name}: {name}")

    def advance(self, done: int, total: int) -> None:
        """So much of a step is done. Without bars, a line for each text would be noise."""
        self._bars.update(self._task, completed=done, total=total)


@contextmanager
def _progress(name: str) -> Iterator[_TrainingProgress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars = Progress(*columns, console=stderr(), transient=True)
    with bars if bars.console.is_terminal else nullcontext():
        yield _TrainingProgress(bars, name)
