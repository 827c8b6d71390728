"""`offramp train`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from classifiers.policy import Policy
from classifiers.record import MAX_SEED
from classifiers.teacher import Teacher
from gateway.cli.output import Exit, Json, percent, print_json, stderr, stdout

if TYPE_CHECKING:
    from classifiers.training.run import Outcome
    from classifiers.training.write.budget import Estimate, Price
    from classifiers.training.write.teacher import Approve, Hire


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
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a teacher's model is paid.")] = False,
    json: Json = False,
) -> None:
    """Train classifiers from policies. Exit code 3 where a goal or a policy's own test is missed, or --data shows
    it worse than the version in use."""
    from classifiers.training.run import train as run
    from gateway.config.load import load_policy

    loaded = _load_all(policies, load_policy)
    outcomes = []
    for file, policy in loaded:
        target = models or _models_dir(file)
        with _watch(policy.name) as watcher, _teachers(policy, watcher, ask=not yes) as (hire, approve):
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
        stderr().print(f"{gateway_file} cannot be read, so --models names the folder: {error}")
        raise


@contextmanager
def _teachers(
    policy: Policy, watcher: "_Bars | _Lines", *, ask: bool
) -> Iterator[tuple["Hire | None", "Approve | None"]]:
    """What gets a teacher's model ready, and what shows its cost before it is spent."""
    if not any(teacher.model for teacher in policy.teachers):
        yield None, None
        return
    from classifiers.training.write.sentences import FIRST
    from classifiers.training.write.teacher import Hired
    from gateway.cli.teacher import AskTeacher, price_of
    from gateway.config.shipped import shipped_dir
    from gateway.savings.prices import load_prices

    prices = load_prices(shipped_dir() / "prices.yaml")

    def approve(teacher: Teacher, expected: "Estimate", price: "Price", why: str) -> bool:
        with watcher.aside() as console:
            console.print(_expense(policy, teacher, expected, price, why), soft_wrap=True)
            if ask and expected.calls and console.is_terminal and not typer.confirm("Go on?", err=True, default=True):
                if why == FIRST:
                    raise typer.Exit(Exit.DONE)
                return False
        return True

    with ExitStack() as stack:

        def hire(teacher: Teacher) -> Hired:
            asked = AskTeacher(teacher)
            stack.callback(asked.close)
            return Hired(complete=asked, price=price_of(teacher, prices))

        yield hire, approve


def _expense(policy: Policy, teacher: Teacher, expected: "Estimate", price: "Price", why: str) -> str:
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
    console.print(f"{policy.name}: {state} in {seconds:.1f} s")
    if report["patterns"]:
        told = ", ".join(dict.fromkeys(report["patterns"].values()))
        console.print(f"  told by patterns: {told}", soft_wrap=True)
    if report["text"]["rows"]:
        console.print(f"  trained on {report['text']['rows']} texts ({sources})", soft_wrap=True)
    for line in _written(report):
        console.print(f"  {line}", soft_wrap=True)
    if against := report["incumbent"]:
        was, now = (against[name] / against["rows"] for name in ("right_before", "right_after"))
        told = f"{was:.1%} right before, {now:.1%} now, on the same {against['rows']} held-out rows"
        console.print(f"  {told}", soft_wrap=True)
    for line in _measures(report) if report["text"]["rows"] else ():
        console.print(f"  {line}", soft_wrap=True)
    if note := report["settings"].get("note"):
        console.print(f"  {note}", style="yellow", soft_wrap=True)
    for line in outcome.missed:
        console.print(f"  missed: {line}", style="red", soft_wrap=True)
    page = outcome.folder / "report.html"
    console.print(f"  report: {page if page.exists() else outcome.folder}", soft_wrap=True)


def _written(report: Mapping[str, Any]) -> Iterator[str]:
    """What the rounds of writing came to, and which rows were dropped or read like another label than theirs."""
    rounds = report["rounds"]
    if rounds:
        kept = sum(sum(one["sentences"].values()) for one in rounds if one["kept"])
        yield f"{len(rounds)} rounds for confused labels kept {kept} sentences; ended by: {report['rounds_ended']}"
    text = report["text"]
    for name, one, several in (
        ("contradictions", "text that was given several labels was", "texts that were given several labels were"),
        ("leaks", "text that is a test of the policy was", "texts that are tests of the policy were"),
    ):
        if count := len(text[name]):
            yield f"{count} {one if count == 1 else several} dropped; the report says which"
    doubts = text["doubts"]
    if doubts["rows"]:
        done = ", ".join(f"{count} {name}" for name, count in doubts["done"].items())
        yield f"{doubts['rows']} rows read like another label ({done}); the report lists them"


def _measures(report: Mapping[str, Any]) -> Iterator[str]:
    """What was measured, and on what."""
    held = report["held_out"]
    where = f"on {report['measured_on']} ({held['rows']} rows held out)"
    if report["kind"] == "safety":
        caught, alarms = (percent(held["flagged"][name]) for name in ("harmful", "harmless"))
        yield f"flagged: {caught} of the harmful and {alarms} of the harmless {where}"
    elif "answered" in held:
        answers = f"{percent(held['answered'])} answered, of which {percent(held['error'])} wrong"
        yield f"accuracy {percent(held['accuracy'])} {where}; {answers}"
    else:
        yield f"just the right labels for {percent(held['accuracy'])} {where}"
    slots = report["settings"].get("slots")
    if slots and slots["f1"] is not None:
        yield f"slots: F1 {slots['f1']:.1%} on {slots['support']} values in {slots['rows']} held-out sentences"
