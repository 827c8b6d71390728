"""`offramp explain`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.inputs import argument
from gateway.cli.output import Exit, Json, fail, print_json, quoted, stdout

if TYPE_CHECKING:
    from classifiers.model.model import Model
    from classifiers.verdict import Verdict


def explain(
    text: Annotated[str, typer.Argument(help="A user's message, or a whole request's JSON.", callback=argument)],
    config: Annotated[Path, typer.Option("--gateway", help="The gateway's file.")] = Path("config/gateway.yaml"),
    model: Annotated[
        str | None, typer.Option(help="The model asked for; by default the first open to clients.", callback=argument)
    ] = None,
    json: Json = False,
) -> None:
    """Which rule reads what of a request, what its classifier says, and what is decided. Nothing is sent."""
    from gateway.cli.standing import standing
    from gateway.config.load import load_gateway
    from gateway.errors import ApiError
    from gateway.pipeline import met
    from gateway.protocols import chat
    from gateway.redaction import apply
    from gateway.redaction.placeholders import Placeholders
    from gateway.requests.parse import parse_chat
    from gateway.rules.compile import compile_rules
    from gateway.rules.decide import decide
    from gateway.rules.rule import Act
    from gateway.serving.snapshot import load_runtime
    from gateway.upstreams.base import Routes

    loaded = load_gateway(config, os.environ, secrets=False)
    routes = Routes(loaded.settings.models)
    if not text.lstrip().startswith("{"):
        asked = model or next(iter(routes.public), "any")
        text = chat.encode({"model": asked, "messages": [{"role": "user", "content": text}]}).decode()
    try:
        request = parse_chat(text.encode())
        routes.for_client(request.model)
    except ApiError as error:
        raise fail(error.message, Exit.USAGE) from error
    runtime = load_runtime(loaded)
    if runtime is None:
        raise fail(f"{config} has no rules; every request is forwarded", Exit.USAGE)
    policies = {name: classifier.model.policy for name, classifier in runtime.classifiers.items()}
    told = {name: classifier.judge for name, classifier in runtime.classifiers.items()}
    rules = compile_rules(loaded.settings.rules, policies, loaded.replies, told)
    reading_rules, readings = met(rules, request)
    pairs = list(zip(reading_rules, runtime.classify(readings), strict=True))
    stands = standing(loaded.ledger, routes, request, pairs)
    labels = stands.labels
    decision = decide(stands.pairs, {*labels.unsupported, *stands.held})
    asks = decision.step.rule.asks if decision.step and decision.act is Act.ASK else None
    forwards: list[str] = []
    if decision.redactions:
        forwarded, decision, _ = apply.of_request(request, decision, Placeholders())
        forwards = [text for turn in forwarded.turns for text in turn.texts]
    result: dict[str, Any] = {
        "model": request.model,
        "rules_not_met": [rule.name for rule in rules if rule not in reading_rules],
        "rules": [
            {
                "rule": rule.name,
                "classifier": f"{verdict.classifier}@{verdict.version}",
                "reads": list(reading.texts),
                "labels": list(verdict.labels),
                "confidence": round(verdict.confidence, 4),
                "scores": {label: round(score, 4) for label, score in verdict.scores.items()},
                "thresholds": _thresholds(runtime.classifiers[rule.classifier].model, verdict),
                "novelty": round(verdict.novelty, 4),
                "abstained": verdict.abstention.value if verdict.abstention else None,
                "reason": verdict.reason,
                "stage": verdict.stage,
                "stages": [stage.name for stage in runtime.classifiers[rule.classifier].model.stages],
                "slots": [
                    {"slot": one.slot, "raw": one.raw, "value": one.value, "currency": one.currency}
                    for one in verdict.slots
                ],
                "missing": list(verdict.missing),
                "windows": [verdict.windows_read, verdict.windows_unread],
                "spans": [
                    {"label": one.label, "kind": one.kind, "text": one.text, "start": one.start, "end": one.end}
                    for one in verdict.spans
                ],
            }
            for (rule, verdict), reading in zip(pairs, readings, strict=True)
        ],
        "decision": decision.act.name.lower(),
        "by_rule": decision.step.rule.name if decision.step else None,
        "label": decision.step.label if decision.step else None,
        "to": decision.step.action.model if decision.step and decision.step.action else None,
        "asks": asks.model if asks else None,
        "answer": labels.answers[decision.step.rule.name].content
        if decision.step and decision.step.rule.name in labels.answers
        else None,
        "contracts": dict(stands.says),
        "unmet": {name: f"{one.reason}: {one.detail}" for name, one in labels.unsupported.items()},
        "flags": [f"{step.rule.name}:{step.label}" for step in decision.flags],
        "forwards": forwards if decision.redactions else None,
    }
    if json:
        print_json(result)
    else:
        _print(result)


def _thresholds(model: "Model", verdict: "Verdict") -> dict[str, list[float]]:
    """Of the labels that the stage judges, for a text such as this one: acts from, unsure from; what is never reached
    stands as 1. None where all labels are told by patterns."""
    found = verdict.thresholds or (model.last.thresholds if model.stages else {})
    return {label: [round(min(one, 1.0), 4) for one in (limit.act, limit.unsure)] for label, limit in found.items()}


def _found(rule: dict[str, Any]) -> list[str]:
    """A line for each place that a pattern found, and for each slot that is filled in."""
    lines = [
        f"found: {one['kind']} at characters {one['start']} to {one['end']} of text {one['text'] + 1}, "
        f"which is {one['label']}"
        for one in rule["spans"]
    ]
    for one in rule["slots"]:
        value = "no value" if one["value"] is None else quoted(f"{one['value']} {one['currency'] or ''}".strip())
        lines.append(f"fills in {one['slot']}: {one['raw']!r} ({value})")
    return lines


def _print(result: dict[str, Any]) -> None:
    from rich.table import Table

    console = stdout()
    for rule in result["rules"]:
        read = " ⏎ ".join(map(quoted, rule["reads"])) or "(nothing)"
        console.print(f"\nrule {rule['rule']} ({rule['classifier']}) reads: {read[:400]}", soft_wrap=True)
        table = Table("label", "score", "", "acts from", "unsure from")
        top = sorted(rule["scores"].items(), key=lambda item: -item[1])[:8]
        for label, score in top:
            act, unsure = rule["thresholds"].get(label, ("", ""))
            named = "●" if label in rule["labels"] else ""
            table.add_row(f"{label} {named}", f"{score:.3f}", "█" * round(score * 20), str(act), str(unsure))
        console.print(table)
        if rule["stage"] and len(rule["stages"]) > 1:
            console.print(f"settled by its stage {rule['stage']} of {', '.join(rule['stages'])}")
        for line in _found(rule):
            console.print(line)
        if rule["abstained"]:
            console.print(f"abstains: {rule['abstained']} ({rule['reason']})")
        else:
            console.print(f"says: {', '.join(rule['labels']) or 'none of its labels'} ({rule['confidence']:.1%})")
    _print_decision(result)


def _print_decision(result: dict[str, Any]) -> None:
    console = stdout()
    for name in result["rules_not_met"]:
        console.print(f"rule {name}: its `when` does not hold, or no text fits what it reads")
    by = f" by rule {result['by_rule']}" if result["by_rule"] else ""
    label = f" for {result['label']}" if result["label"] else ""
    to = f" to {result['to']}" if result["to"] else ""
    console.print(f"\ndecision: {result['decision']}{to}{by}{label}")
    if result["asks"]:
        console.print(f"asks {result['asks']}, whose verdict decides; here it is not asked")
    if result["answer"]:
        console.print(f"answer: {result['answer']}")
    for name, says in result["contracts"].items():
        console.print(f"contract of rule {name}: {says}", soft_wrap=True)
    for name, why in result["unmet"].items():
        console.print(f"rule {name} cannot answer in the caller's shape: {why.rstrip(': ')}", soft_wrap=True)
    if result["unmet"]:
        console.print("what these reasons mean: docs/api.md, What cannot be given")
    if result["forwards"]:
        console.print(f"forwards: {' ⏎ '.join(map(quoted, result['forwards']))}", soft_wrap=True)
    for flag in result["flags"]:
        console.print(f"flagged: {flag}")
