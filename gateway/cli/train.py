"""`offramp train`."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from classifiers.fields import MAX_SEED
from gateway.cli.inputs import gateway, given
from gateway.cli.inputs import read as read_calls
from gateway.cli.output import Bar, Exit, Json, print_json, progress_bar, result, sigterm_as_ctrl_c, stderr

if TYPE_CHECKING:
    from classifiers.policy import Policy, Teacher
    from classifiers.training.run import TrainingOutcome
    from classifiers.training.write.teacher import Approve, Estimate, TeacherFactory, TeacherPrice


def train(
    policies: Annotated[list[Path], typer.Argument(help="Policy files.")],
    models: Annotated[
        Path | None, typer.Option(help="The models folder; by default the gateway file's, or ./models.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Decides every random choice.")] = 0,
    data: Annotated[
        list[Path] | None, typer.Option(help="More labelled rows, besides those that the policy names.")
    ] = None,
    larger: Annotated[str | None, typer.Option(help="Tune this larger encoder: of a guard NAME, NAME-large.")] = None,
    calls: Annotated[
        bool, typer.Option("--calls", help="Read rows of calls from standard input, too; no file or report has them.")
    ] = False,
    refit: Annotated[
        bool, typer.Option("--refit", help="Only fit the head of the version in use anew, where that can be.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a teacher's model is paid.")] = False,
    json: Json = False,
) -> None:
    """Train classifiers from policies. Exit code 3 where a goal or a policy's own test is missed, or where rows of
    --data or --calls show it worse than the version in use; 4 where a teacher was not to be asked."""
    from classifiers.training.run import train as run
    from gateway.cli import outcomes

    asking = _Asking(ask=not yes, can_answer=not calls)
    rows = read_calls(given()) if calls else []
    more = [*map(str, data or ()), *(["standard input"] if rows else [])]
    name: str | None = None
    code = Exit.DONE
    results: list[dict[str, Any]] = []
    try:
        for file, policy in _load_all(policies, larger):
            name = policy.name
            _print_notes(file, policy, more)
            fit = partial(run, seed=seed, more=data or (), calls=rows, refit=refit, base_dir=file.parent)
            with _at_its_place(file):
                outcome, why = _train_policy(policy, partial(fit, models_dir=models or _models_dir(file)), asking)
            results.append(outcomes.as_dict(name, outcome, why))
            code = max(code, Exit.UPSTREAM if why else Exit.DONE if results[-1]["accepted"] else Exit.GOAL_MISSED)
            if outcome and not json:
                result(None, outcomes.shown(name, outcome), as_json=False)
    except Exception as error:
        results.append(outcomes.as_dict(name, None, str(error) or type(error).__name__))
        raise
    finally:
        if json:  # also where a later policy fails
            print_json(results)
    if code:
        raise typer.Exit(code)


def _train_policy(
    policy: "Policy", fit: "Callable[..., TrainingOutcome]", asking: "_Asking"
) -> "tuple[TrainingOutcome | None, str | None]":
    """The outcome of a training, or why it was not to be."""
    try:
        with (
            sigterm_as_ctrl_c(),
            progress_bar(policy.name) as bar,
            _teachers(policy, bar, asking) as (teacher_factory, approve),
        ):
            return fit(policy, progress=bar, teacher_factory=teacher_factory, approve=approve), None
    except _Declined as declined:
        stderr().print(f"{policy.name}: NOT trained: {declined}", soft_wrap=True)
        return None, str(declined)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """Whether to ask before money is spent, and whether standard input is free for answers."""

    ask: bool
    can_answer: bool


class _Declined(Exception):
    """The user did not agree to pay a teacher's model."""


def _load_all(files: Sequence[Path], larger: str | None) -> "list[tuple[Path, Policy]]":
    """All policies, on a larger encoder where one is named. Raises ConfigError with the problems of all files; two
    policies may not share a name."""
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
        if larger is not None and policy.kind != "safety":
            what = f"--larger is for kind safety, and {policy.name} is of kind {policy.kind}"
            problems.append(Problem(file=str(file), mark=None, path=("kind",), message=what))
            continue
        policy = policy.on_larger(larger) if larger is not None else policy
        if (first := names.setdefault(policy.name, file)).resolve() != file.resolve():
            what = f"{policy.name} is the name in {first} as well; give each a name of its own, or train one of them"
            problems.append(Problem(file=str(file), mark=None, path=("name",), message=what))
        loaded.append((file, policy))
    if problems:
        raise ConfigError(problems)
    return loaded


@contextmanager
def _at_its_place(file: Path) -> Iterator[None]:
    """What only training finds wrong with a policy, such as a guard's labels, is shown where it is written."""
    from classifiers.errors import PolicyError
    from gateway.config import source
    from gateway.config.problems import ConfigError

    try:
        yield
    except PolicyError as error:
        if not error.places or not file.is_file():
            raise
        document = source.read(file, os.environ)
        raise ConfigError(document.problem(path, what) for path, what in error.places) from error


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
    """The models folder of the gateway file above the policy's folder, or else ./models. Raises ConfigError."""

    # not where a link to a policy leads: its data is sought beside the link as well
    gateway_file = policy.parent / ".." / "gateway.yaml"
    if not gateway_file.is_file():
        return Path("models")
    return gateway(gateway_file).models_dir


@contextmanager
def _teachers(
    policy: "Policy", bar: Bar, asking: _Asking
) -> Iterator[tuple["TeacherFactory | None", "Approve | None"]]:
    """The two callables that training gets for teachers' models: one opens a client, one asks before money is spent."""
    if not any(teacher.model for teacher in policy.teachers):
        yield None, None
        return
    from classifiers.training.write.teacher import Hired
    from gateway.cli.teacher import AskTeacher, price_of
    from gateway.config.prices import load_prices

    prices = load_prices()

    def approve(teacher: "Teacher", expected: "Estimate", price: "TeacherPrice") -> bool:
        with bar.paused() as console:
            console.print(f"{policy.name}: {_expense(teacher, expected, price)}", soft_wrap=True)
            asks = asking.ask and expected.calls and console.is_terminal
            if asks and not _agreed(console, can_answer=asking.can_answer):
                raise _Declined(f"its teacher {teacher.model} was not to be asked")
        return True

    with ExitStack() as stack:

        def teacher_factory(teacher: "Teacher") -> Hired:
            client = AskTeacher(teacher)
            stack.callback(client.close)
            return Hired(complete=client, price=price_of(teacher, prices))

        yield teacher_factory, approve


def _agreed(console: Console, *, can_answer: bool) -> bool:
    """Whether the user at the terminal says yes; at the end of standard input, nobody does."""
    # None where the shell closed it
    if can_answer and sys.stdin is not None:
        try:
            return typer.confirm("Go on?", err=True, default=True)
        except typer.Abort as stop:
            # Ctrl-C is for the whole command
            if not isinstance(stop.__context__, EOFError):
                raise
    why = "is at its end" if can_answer else "holds calls"
    console.print(f"standard input {why}, so nobody can say yes; --yes does", soft_wrap=True)
    return False


def _expense(teacher: "Teacher", expected: "Estimate", price: "TeacherPrice") -> str:
    """The expected cost of asking a teacher, and its bound."""
    cost = f"about ${expected.usd:.4f}" if price.known else "at a price that is not known here"
    bounds = [f"${teacher.budget:.2f}"] if price.known else []
    bounds += [f"{teacher.tokens} tokens"] if teacher.tokens else []
    return (
        f"{teacher.model} is to be asked {expected.calls} times ({expected.cached_calls} more answers are "
        f"cached), about {expected.input_tokens + expected.output_tokens} tokens, {cost}; "
        f"at most {' and '.join(bounds) or 'what tokens: would bound'}"
    )
