"""`offramp classify`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Json, print_json, quoted, stdout
from gateway.cli.texts import argument, lines

if TYPE_CHECKING:
    from classifiers.verdict import SlotValue


def classify(
    name: Annotated[str, typer.Argument(help="The classifier.")],
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts; without any, lines from stdin.", callback=argument)
    ] = None,
    models: Annotated[Path, typer.Option("--models", help="The models folder.")] = Path("models"),
    system: Annotated[
        str, typer.Option("--system", help="The system prompt that the texts were written under.", callback=argument)
    ] = "",
    json: Json = False,
) -> None:
    """Ask one classifier for its verdicts."""
    from classifiers import Reading, Runtime
    from gateway.endpoints.classify import result_of

    runtime = Runtime.load(models, [name])
    chosen = texts or lines(sys.stdin.buffer)
    verdicts = runtime.classify([Reading(classifier=name, texts=(text,), system=system) for text in chosen])
    if json:
        print_json(
            [{"text": text, **_fields(result_of(verdict))} for text, verdict in zip(chosen, verdicts, strict=True)]
        )
        return
    for text, verdict in zip(chosen, verdicts, strict=True):
        what = ", ".join(verdict.labels) or "-"
        if verdict.abstention:
            what += f" ({verdict.abstention.value}: {verdict.reason})"
        what += "".join(f" [{one.kind} {one.start}-{one.end}]" for one in verdict.spans)
        stdout().print(f"{verdict.confidence:6.1%}  {what:32}  {quoted(text)}", soft_wrap=True)
        for slot in verdict.slots:
            place = f"{slot.slot} {slot.start}-{slot.end}"
            stdout().print(f"        {place}: {slot.raw!r} {said(slot)}", soft_wrap=True)


def said(slot: "SlotValue") -> str:
    """What a slot's words come to."""
    if slot.value is None:
        return "(no value)"
    return f"= {slot.value}" + (f" {slot.currency}" if slot.currency else "")


def _fields(result: Any) -> dict[str, Any]:
    import msgspec

    return dict(msgspec.to_builtins(result))
