"""`offramp eval`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gateway.cli.output import Exit, Json, print_json, stderr, stdout

if TYPE_CHECKING:
    from classifiers import Runtime
    from classifiers.training.rows import Row


def evaluate(
    name: Annotated[str, typer.Argument(help="The classifier.")],
    data: Annotated[list[Path], typer.Argument(help="Labelled rows {text, label}: JSONL or CSV.")],
    models: Annotated[Path, typer.Option("--models", help="The models folder.")] = Path("models"),
    suite: Annotated[
        bool, typer.Option("--suite", help="Try the safety suite on DATA's rows: character attacks, encodings …")
    ] = False,
    suite_rows: Annotated[
        int, typer.Option("--suite-rows", min=1, help="Rows of either sort that the suite draws.")
    ] = 100,
    fail_under: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit code 3 where the accuracy is below this share.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure a trained classifier on labelled texts."""
    from classifiers import Reading, Runtime
    from classifiers.training.data import read_rows
    from classifiers.training.evaluate import evaluate as measure

    runtime = Runtime.load(models, [name])
    policy = runtime.classifiers[name].model.policy
    rows = read_rows(policy, data)
    readings = [Reading(classifier=name, texts=(row.text,)) for row in rows]
    verdicts = runtime.classify(readings)
    measures = measure(policy, [row.text for row in rows], [row.labels for row in rows], verdicts)
    if suite:
        measures["suite"] = _suite(runtime, name, rows, suite_rows)
    if json:
        print_json({"classifier": name, "version": runtime.classifiers[name].version, **measures})
    else:
        for line in _lines(measures):
            stdout().print(line, markup=False, soft_wrap=True)
    if fail_under is not None and (measures["accuracy"] or 0.0) < fail_under:
        raise typer.Exit(Exit.GOAL_MISSED)


def _suite(runtime: "Runtime", name: str, rows: Sequence["Row"], most: int) -> dict[str, Any]:
    from classifiers.suite.run import run

    with _bar("suite") as advance:
        return run(runtime, name, [(row.text, bool(row.labels)) for row in rows], most=most, advance=advance)


@contextmanager
def _bar(name: str) -> Iterator[Any]:
    console = stderr()
    if not console.is_terminal:
        yield lambda _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _lines(measures: Mapping[str, Any]) -> Iterator[str]:
    from classifiers.suite.table import plain

    low, high = measures["interval"] or (0.0, 1.0)
    yield f"{measures['rows']} rows: accuracy {_percent(measures['accuracy'])} (95 %: {low:.1%} to {high:.1%})"
    if "answered" in measures:
        yield f"answered {_percent(measures['answered'])}, of which wrong {_percent(measures['error'])}"
    else:
        flagged = measures["flagged"]
        yield f"flagged: {_percent(flagged['harmful'])} of the harmful, {_percent(flagged['harmless'])} of the harmless"
    yield f"calibration error (ECE) {measures['ece']:.3f}"
    for label, values in measures["labels"].items():
        figures = ", ".join(f"{key} {_percent(values.get(key))}" for key in ("precision", "recall", "f1"))
        yield f"  {label}: {figures}"
    for error in measures["errors"][:10]:
        yield f"  wrong: {error}"
    if "suite" in measures:
        yield from plain(measures["suite"])


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
