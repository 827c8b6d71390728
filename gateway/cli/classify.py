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
    models: Annotated[Path, typer.Option("--models", help="The models folder.")] = Path("models"),
    system: Annotated[
        str, typer.Option("--system", help="The system prompt that the texts were written under.", callback=argument)
    ] = "",
    nearest: Annotated[
        int, typer.Option("--nearest", min=0, help="Show so many of the sentences it was trained on that are nearest.")
    ] = 0,
    json: Json = False,
) -> None:
    """Ask one classifier for its verdicts."""
    from classifiers import Reading, Runtime
    from gateway.http.classify import result_of

    runtime = Runtime.load(models, [name])
    chosen = texts or given()
    near = _nearest(runtime, name, [(text, system) for text in chosen], models, nearest) if nearest else None
    verdicts = _verdicts(runtime, [Reading(classifier=name, texts=(text,), system=system) for text in chosen])
    if json:
        told = [{"text": text, **_fields(result_of(verdict))} for text, verdict in zip(chosen, verdicts, strict=True)]
        print_json([{**one, "nearest": rows} for one, rows in zip(told, near, strict=True)] if near else told)
        return
    for text, verdict, rows in zip(chosen, verdicts, near or [[]] * len(chosen), strict=True):
        what = ", ".join(verdict.labels) or "-"
        if verdict.abstention:
            what += f" ({verdict.abstention.value}: {verdict.reason})"
        what += "".join(f" [{one.kind} {one.start}-{one.end}]" for one in verdict.spans)
        stdout().print(f"{verdict.confidence:6.1%}  {what:32}  {quoted(text)}", soft_wrap=True)
        for slot in verdict.slots:
            place = f"{slot.slot} {slot.start}-{slot.end}"
            stdout().print(f"        {place}: {slot.raw!r} {said(slot)}", soft_wrap=True)
        for row in rows:
            of = ", ".join(row["labels"]) or "none"
            stdout().print(f"        near {row['cosine']:.2f}  {of}: {quoted(row['text'])}", soft_wrap=True)


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


def said(slot: "SlotValue") -> str:
    """What a slot's words come to."""
    if slot.value is None:
        return "(no value)"
    return f"= {quoted(str(slot.value))}" + (f" {slot.currency}" if slot.currency else "")


def _fields(result: Any) -> dict[str, Any]:
    import msgspec

    return dict(msgspec.to_builtins(result))
