"""`offramp train`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from classifiers.policy import Policy
from gateway.cli.output import Exit, Json, print_json, stderr, stdout

if TYPE_CHECKING:
    from classifiers.training.run import Outcome
    from classifiers.training.write.teacher import Complete, Price


def train(
    policies: Annotated[list[Path], typer.Argument(help="Policy files.")],
    models: Annotated[
        Path | None, typer.Option("--models", help="The models folder; by default the gateway file's, or ./models.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the policy's seed:.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a teacher's model is paid.")] = False,
    json: Json = False,
) -> None:
    """Train classifiers from policies. Exit code 3 where a goal or a policy's own test is missed."""
    from classifiers.training.run import train as run
    from gateway.config.load import load_policy

    loaded = _load_all(policies, load_policy)
    outcomes = []
    for file, policy in loaded:
        target = models or _models_dir(file)
        with _teacher(policy, target, ask=not yes) as (complete, price), _watch(policy.name) as watcher:
            outcome = run(
                policy,
                base_dir=file.parent,
                models_dir=target,
                progress=watcher,
                seed=seed,
                complete=complete,
                price=price,
            )
        outcomes.append((policy, outcome))
        if not json:
            _print(policy, outcome)
    if json:
        print_json([_as_dict(policy, outcome) for policy, outcome in outcomes])
    if not all(outcome.accepted for _, outcome in outcomes):
        raise typer.Exit(Exit.GOAL_MISSED)


def _load_all(files: Sequence[Path], load: Any) -> list[tuple[Path, Policy]]:
    """All policies, or ConfigError with the problems of all files."""
    from gateway.config.problems import ConfigError, Problem

    loaded: list[tuple[Path, Policy]] = []
    problems: list[Problem] = []
    for file in files:
        try:
            loaded.append((file, load(file, os.environ)))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return loaded


def _models_dir(policy: Path) -> Path:
    """The models folder of the gateway file above the policy's folder, if there is one that can be read."""
    from gateway.config.load import load_gateway
    from gateway.config.problems import ConfigError

    gateway_file = policy.resolve().parent.parent / "gateway.yaml"
    if not gateway_file.is_file():
        return Path("models")
    try:
        return load_gateway(gateway_file, os.environ).models_dir
    except ConfigError as error:
        stderr().print(f"{gateway_file} cannot be read, so --models names the folder: {error}", markup=False)
        raise


@contextmanager
def _teacher(policy: Policy, models: Path, *, ask: bool) -> Iterator[tuple["Complete | None", "Price | None"]]:
    """The policy's teacher, after its cost was shown."""
    if policy.teacher is None or policy.teacher.model is None:
        yield None, None
        return
    from classifiers.training.write.teacher import CACHE, cost
    from gateway.cli.teacher import AskTeacher, price_of
    from gateway.config.shipped import shipped_dir
    from gateway.savings.prices import load_prices

    price = price_of(policy.teacher, load_prices(shipped_dir() / "prices.yaml"))
    seed = policy.seed
    estimate = cost(policy, price, models / CACHE, seed)
    dollars = f"about ${estimate.usd:.4f}" if price.known else "at a price that is not known here"
    stderr().print(
        f"{policy.name}: {policy.teacher.model} is to be asked {estimate.calls} times ({estimate.cached_calls} more "
        f"answers are cached), {dollars}; budget ${policy.teacher.budget:.2f}",
        markup=False,
        soft_wrap=True,
    )
    console = stderr()
    if ask and estimate.calls and console.is_terminal and not typer.confirm("Go on?", err=True, default=True):
        raise typer.Exit(Exit.DONE)
    teacher = AskTeacher(policy.teacher)
    try:
        yield teacher, price
    finally:
        teacher.close()


class _Bars:
    """Progress as bars on a terminal."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars = bars
        self._name = name
        self._task = bars.add_task(name, total=None)

    def step(self, name: str) -> None:
        self._bars.reset(self._task, description=f"{self._name}: {name}", total=None)

    def advance(self, done: int, total: int) -> None:
        self._bars.update(self._task, completed=done, total=total)


class _Lines:
    """Progress as plain lines elsewhere."""

    def __init__(self, name: str) -> None:
        self._name = name

    def step(self, name: str) -> None:
        stderr().print(f"{self._name}: {name}", markup=False)

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


def _as_dict(policy: Policy, outcome: "Outcome") -> dict[str, Any]:
    return {
        "name": policy.name,
        "accepted": outcome.accepted,
        "version": outcome.version,
        "folder": str(outcome.folder),
        "missed": list(outcome.missed),
        "seconds": dict(outcome.seconds),
        "report": outcome.report,
    }


def _print(policy: Policy, outcome: "Outcome") -> None:
    console = stdout()
    report: Mapping[str, Any] = outcome.report
    sources = ", ".join(f"{count} {source}" for source, count in report["text"]["sources"].items())
    seconds = sum(outcome.seconds.values())
    state = f"published as {outcome.version}" if outcome.accepted else "NOT published"
    console.print(f"{policy.name}: {state} in {seconds:.1f} s", markup=False)
    console.print(f"  trained on {report['text']['rows']} texts ({sources})", markup=False, soft_wrap=True)
    for line in _measures(report):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    for line in outcome.missed:
        console.print(f"  missed: {line}", style="red", markup=False, soft_wrap=True)
    page = outcome.folder / "report.html"
    console.print(f"  report: {page if page.exists() else outcome.folder}", markup=False, soft_wrap=True)


def _measures(report: Mapping[str, Any]) -> Iterator[str]:
    """What was measured, and on what."""
    held = report["held_out"]
    where = f"on {report['measured_on']}"
    if "accuracy" in held:
        yield f"accuracy {held['accuracy']:.1%} {where}"
