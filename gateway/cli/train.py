"""`offramp train`."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from classifiers.fields import MAX_SEED
from gateway.cli.inputs import given
from gateway.cli.inputs import read as read_calls
from gateway.cli.output import Bar, Exit, Json, print_json, progress_bar, result, sigterm_as_ctrl_c, stderr

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
                results.append(outcomes.as_dict(name, None, str(declined)))
                stderr().print(f"{name}: NOT trained: {declined}", soft_wrap=True)
                continue
            code = max(code, Exit.DONE if outcome.accepted else Exit.GOAL_MISSED)
            results.append(outcomes.as_dict(name, outcome))
            if not json:
                result(None, outcomes.shown(name, outcome), as_json=False)
    except Exception as error:
        results.append(outcomes.as_dict(name, None, str(error) or type(error).__name__))
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
        progress_bar(policy.name) as bar,
        _teachers(policy, bar, options) as (hire, approve),
    ):
        return run(
            policy,
            base_dir=file.parent,
            models_dir=models_dir,
            progress=bar,
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
    """The models folder of the gateway file above the policy's folder, or else ./models. Raises ConfigError."""
    from gateway.config.load import load_gateway

    # not where a link to a policy leads: its data is sought beside the link as well
    gateway_file = policy.parent / ".." / "gateway.yaml"
    if not gateway_file.is_file():
        return Path("models")
    return load_gateway(gateway_file, os.environ, secrets=False).models_dir


@contextmanager
def _teachers(policy: "Policy", bar: Bar, options: _Options) -> Iterator[tuple["Hire | None", "Approve | None"]]:
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
        with bar.paused() as console:
            console.print(f"{policy.name}: {_expense(teacher, expected, price)}", soft_wrap=True)
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
