"""`offramp explain`: what the gateway would do with a request."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Table

from classifiers.policy import OTHER
from classifiers.report.markup import counted
from gateway.cli.classify import slot_value
from gateway.cli.inputs import argument
from gateway.cli.output import Exit, Json, fail, fields, quoted, result, table

if TYPE_CHECKING:
    from classifiers.model.model import Model
    from classifiers.verdict import Reading, Verdict
    from gateway.config.load import Loaded
    from gateway.plan import CallState
    from gateway.rules.rule import Rule

_MOST: Final = 8  # labels that are shown
_OF_A_ROW: Final = ("rule", "label", "confidence", "classifier", "flags", "abstentions", "judged", "status", "error")


def explain(
    text: Annotated[
        str | None, typer.Argument(help="A user's message, or a whole request's JSON.", callback=argument)
    ] = None,
    config: Annotated[Path, typer.Option("--gateway", help="The gateway's file.")] = Path("config/gateway.yaml"),
    model: Annotated[
        str | None, typer.Option(help="The model asked for; by default the first open to clients.", callback=argument)
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="The system prompt that the message is under.", callback=argument)
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Explain the latest request of the ledger instead.")] = False,
    json: Json = False,
) -> None:
    """Which rule reads what of a request, what its classifier says, and what is decided. Nothing is sent."""
    from gateway.config.load import load_gateway

    whole = text is None or text.lstrip().startswith("{")
    if last is not (text is None) or (whole and (system or model)):
        raise fail("takes a message with --model and --system, or a whole request's JSON, or --last", Exit.USAGE)
    loaded = load_gateway(config, os.environ, secrets=False)
    value: dict[str, Any] = {}
    shown: Iterator[str | Table] = iter(())
    if text is None:
        row, text = _latest(loaded)
        value, shown = {"latest": row}, _latest_lines(row, loaded, kept=text is not None)
    if text is not None:
        explained, lines = _explained(loaded, text if whole else _body(loaded, text, model, system))
        value, shown = value | explained, chain(shown, lines)
    result(value, shown, as_json=json)


def _body(loaded: "Loaded", text: str, model: str | None, system: str | None) -> str:
    """A request's JSON with the message."""
    from gateway.protocols.json import encode
    from gateway.routes import Routes

    asked = model or next(iter(Routes(loaded.settings.models).public), "any")
    messages = [{"role": "system", "content": system}] if system else []
    return encode({"model": asked, "messages": [*messages, {"role": "user", "content": text}]}).decode()


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
    at = datetime.fromtimestamp(row["at"], UTC).isoformat(timespec="seconds")
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


def _explained(loaded: "Loaded", body: str) -> tuple[dict[str, Any], Iterator[str | Table]]:
    """What the gateway makes of a request's JSON: as data, and as lines for people."""
    from gateway.cli.dry_run import dry_run
    from gateway.errors import ApiError
    from gateway.protocols.served import wire_of
    from gateway.routes import Routes
    from gateway.serving.snapshot import build_snapshot, load_runtime

    routes = Routes(loaded.settings.models)
    try:
        # before the classifiers are loaded, which takes a while
        routes.for_client(wire_of(body.encode()).parse(body.encode()).model)
        runtime = load_runtime(loaded)
        if runtime is None:
            raise fail(f"{loaded.file} has no rules; every request is forwarded", Exit.USAGE)

        async def classify(readings: "Sequence[Reading]", *_: object) -> "list[Verdict]":
            return runtime.classify(readings)

        call, contracts = dry_run(loaded.ledger, routes, build_snapshot(loaded, runtime), classify, body.encode())
    except ApiError as error:
        raise fail(error.message, Exit.USAGE) from error
    rules = [
        {
            **_rule(rule, verdict, reading, runtime.classifiers[verdict.classifier].model),
            "fields": {name: _field(verdict.further[each.classifier]) for name, each in rule.further.items()},
        }
        for (rule, verdict), reading in zip(call.pairs, call.readings, strict=True)
    ]
    decision = _decision(call) | {"contracts": dict(contracts)}
    lines = (line for rule in rules for line in _rule_lines(rule))
    return {**decision, "rules": rules}, chain(lines, _decision_lines(decision))


def _field(verdict: "Verdict") -> dict[str, Any]:
    """What one of several classifiers says."""
    return {
        "classifier": f"{verdict.classifier}@{verdict.version}",
        "labels": list(verdict.labels),
        "confidence": round(verdict.confidence, 4),
        "scores": {label: round(score, 4) for label, score in verdict.scores.items()},
        "abstained": verdict.abstention.value if verdict.abstention else None,
        "reason": verdict.reason,
    }


def _rule(rule: "Rule", verdict: "Verdict", reading: "Reading", model: "Model") -> dict[str, Any]:
    """What one rule reads, its classifier's verdict, and what it does about each of its abstentions."""
    abstained = [kind.value for kind in verdict.abstentions]
    base = _field(verdict)
    if verdict.stage and not model.policy.multi_label and model.last.head.classes[-1] == OTHER:
        base["scores"] |= {OTHER: round(max(1 - sum(verdict.scores.values()), 0.0), 4)}
    return {
        "rule": rule.name,
        "reads": list(reading.texts),
        **base,
        "thresholds": _thresholds(model, verdict),
        "novelty": round(verdict.novelty, 4),
        "when": {kind: rule.otherwise[kind].act.name.lower() for kind in abstained},
        "stage": verdict.stage,
        "stages": [stage.name for stage in model.stages],
        "slots": [fields(slot, "slot", "raw", "value", "currency") for slot in verdict.slots],
        "missing": list(verdict.missing),
        "windows": [verdict.windows_read, verdict.windows_unread],
        "spans": [fields(span, "label", "kind", "text", "start", "end") for span in verdict.spans],
        "parts": [_field(part) for part in verdict.parts],
    }


def _decision(call: "CallState") -> dict[str, Any]:
    """What is decided. What is forwarded after a redaction that fails is the decision to block it."""
    from gateway.redaction import apply
    from gateway.redaction.placeholders import Placeholders
    from gateway.requests.system import fingerprint
    from gateway.rules.rule import Act

    decision, forwards = call.decision, None
    asks = decision.step.rule.asks if decision.step and decision.act is Act.ASK else None
    if decision.redactions:
        sent, decision, _ = apply.of_request(call.request, decision, Placeholders())
        if decision.redactions:
            forwards = [text for turn in sent.turns for text in turn.texts]
    step = decision.step
    made = call.labels.answers.get(step.rule.name) if step else None
    return {
        "model": call.request.model,
        "template": fingerprint(call.request.system_text) if call.request.system_text.strip() else None,
        "left_out": call.left_out,
        "rules_not_met": {rule.name: _why_unread(rule, call) for rule in call.snapshot.rules if rule not in call.rules},
        "decision": decision.act.name.lower(),
        "by_rule": step.rule.name if step else None,
        "label": step.label if step else None,
        "to": step.action.model if step and step.action else None,
        "asks": asks.model if asks else None,
        "answer": made.content if made else None,
        "unsupported": {name: f"{why.reason}: {why.detail}" for name, why in call.labels.unsupported.items()},
        "flags": [f"{flag.rule.name}:{flag.label}" for flag in decision.flags],
        "forwards": forwards,
    }


def _why_unread(rule: "Rule", call: "CallState") -> str:
    """Why a rule reads nothing of a request: the setting, and what does not fit it."""
    from gateway.rules.rule import mismatch

    part, why = mismatch(rule, call.request)
    if part:
        return f"when.{part}: {why}"
    return "reads: no text has its after, before or regex" if rule.roles else "reads.output: it reads answers alone"


def _thresholds(model: "Model", verdict: "Verdict") -> dict[str, list[float]]:
    """Of the labels that the stage judges, for a text such as this one: acts from, unsure from; what is never reached
    stands as 1. None where all labels are told by patterns."""
    limits = verdict.thresholds or (model.last.thresholds if model.stages else {})
    return {
        label: [round(min(score, 1.0), 4) for score in (limit.act, limit.unsure)] for label, limit in limits.items()
    }


def _rule_lines(rule: Mapping[str, Any]) -> Iterator[str | Table]:
    read = " ⏎ ".join(map(quoted, rule["reads"])) or "(nothing)"
    names = ", ".join(part["classifier"] for part in reversed(rule["parts"])) or rule["classifier"]
    yield f"\nrule {rule['rule']} ({names}) reads: {read[:400]}"
    top = sorted(rule["scores"].items(), key=lambda item: -item[1])[:_MOST]
    yield table(
        "",
        ("label", "score", "acts from", "unsure from"),
        ((label, f"{score:.3f}", *map(str, rule["thresholds"].get(label, ("", "")))) for label, score in top),
    )
    if more := len(rule["scores"]) - len(top):
        yield f"and {counted(more, 'more label')}"
    if rule["stage"] and len(rule["stages"]) > 1:
        yield f"settled by its stage {rule['stage']} of {', '.join(rule['stages'])}"
    for span in rule["spans"]:
        place = f"characters {span['start']} to {span['end']} of text {span['text'] + 1}"
        yield f"found: {span['kind']} at {place}, which is {span['label']}"
    for slot in rule["slots"]:
        yield f"fills in {slot['slot']}: {slot['raw']!r} ({slot_value(slot)})"
    for part in reversed(rule["parts"]):
        yield f"{part['classifier']} {_says(part)}"
    yield _says(rule)
    for name, source in rule["fields"].items():
        yield f"field {name} ({source['classifier']}) {_says(source)}"


def _says(verdict: Mapping[str, Any]) -> str:
    if verdict["abstained"]:
        done = "".join(f"; when_{kind}: {act}" for kind, act in verdict.get("when", {}).items())
        return f"abstains: {verdict['abstained']} ({verdict['reason']}){done}"
    return f"says: {', '.join(verdict['labels']) or 'none of its labels'} ({verdict['confidence']:.1%})"


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
    yield from (f"flagged: {flag}" for flag in decision["flags"])
