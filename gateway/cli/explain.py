"""`offramp explain`: what the gateway would do with a request."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from classifiers.report.markup import counted, moment
from gateway.cli.classify import slot_value
from gateway.cli.inputs import GATEWAY, argument, gateway
from gateway.cli.output import Exit, Json, fail, fields, quoted, result, table

if TYPE_CHECKING:
    from gateway.config.load import Loaded
    from gateway.explain import ExplainedRule, ExplainedVerdict, Explainer

_MOST: Final = 8  # labels that are shown
_OF_A_ROW: Final = ("rule", "label", "confidence", "classifier", "flags", "abstentions", "judged", "status", "error")


def explain(
    text: Annotated[
        str | None, typer.Argument(help="A user's message, or a whole request's JSON.", callback=argument)
    ] = None,
    config: Annotated[Path, typer.Option("--gateway", help="The gateway's file.")] = GATEWAY,
    model: Annotated[
        str | None, typer.Option(help="The model asked for; by default the first open to clients.", callback=argument)
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="The system prompt that the message is under.", callback=argument)
    ] = None,
    path: Annotated[
        str, typer.Option(help="The path of a whole request, such as /v1/messages, where its JSON does not tell.")
    ] = "",
    last: Annotated[bool, typer.Option("--last", help="Explain the latest request of the ledger instead.")] = False,
    json: Json = False,
) -> None:
    """Which rule reads what of a request, what its classifier says, and what is decided. Nothing is sent."""
    from gateway.explain import Explainer

    whole = text is None or text.lstrip().startswith("{")
    if last is not (text is None) or (whole and (system or model)) or (path and not whole):
        raise fail("takes a message with --model and --system, or a whole request's JSON, or --last", Exit.USAGE)
    loaded = gateway(config)
    value: dict[str, Any] = {}
    shown: Iterator[str | Table] = iter(())
    if text is None:
        row, text = _latest(loaded)
        value, shown = {"latest": row}, _latest_lines(row, loaded, kept=text is not None)
    if text is not None:
        explainer = Explainer.load(loaded)
        body = text.encode() if whole else explainer.written(text, system=system or "", model=model or "")
        explained, lines = _explained(explainer, body, path)
        value, shown = value | explained, chain(shown, lines)
    result(value, shown, as_json=json)


def _latest(loaded: "Loaded") -> tuple[Mapping[str, Any], str | None]:
    """The ledger's row of the latest request, and its JSON where that is kept."""
    from gateway.ledger.call_store import CallStore
    from gateway.ledger.store import SQLiteLedger

    with closing(SQLiteLedger(loaded.ledger, read_only=True)) as ledger:
        row = ledger.latest()
    if row is None:
        raise fail(f"{loaded.ledger} holds no request yet", Exit.ENVIRONMENT)
    with closing(CallStore(loaded.ledger, read_only=True)) as store:
        kept = [call.request for call in store.calls(row["at"]) if call.request_id == row["request_id"]]
    return row, kept[0].decode() if kept else None


def _latest_lines(row: Mapping[str, Any], loaded: "Loaded", *, kept: bool) -> Iterator[str]:
    """What the ledger says of a request; of one that is not kept also why, and which setting keeps such calls."""
    at = moment(row["at"])
    yield f"request {row['request_id']} of {at}, model {quoted(row['requested_model'])}: {row['decision']}"
    if kept:
        yield "its text is kept; what the rules make of it now:"
        return
    yield from (f"{name}: {row[name]}" for name in _OF_A_ROW if row[name] not in (None, ""))
    if row["decision"] != "forward":
        why = "only forwarded calls are kept whole; content.blocked keeps blocked texts, for `offramp blocked`"
    elif not loaded.settings.content.calls:
        why = f"content: {{keep: 30d, calls: true}} in {loaded.file} keeps forwarded calls"
    else:
        why = "the call failed, was sent to another model, or is over 64 KiB"
    yield f"its text, and with it all scores, is not kept: {why}; or give the request's JSON to explain"


def _explained(explainer: "Explainer", body: bytes, path: str) -> tuple[dict[str, Any], Iterator[str | Table]]:
    """What the gateway makes of a request: as data, and as lines for people."""
    import asyncio

    from msgspec import to_builtins

    from gateway.errors import ApiError

    try:
        explanation = asyncio.run(explainer.explain(body, path))
    except ApiError as error:
        raise fail(error.message, Exit.USAGE) from error
    if not explanation.rules:
        raise fail(f"{explainer.loaded.file} has no rules; every request is forwarded", Exit.USAGE)
    value = to_builtins(explanation)
    value["rules"] = [_rule(rule) for rule in explanation.rules if rule.verdict]
    value["rules_not_met"] = {rule.rule: rule.why_not for rule in explanation.rules if not rule.verdict}
    value["contracts"] = {rule.rule: str(rule.contract) for rule in explanation.rules if rule.contract}
    lines = (line for rule in explanation.rules if rule.verdict for line in _rule_lines(rule))
    return value, chain(lines, _decision_lines(value))


def _rule(rule: "ExplainedRule") -> dict[str, Any]:
    """A rule and its verdict, as JSON has them."""
    from msgspec import to_builtins

    value = to_builtins(rule)
    del value["why_not"], value["contract"]
    does = {"does": value.pop("does"), "for": value.pop("label"), "asked": value.pop("asked")}
    slots = [fields(slot, "slot", "raw", "value", "currency") for slot in rule.slots]
    return {**value.pop("verdict"), **value, "slots": slots, **does}


def _rule_lines(rule: "ExplainedRule") -> Iterator[str | Table]:
    assert rule.verdict is not None
    read = " ⏎ ".join(map(quoted, rule.reads)) or "(nothing)"
    names = ", ".join(part.classifier for part in reversed(rule.parts)) or rule.verdict.classifier
    yield f"\nrule {rule.rule} ({names}) reads: {read[:400]}"
    yield table(
        "",
        ("label", "score", "acts from", "unsure from"),
        ((label, f"{score:.3f}", *map(str, limits or ("", ""))) for label, score, limits in rule.ranked[:_MOST]),
    )
    if (more := len(rule.ranked) - _MOST) > 0:
        yield f"and {counted(more, 'more label')}"
    if rule.stage and len(rule.stages) > 1:
        yield f"settled by its stage {rule.stage} of {', '.join(rule.stages)}"
    for span in rule.spans:
        place = f"characters {span.start} to {span.end} of text {span.text + 1}"
        yield f"found: {span.kind} at {place}, which is {span.label}"
    for slot in rule.slots:
        yield f"fills in {slot.slot}: {slot.raw!r} ({slot_value(fields(slot, 'value', 'currency'))})"
    for near in rule.nearest:
        yield f"near {near.similarity:.2f}  {', '.join(near.labels) or 'none'}: {quoted(near.text)}"
    for part in reversed(rule.parts):
        yield f"{part.classifier} {_says(part)}"
    yield _says(rule.verdict, rule.when)
    for name, source in rule.fields.items():
        yield f"field {name} ({source.classifier}) {_says(source)}"


def _says(verdict: "ExplainedVerdict", when: Mapping[str, str] = MappingProxyType({})) -> str:
    """when: what the rule does about each of its abstentions."""
    if verdict.abstained:
        done = "".join(f"; when_{kind}: {act}" for kind, act in when.items())
        return f"abstains: {verdict.abstained} ({verdict.reason}){done}"
    return f"says: {', '.join(verdict.labels) or 'none of its labels'} ({verdict.confidence:.1%})"


def _decision_lines(decision: Mapping[str, Any]) -> Iterator[str]:
    if decision["template"]:
        yield f"\nsystem prompt: its template is {decision['template']}"
    if decision["left_out"]:
        yield f"left out: {decision['left_out']} messages of exchanges that were blocked"
    yield from (f"rule {name} does not read it: {why}" for name, why in decision["rules_not_met"].items())
    parts = {"to": decision["to"], "by rule": decision["by_rule"], "for": decision["label"]}
    yield f"\ndecision: {decision['decision']}" + "".join(f" {word} {what}" for word, what in parts.items() if what)
    if decision["asks"]:
        yield f"asks {decision['asks']}, whose verdict decides; here it is not asked"
    if decision["answer"]:
        yield f"answer: {decision['answer']}"
    for name, state in decision["contracts"].items():
        yield f"contract of rule {name}: {state}"
    for name, why in decision["unsupported"].items():
        yield f"rule {name} cannot answer in the caller's format: {why.rstrip(': ')}; see docs/api.md"
    if decision["forwards"]:
        yield f"forwards: {' ⏎ '.join(map(quoted, decision['forwards']))}"
    if sent := decision["sent"]:
        yield f"sent to: upstream {sent['upstream']}, as {quoted(sent['model'])}"
    yield from (f"flagged: {flag}" for flag in decision["flags"])
