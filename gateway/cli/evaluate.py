"""`offramp eval`, with the bounds of --fail-under and --fail-over."""

import json as to_json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from gateway.cli.output import Exit, Json, percent, progress_bar, quoted, result, stderr, table

_NO_SHARES = frozenset({"mean_ms", "p50_ms", "p95_ms", "kept"})
"""The last parts of the figures that may be above 1. All others are shares."""
_DIGITS = 12
_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A limit that a figure must not be under, or over."""

    name: str
    limit: float
    over: bool = False


def parse_bounds(texts: Iterable[str], known: Iterable[str], *, over: bool) -> list[Bound]:
    """The bounds of a flag's values, NAME=x each; x alone bounds the accuracy. known: the names of all figures.

    Raises typer.BadParameter, also where a figure can never be x, so that the bound would always hold.
    """
    from gateway.config.problems import did_you_mean

    names, flag = list(known), "--fail-over" if over else "--fail-under"
    bounds = [_bound(text, flag, over=over) for text in texts]
    for bound in bounds:
        if bound.name not in names:
            near = did_you_mean(bound.name, names)
            raise typer.BadParameter(f"no figure is called {bound.name!r}{near}")
    return bounds


def _bound(text: str, flag: str, *, over: bool) -> Bound:
    name, sign, number = text.rpartition("=")
    share = number.endswith("%")
    try:
        # 5.6 / 100 is a little less than 0.056, which figures are rounded to
        limit = round(float(number.removesuffix("%")) / (100 if share else 1), _DIGITS)
    except ValueError:
        limit = nan
    if not isfinite(limit) or (sign and not name):
        raise typer.BadParameter(f"{text!r} is not NAME=x, such as accuracy=0.9 or ece=2%", param_hint=flag)
    bound = Bound(name=name or "accuracy", limit=limit, over=over)
    # no figure is over 1, so that whoever writes ece=1 means 1 %
    always = over and limit == 1 and not share
    if bound.name.rpartition(".")[2] not in _NO_SHARES and (always or not 0 <= limit <= 1):
        what = f"{text!r}: {bound.name} is a share of 0 to 1, or of 0% to 100%"
        raise typer.BadParameter(what, param_hint=flag)
    return bound


def failures(bounds: Iterable[Bound], figures: Mapping[str, float | None]) -> Iterator[str]:
    """A line for each bound that does not hold. A figure that could not be measured holds none."""
    for bound in bounds:
        value = figures.get(bound.name)
        if value is None:
            yield f"{bound.name} could not be measured on these rows"
        elif (value > bound.limit) if bound.over else (value < bound.limit):
            yield f"{bound.name} is {value:.4g}, {'over' if bound.over else 'under'} {bound.limit:g}"


def evaluate(
    name: Annotated[str, typer.Argument(help="The classifier.")],
    data: Annotated[list[Path], typer.Argument(help="Labelled rows {text, label}, slots marked: JSONL or CSV.")],
    models: Annotated[Path, typer.Option(help="The models folder.")] = Path("models"),
    suite: Annotated[
        bool, typer.Option("--suite", help="Try the safety suite on DATA's rows: character attacks, encodings …")
    ] = False,
    suite_rows: Annotated[int, typer.Option(min=1, help="Rows of either sort that the suite draws.")] = 100,
    html: Annotated[Path | None, typer.Option(help="Write a page with pictures here, and the JSON beside it.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write the JSON here.")] = None,
    fail_under: Annotated[
        list[str] | None, typer.Option(metavar="NAME=x", help="Exit code 3 where a figure is lower; repeatable.")
    ] = None,
    fail_over: Annotated[
        list[str] | None, typer.Option(metavar="NAME=x", help="Exit code 3 where a figure is higher; repeatable.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure a trained classifier on labelled texts."""
    from classifiers import Runtime
    from classifiers.training.data import load, read_rows
    from classifiers.training.examine import examine, named, names

    as_json = output or (html.with_suffix(".json") if html and html.name else None)
    check_targets([path for path in (html, as_json) if path], data)
    runtime = Runtime.load(models, [name])
    classifier = runtime.classifiers[name]
    known = names(classifier.model.policy, suite=suite)
    limits = [*parse_bounds(fail_under or (), known, over=False), *parse_bounds(fail_over or (), known, over=True)]
    rows = read_rows(classifier.model.policy, data, unread=True)
    with progress_bar() as advance:
        measures = examine(
            runtime,
            name,
            rows,
            trained_on=load(models, name, classifier.version),
            nearest_rows=bool(html or output or json),
            suite_rows=suite_rows if suite else 0,
            advance=advance,
        )
    if html:
        html.write_text(_page(measures, data), encoding="utf-8")
    if as_json:
        as_json.write_text(to_json.dumps(measures, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    result(measures, _shown(measures), as_json=json)
    if missed := list(failures(limits, named(measures))):
        stderr().print("\n".join(missed), style="red", soft_wrap=True)
        raise typer.Exit(Exit.GOAL_MISSED)


def check_targets(writes: Iterable[Path], reads: Iterable[Path]) -> None:
    """Refuses files to write that are folders, lie in none, are read, or are named twice. Raises typer.BadParameter."""
    taken = {path.resolve() for path in reads}
    for path in writes:
        if path.is_dir() or not path.parent.is_dir():
            what = "is a folder" if path.is_dir() else "is in a folder that does not exist"
            raise typer.BadParameter(f"{path} {what}")
        if path.resolve() in taken:
            raise typer.BadParameter(f"{path} is read, or written twice; name another file")
        taken.add(path.resolve())


def _page(measures: dict[str, Any], data: Iterable[Path]) -> str:
    from classifiers.report.pages import evaluation_page
    from classifiers.training.rows import encodable

    return evaluation_page(measures, [encodable(str(path)) for path in data])


def _shown(measured: Mapping[str, Any]) -> Iterator[str | Table]:
    from classifiers.report import figures
    from classifiers.report.markup import counted
    from gateway.cli.outcomes import measures

    slots = measured.get("slots")
    yield f"{counted(measured['rows'], 'row')}:"
    yield from _cautions(measured)
    yield from measures(measured, slots)
    if measured["latency"]:
        yield f"latency: median {measured['latency']['p50_ms']:.1f} ms, mean {measured['latency']['mean_ms']:.1f} ms"
    yield _by_name("label", measured["labels"])
    if slots and not slots["rows"]:
        yield "no row that counts is of a file that marks slots, so slots are not measured"
    elif slots:
        yield _by_name("slot", slots["slots"])
    for error in measured["errors"][:_SHOWN]:
        sure = f"{error['confidence']:.2f}{' (unsure)' if error.get('doubt') else ''}"
        yield f"  wrong: {error['truth']}, predicted {error['predicted']} at {sure}: {quoted(error['text'])}"
    for error in slots["errors"][:_SHOWN] if slots and slots["rows"] else ():
        missed, extra = (", ".join(f"{one['slot']} {one['raw']!r}" for one in error[at]) for at in ("missed", "extra"))
        yield f"  slots wrong: missed {missed or 'nothing'}, found {extra or 'nothing'}: {quoted(error['text'])}"
    if "suite" in measured:
        yield from figures.suite_lines(measured["suite"])


def _by_name(what: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    names = ("precision", "recall", "f1")
    return table(
        "", (what, *names), ((row, *(percent(shares[name]) for name in names)) for row, shares in rows.items())
    )


def _cautions(measured: Mapping[str, Any]) -> Iterator[str]:
    from classifiers.report import figures

    seen = measured["trained_on"]
    if seen is None:
        yield "the rows it was trained on are not kept here, so leaks were not looked for"
    elif seen["rows"]:
        yield f"{figures.seen(seen['rows'])} ({percent(seen['accuracy'])} right):"
        yield from (f"  trained on: {quoted(text)}" for text in seen["texts"][:_SHOWN])
    if measured["repeated"]:
        yield figures.repeats(measured["repeated"])
