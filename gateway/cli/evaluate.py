"""`offramp eval`, with the bounds of --fail-under and --fail-over."""

import json as to_json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.output import (
    Exit,
    Json,
    bars,
    between,
    check_targets,
    percent,
    print_json,
    print_lines,
    quoted,
    stderr,
    surely,
    within,
)

_NO_SHARES = frozenset({"mean_ms", "p50_ms", "p95_ms", "kept"})
"""The last parts of the figures that may be above 1. All others are shares."""

_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A limit that a figure must not be under, or over."""

    name: str
    limit: float
    over: bool = False


def parse(under: Iterable[str], over: Iterable[str]) -> list[Bound]:
    """The bounds of the flags, NAME=x each; x alone bounds the accuracy.

    Raises typer.BadParameter, also where a figure can never be x, so that the bound would always hold.
    """
    return [
        *(_bound(text, "--fail-under", over=False) for text in under),
        *(_bound(text, "--fail-over", over=True) for text in over),
    ]


def _bound(text: str, flag: str, *, over: bool) -> Bound:
    name, sign, number = text.rpartition("=")
    try:
        # 5.6 / 100 is a little less than 0.056, which figures are rounded to
        limit = round(float(number.removesuffix("%")) / (100 if number.endswith("%") else 1), _DIGITS)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not NAME=x, such as accuracy=0.9 or ece=2%", param_hint=flag) from error
    if sign and not name:
        raise typer.BadParameter(f"{text!r} names no figure before its =", param_hint=flag)
    bound = Bound(name=name or "accuracy", limit=limit, over=over)
    if not isfinite(limit):
        raise typer.BadParameter(f"{text!r} bounds nothing: {number} is no number", param_hint=flag)
    # no figure is over 1, so that whoever writes ece=1 means 1 %
    always = over and limit == 1 and not number.endswith("%")
    if bound.name.rpartition(".")[2] not in _NO_SHARES and (always or not 0 <= limit <= 1):
        hint = f"; write {number}%" if 1 <= limit <= 100 and not number.endswith("%") else ""
        raise typer.BadParameter(
            f"{text!r}: {bound.name} is a share of 0 to 1, or of 0% to 100%{hint}", param_hint=flag
        )
    return bound


def check(bounds: Iterable[Bound], known: Iterable[str]) -> None:
    """Raises typer.BadParameter where a bound's name is none of the figures'."""
    names = list(known)
    for bound in bounds:
        if bound.name not in names:
            near = get_close_matches(bound.name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names[:12])} …"
            raise typer.BadParameter(f"no figure is called {bound.name!r}; {hint}")


def failures(bounds: Iterable[Bound], figures: Mapping[str, float | None]) -> Iterator[str]:
    """A line for each bound that does not hold. A figure that could not be measured, so is None or not there, holds
    none."""
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
        list[str] | None,
        typer.Option(metavar="NAME=x", help="Exit code 3 where a figure is lower; repeatable."),
    ] = None,
    fail_over: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=x", help="Exit code 3 where a figure is higher; repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """Measure a trained classifier on labelled texts."""
    from classifiers import Runtime
    from classifiers.training.data import load, read_rows
    from classifiers.training.examine import examine, named, names

    limits = parse(fail_under or (), fail_over or ())
    targets = _targets(html, output)
    check_targets(targets, data)
    runtime = Runtime.load(models, [name])
    classifier = runtime.classifiers[name]
    check(limits, names(classifier.model.policy, suite=suite))
    rows = read_rows(classifier.model.policy, data, unread=True)
    known, near = load(models, name, classifier.version), bool(targets or json)
    drawn = suite_rows if suite else 0
    with bars() as advance:
        measures = examine(runtime, name, rows, trained_on=known, nearest_rows=near, suite_rows=drawn, advance=advance)
    for path in targets.values():
        text = to_json.dumps(measures, ensure_ascii=False, indent=1) + "\n"
        path.write_text(_page(measures, data) if path is html else text, encoding="utf-8")
    if json:
        print_json(measures)
    else:
        print_lines(_lines(measures))
    if missed := list(failures(limits, named(measures))):
        stderr().print("\n".join(missed), style="red", soft_wrap=True)
        raise typer.Exit(Exit.GOAL_MISSED)


def _targets(html: Path | None, output: Path | None) -> dict[str, Path]:
    """The files to write, by their flags; a page has its JSON next to it unless --output names another file."""
    json_path = html.with_suffix(".json") if html and html.name else None
    paths = {"--html": html, "--output" if output else "the JSON beside it": output or json_path}
    return {flag: path for flag, path in paths.items() if path}


def _page(measures: dict[str, Any], data: Iterable[Path]) -> str:
    from classifiers.report.page import evaluation_page
    from classifiers.training.rows import encodable

    return evaluation_page(measures, [encodable(str(path)) for path in data])


def _lines(measures: Mapping[str, Any]) -> Iterator[str]:
    from classifiers.report.figures import suite_lines
    from classifiers.report.markup import counted, wrong

    yield f"{counted(measures['rows'], 'row')}: accuracy {within(measures['accuracy'], measures['interval'], '95 %: ')}"
    yield from _cautions(measures)
    if "answered" in measures:
        yield f"answered {surely(measures, 'answered')}, of which {surely(measures, 'error')} {wrong(measures)}"
    else:
        flagged, ranking, doubted = measures["flagged"], measures["any"], measures["doubted"]
        yield f"flagged: {surely(flagged, 'harmful')} of the harmful, {surely(flagged, 'harmless')} of the harmless"
        yield f"in doubt: {surely(doubted, 'harmful')} of the harmful, {surely(doubted, 'harmless')} of the harmless"
        yield f"recall at 1 % false alarms {surely(ranking, 'recall_at_1pct_false_alarms')}"
    if measures["ece"] is not None:
        yield f"calibration error (ECE) {measures['ece']:.3f}"
    if measures["latency"]:
        yield f"latency: median {measures['latency']['p50_ms']:.1f} ms, mean {measures['latency']['mean_ms']:.1f} ms"
    for label, values in measures["labels"].items():
        yield f"  {label}: {_shares(values)}"
    if "slots" in measures:
        yield from _slots(measures["slots"])
    for error in measures["errors"][:10]:
        sure = f"{error['confidence']:.2f}{' (unsure)' if error.get('doubt') else ''}"
        yield f"  wrong: {error['truth']}, predicted {error['predicted']} at {sure}: {quoted(error['text'])}"
    if "suite" in measures:
        yield from suite_lines(measures["suite"])


def _shares(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {percent(values[key])}" for key in ("precision", "recall", "f1"))


def _slots(measures: Mapping[str, Any]) -> Iterator[str]:
    from classifiers.report.markup import counted

    if not measures["rows"]:
        yield "no row that counts is of a file that marks slots, so slots are not measured"
        return
    yield f"slots on {counted(measures['rows'], 'text')}: {_shares(measures)}"
    asked = "label and all slots" if measures["with_label"] else "all slots"
    yield f"{asked} right in {percent(measures['whole'])} of texts (95 %: {between(measures['whole_interval'])})"
    yield from (f"  slot {name}: {_shares(values)}" for name, values in measures["slots"].items())
    for error in measures["errors"][:10]:
        missed, extra = (
            ", ".join(f"{slot['slot']} '{quoted(slot['raw'])}'" for slot in error[side]) or "nothing"
            for side in ("missed", "extra")
        )
        yield f"  slots wrong: missed {missed}, found {extra}: {quoted(error['text'])}"


def _cautions(measures: Mapping[str, Any]) -> Iterator[str]:
    from classifiers.report import figures

    seen = measures["trained_on"]
    if seen is None:
        yield "the rows it was trained on are not kept here, so leaks were not looked for"
    elif seen["rows"]:
        yield f"{figures.seen(seen['rows'])} ({percent(seen['accuracy'])} right):"
        yield from (f"  trained on: {quoted(text)}" for text in seen["texts"][:10])
    if measures["repeated"]:
        yield figures.repeats(measures["repeated"])
