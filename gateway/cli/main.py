"""`offramp`: all commands, and `offramp version`. Each command imports what it needs when it runs."""

import io
import os
import platform
import sys
from typing import Annotated

import typer

import gateway
from gateway.cli import (
    check,
    classify,
    console,
    contract,
    demo,
    discover,
    doctor,
    evaluate,
    explain,
    init,
    models,
    report,
    review,
    serve,
    train,
)
from gateway.cli.output import Exit, Json, problems_as_exit_codes, result


def version(json: Json = False) -> None:
    """Print the version."""
    versions = {"offramp": gateway.__version__, "python": platform.python_version()}
    result(versions, [f"offramp {gateway.__version__}"], as_json=json)


def _print_version(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An OpenAI-compatible gateway that answers or blocks small decisions with classifiers trained on the spot.",
)


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options before the command."""


app.command("init")(init.init)
app.command("check")(check.check)
app.command("train")(train.train)
app.command("eval")(evaluate.evaluate)
app.command("explain")(explain.explain)
app.command("classify")(classify.classify)
app.command("serve")(serve.serve)
app.command("console")(console.console)
app.command("report")(report.report)
app.command("blocked")(review.blocked)
app.command("review")(review.review)
app.command("discover")(discover.discover)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.command("version")(version)
app.add_typer(models.app, name="models")
app.add_typer(contract.app, name="contract")


def main() -> None:
    """The console script."""
    # read when numpy is loaded: on matrices as small as a head's, threads wait for each other longer than they compute
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with problems_as_exit_codes():
            app()
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except SystemExit as stop:
        # typer and rich end with 1 where nobody reads what they write any more
        if isinstance(stop.__context__, BrokenPipeError):
            sys.exit(Exit.CLOSED)
        raise
