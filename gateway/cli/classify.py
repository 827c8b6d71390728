"""`offramp classify`."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.inputs import argument, given
from gateway.cli.output import Exit, Json, fail, print_json, progress_bar, quoted, result

if TYPE_CHECKING:
    from classifiers import Runtime

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
    from classifiers import Runtime

    runtime = Runtime.load(models, [name])
    chosen = texts or given()
    near = _nearest(runtime, name, [(text, system) for text in chosen], models, nearest) if nearest else []
    rows = _verdicts(runtime, name, chosen, system, near)
    if json:
        print_json(list(rows))
    else:
        result(None, (line for row in rows for line in _lines(row)), as_json=False)


def _verdicts(
    runtime: "Runtime", name: str, texts: Sequence[str], system: str, near: Sequence[list[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """near: the nearest rows of each text, or none at all."""
    from msgspec import to_builtins

    from classifiers import Reading
    from gateway.http.classify import result_of

    for start in range(0, len(texts), _AT_ONCE):
        part = texts[start : start + _AT_ONCE]
        readings = [Reading(classifier=name, texts=(text,), system=system) for text in part]
        for index, verdict in enumerate(runtime.classify(readings), start):
            nearest = {"nearest": near[index]} if near else {}
            yield {"text": texts[index], **to_builtins(result_of(verdict)), **nearest}


def _lines(row: Mapping[str, Any]) -> Iterator[str]:
    what = ", ".join(row["labels"]) or "-"
    what += f" ({row['abstained']}: {row['reason']})" if row["abstained"] else ""
    what += "".join(f" [{span['kind']} {span['start']}-{span['end']}]" for span in row["spans"])
    yield f"{row['confidence']:6.1%}  {what:32}  {quoted(row['text'])}"
    for slot in row["slots"]:
        yield f"        {slot['slot']} {slot['start']}-{slot['end']}: {slot['raw']!r} = {slot_value(slot)}"
    for other in row.get("nearest", ()):
        names = ", ".join(other["labels"]) or "none"
        yield f"        near {other['cosine']:.2f}  {names}: {quoted(other['text'])}"


def slot_value(slot: Mapping[str, Any]) -> str:
    """The value of a slot's words."""
    return "no value" if slot["value"] is None else quoted(f"{slot['value']} {slot['currency'] or ''}".strip())


def _nearest(
    runtime: "Runtime", name: str, asked: list[tuple[str, str]], models: Path, count: int
) -> list[list[dict[str, Any]]]:
    from classifiers.training import data
    from classifiers.training.neighbours import nearest_of

    classifier = runtime.classifiers[name]
    if not classifier.model.stages:
        raise fail(f"{name} goes by patterns and learned from no sentences; leave --nearest out", Exit.USAGE)
    rows = data.load(models, name, classifier.version)
    if rows is None:
        path = data.file_of(models, name, classifier.version)
        raise fail(f"{path} is not there, so what {name} was trained on is not known; train it here", Exit.USAGE)
    with progress_bar() as advance:
        return nearest_of(runtime, name, asked, rows, count=count, advance=partial(advance, "training rows"))
