"""`offramp eval`."""

import json as to_json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import bounds, targets
from gateway.cli.bars import bars
from gateway.cli.output import Exit, Json, between, percent, print_json, quoted, stderr, stdout, surely, within


def evaluate(
    name: Annotated[str, typer.Argument(help="The classifier.")],
    data: Annotated[list[Path], typer.Argument(help="Labelled rows {text, label}, slots marked: JSONL or CSV.")],
    models: Annotated[Path, typer.Option("--models", help="The models folder.")] = Path("models"),
    suite: Annotated[
        bool, typer.Option("--suite", help="Try the safety suite on DATA's rows: character attacks, encodings …")
    ] = False,
    suite_rows: Annotated[
        int, typer.Option("--suite-rows", min=1, help="Rows of either sort that the suite draws.")
    ] = 100,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with pictures here, and the JSON beside it.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Write the JSON here.")] = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option("--fail-under", metavar="NAME=x", help="Exit code 3 where a figure is lower; repeatable."),
    ] = None,
    fail_over: Annotated[
        list[str] | None,
        typer.Option("--fail-over", metavar="NAME=x", help="Exit code 3 where a figure is higher; repeatable."),
    ] = None,
    json: Json = False,
) -> None:
    """Measure a trained classifier on labelled texts."""
    from classifiers import Runtime
    from classifiers.report.evaluation import page
    from classifiers.training import kept
    from classifiers.training.data import read_rows
    from classifiers.training.examine import examine
    from classifiers.training.named import named, names
    from classifiers.training.rows import encodable

    limits = bounds.parse(fail_under or (), fail_over or ())
    target = output or (html and html.name and html.with_suffix(".json")) or None
    beside = "--output" if output else "the JSON beside it"
    writes = {"--html": html, beside: target}
    targets.check({flag: path for flag, path in writes.items() if path}, data)
    runtime = Runtime.load(models, [name])
    classifier = runtime.classifiers[name]
    bounds.check(limits, names(classifier.model.policy, suite=suite))
    rows = read_rows(classifier.model.policy, data, unread=True)
    with bars() as advance:
        found = examine(
            runtime,
            name,
            rows,
            trained_on=kept.load(models, name, classifier.version),
            nearest_rows=bool(target or json),
            suite_rows=suite_rows if suite else 0,
            advance=advance,
        )
    if html:
        html.write_text(page(found, [encodable(str(path)) for path in data]), encoding="utf-8")
    if target:
        target.write_text(to_json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if json:
        print_json(found)
    else:
        for line in _lines(found):
            stdout().print(line, soft_wrap=True)
    missed = list(bounds.failures(limits, named(found)))
    for line in missed:
        stderr().print(line, style="red", soft_wrap=True)
    if missed:
        raise typer.Exit(Exit.GOAL_MISSED)


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    from classifiers.report.figures import counted, wrong
    from classifiers.suite.table import plain

    yield f"{counted(found['rows'], 'row')}: accuracy {within(found['accuracy'], found['interval'], '95 %: ')}"
    yield from _cautions(found)
    if "answered" in found:
        yield f"answered {surely(found, 'answered')}, of which {surely(found, 'error')} {wrong(found)}"
    else:
        flagged, ranking, doubted = found["flagged"], found["any"], found["doubted"]
        yield f"flagged: {surely(flagged, 'harmful')} of the harmful, {surely(flagged, 'harmless')} of the harmless"
        yield f"in doubt: {surely(doubted, 'harmful')} of the harmful, {surely(doubted, 'harmless')} of the harmless"
        yield f"recall at 1 % false alarms {surely(ranking, 'recall_at_1pct_false_alarms')}"
    if found["ece"] is not None:
        yield f"calibration error (ECE) {found['ece']:.3f}"
    if found["latency"]:
        yield f"latency: median {found['latency']['p50_ms']:.1f} ms, mean {found['latency']['mean_ms']:.1f} ms"
    for label, values in found["labels"].items():
        yield f"  {label}: {_shares(values)}"
    if "slots" in found:
        yield from _slots(found["slots"])
    for error in found["errors"][:10]:
        sure = f"{error['confidence']:.2f}{' (unsure)' if error.get('doubt') else ''}"
        yield f"  wrong: {error['truth']}, said {error['said']} at {sure}: {quoted(error['text'])}"
    if "suite" in found:
        yield from plain(found["suite"])


def _shares(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {percent(values[key])}" for key in ("precision", "recall", "f1"))


def _slots(found: Mapping[str, Any]) -> Iterator[str]:
    from classifiers.report.figures import counted

    if not found["rows"]:
        yield "no row that counts is of a file that marks slots, so slots are not measured"
        return
    yield f"slots on {counted(found['rows'], 'text')}: {_shares(found)}"
    asked = "label and all slots" if found["with_label"] else "all slots"
    yield f"{asked} right in {percent(found['whole'])} of texts (95 %: {between(found['whole_interval'])})"
    yield from (f"  slot {name}: {_shares(values)}" for name, values in found["slots"].items())
    for error in found["errors"][:10]:
        marked, filled = (
            ", ".join(f"{one['slot']} '{quoted(one['raw'])}'" for one in error[side]) or "nothing"
            for side in ("marked", "found")
        )
        yield f"  slots wrong: marked {marked}, found {filled}: {quoted(error['text'])}"


def _cautions(found: Mapping[str, Any]) -> Iterator[str]:
    from classifiers.report import cautions

    seen = found["trained_on"]
    if seen is None:
        yield "the rows it was trained on are not kept here, so leaks were not looked for"
    elif seen["rows"]:
        yield f"{cautions.seen(seen['rows'])} ({percent(seen['accuracy'])} right):"
        yield from (f"  trained on: {quoted(text)}" for text in seen["texts"][:10])
    if found["repeated"]:
        yield cautions.repeats(found["repeated"])
