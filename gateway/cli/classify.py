"""`offramp classify`."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.inputs import argument, given
from gateway.cli.output import Exit, Json, bars, fail, print_json, quoted, stdout

if TYPE_CHECKING:
    from classifiers import Reading, Runtime, Verdict
    from classifiers.verdict import SlotValue

_AT_ONCE: Final = 256
"""Texts; what is computed of more is not held, and verdicts are printed as they come."""


def classify(
    name: Annotated[str, typer.Argument(help="The classifier.")],
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; without any, lines from stdin.", callback=argument)
    ] = None,
    models: Annotated[Path, typer.Option(help="The models folder.")] = Path("models"),
    system: Annotated[
        str, typer.Option(help="The system prompt that the texts were written under.", callback=argument)
    ] = "",
    nearest: Annotated[
        int, typer.Option(min=0, help="Show so many of the sentences it was trained on that are nearest.")
    ] = 0,
    json: Json = False,
) -> None:
    """Ask one classifier for its verdicts."""
    from msgspec import to_builtins

    from classifiers import Reading, Runtime
    from gateway.http.classify import result_of

    runtime = Runtime.load(models, [name])
    chosen = texts or given()
    near = _nearest(runtime, name, [(text, system) for text in chosen], models, nearest) if nearest else None
    verdicts = _verdicts(runtime, [Reading(classifier=name, texts=(text,), system=system) for text in chosen])
    if json:
        nearest_of = [{"nearest": rows} for rows in near] if near else [{}] * len(chosen)
        pairs = zip(chosen, verdicts, nearest_of, strict=True)
        print_json([{"text": text, **to_builtins(result_of(verdict)), **rows} for text, verdict, rows in pairs])
        return
    for text, verdict, rows in zip(chosen, verdicts, near or [[]] * len(chosen), strict=True):
        what = ", ".join(verdict.labels) or "-"
        if verdict.abstention:
            what += f" ({verdict.abstention.value}: {verdict.reason})"
        what += "".join(f" [{span.kind} {span.start}-{span.end}]" for span in verdict.spans)
        stdout().print(f"{verdict.confidence:6.1%}  {what:32}  {quoted(text)}", soft_wrap=True)
        for slot in verdict.slots:
            place = f"{slot.slot} {slot.start}-{slot.end}"
            stdout().print(f"        {place}: {slot.raw!r} {slot_value(slot)}", soft_wrap=True)
        for row in rows:
            names = ", ".join(row["labels"]) or "none"
            stdout().print(f"        near {row['cosine']:.2f}  {names}: {quoted(row['text'])}", soft_wrap=True)


def _verdicts(runtime: "Runtime", readings: "Sequence[Reading]") -> "Iterator[Verdict]":
    for start in range(0, len(readings), _AT_ONCE):
        yield from runtime.classify(readings[start : start + _AT_ONCE])


def _nearest(
    runtime: "Runtime", name: str, asked: list[tuple[str, str]], models: Path, count: int
) -> list[list[dict[str, Any]]]:
    from classifiers.training import data
    from classifiers.training.examine import nearest_of

    classifier = runtime.classifiers[name]
    if not classifier.model.stages:
        raise fail(f"{name} goes by patterns and learned from no sentences; leave --nearest out", Exit.USAGE)
    rows = data.load(models, name, classifier.version)
    if rows is None:
        path = data.file_of(models, name, classifier.version)
        raise fail(f"{path} is not there, so what {name} was trained on is not known; train it here", Exit.USAGE)
    with bars() as advance:
        return nearest_of(runtime, name, asked, rows, count=count, advance=partial(advance, "training rows"))


def slot_value(slot: "SlotValue") -> str:
    """The value of a slot's words."""
    if slot.value is None:
        return "(no value)"
    return f"= {quoted(str(slot.value))}" + (f" {slot.currency}" if slot.currency else "")
