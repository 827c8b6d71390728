"""`offramp explain` for what the gateway refuses, before any classifier is loaded; what else it shows."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from classifiers.model import artifact
from classifiers.model.model import Band, Model, Threshold
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from gateway.cli.output import Exit
from gateway.ledger.call_store import CallStore, KeptCall
from gateway.ledger.store import SQLiteLedger
from gateway.record import Record

JUDGE = "version: 1\nupstreams: {one: {kind: echo}}\nmodels: {judge: {upstream: one, internal: true}, "
NAMED = JUDGE + "dear: one, other: deny}\n"
ANY = JUDGE + "other: one}\n"

Explain = Callable[..., Any]


@pytest.fixture
def explain(tmp_path: Path, offramp: Callable[..., Any]) -> Explain:
    """explain(gateway file's text, *arguments)."""

    def run(text: str, *arguments: str) -> Any:
        (tmp_path / "gateway.yaml").write_text(text)
        return offramp("explain", "--gateway", tmp_path / "gateway.yaml", *arguments)

    return run


@pytest.mark.parametrize(("text", "arguments"), [(NAMED, []), (ANY, []), (ANY, ["--model", "nope"])])
def test_others_and_the_default_are_explained(explain: Explain, text: str, arguments: list[str]) -> None:
    assert "has no rules; every request is forwarded" in explain(text, *arguments, "hi").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (['{"model": "dear"}'], "messages"),
        (['{"model": "dear", "messages": ['], "truncated"),
        (["caf\udce9"], "not UTF-8"),
        (["hi", "--model", "caf\udce9"], "not UTF-8"),
        ([], "or --last"),
        (["hi", "--last"], "or --last"),
        (['{"model": "dear", "messages": []}', "--system", "Be brief."], "a whole request's JSON"),
    ],
)
def test_a_request_that_is_none_is_wrong_usage(explain: Explain, arguments: list[str], message: str) -> None:
    done = explain(NAMED, *arguments)
    assert done.exit_code == Exit.USAGE
    assert message in done.output


TWO = JUDGE + "dear: one, cheap: one, other: deny}\n"
WHEN = """rules:
  - {name: asked, classifier: bank, when: {model: dear, system: none}, then: {rate: forward}}
  - {name: own, classifier: bank, when: {system: Be brief.}, then: {rate: forward}}
  - {name: other-model, classifier: bank, when: {model: cheap}, then: {rate: forward}}
  - {name: after, classifier: bank, reads: {after: "Text: "}, then: {rate: forward}}
  - {name: output, classifier: bank, reads: {roles: [], output: true}, then: {rate: flag}}
"""


def test_why_a_rule_does_not_read_a_call_is_named(explain: Explain, publish: Callable[..., str]) -> None:
    publish(datetime.now(UTC))
    shown = json.loads(explain(TWO + WHEN, "rate", "--json").stdout)
    assert shown["rules_not_met"] == {
        "own": "when.system: the call has no system prompt",
        "other-model": "when.model: the call asks for dear",
        "after": "reads: no text has its after, before or regex",
        "output": "reads.output: it reads answers alone",
    }
    under = explain(TWO + WHEN, "rate", "--system", "Be brief.").output
    assert "rule asked does not read it: when.system: the call has a system prompt, and the rule is for " in under
    assert "rule own does not" not in under


def test_the_latest_request_is_explained_by_what_is_kept_of_it(
    explain: Explain, publish: Callable[..., str], tmp_path: Path
) -> None:
    publish(datetime.now(UTC))
    ask = {"model": "dear", "messages": [{"role": "user", "content": "what is the rate"}]}
    with closing(SQLiteLedger(tmp_path / "offramp.db")) as ledger, closing(CallStore(tmp_path / "offramp.db")) as calls:
        nothing = explain(TWO + WHEN, "--last")
        assert (nothing.exit_code, "holds no request yet" in nothing.output) == (Exit.ENVIRONMENT, True)
        rows: list[dict[str, Any]] = [
            {"at": 3.0, "request_id": "kept"},
            {"at": 4.0, "request_id": "judging", "decision": "judge"},
        ]
        ledger.append([Record(endpoint="chat", requested_model="dear", **row) for row in rows])
        body = json.dumps(ask).encode()
        calls.append(
            [KeptCall(request_id=name, at=3.0, model="dear", request=body, answer=b"") for name in ("x", "kept")]
        )
        shown = json.loads(explain(TWO + WHEN, "--last", "--json").stdout)
        assert (shown["latest"]["request_id"], shown["rules"][0]["reads"]) == ("kept", ["what is the rate"])
        assert "its text is kept" in explain(TWO + WHEN, "--last").output
        for decision, settings, why in (
            ("forward", "", "content: {keep: 30d, calls: true} in "),
            ("forward", "content: {keep: 30d, calls: true}\n", "or is over 64 KiB"),
            ("block", "", "content.blocked keeps blocked texts"),
        ):
            row = {"rule": "own", "confidence": 0.75, "decision": decision, "at": 5.0}
            ledger.append([Record(endpoint="chat", request_id=why, **row)])
            shown = explain(TWO + WHEN + settings, "--last").output
            assert "rule: own\nconfidence: 0.75" in shown
            assert why in shown.rpartition("is not kept: ")[2]


def publish_again(models_dir: Path, model: Model) -> None:
    registry = Registry(models_dir)
    with registry.staging(model.policy.name) as folder:
        artifact.save(model, folder, report={})
        registry.publish(model.policy.name, folder)


def test_thresholds_are_those_for_such_a_text(explain: Explain, models_dir: Path, publish: Callable[..., str]) -> None:
    publish(datetime.now(UTC))
    model = artifact.load(Registry(models_dir).resolve("bank")).model
    usual, short = ({label: Threshold(act=act, unsure=act) for label in model.policy.labels} for act in (0.25, 0.75))
    stage = replace(model.last, thresholds=usual, bands={Band(above=0, up_to=40): short})
    publish_again(models_dir, replace(model, stages=(stage,)))
    rules = f"models_dir: {models_dir}\nrules: [{{name: r, classifier: bank, then: {{rate: forward}}}}]\n"
    for text, act in (("rate", 0.75), ("what is the rate " * 5, 0.25)):
        (rule,) = json.loads(explain(NAMED + rules, text, "--json").stdout)["rules"]
        assert rule["thresholds"] == {label: [act, act] for label in usual}


def test_labels_that_are_not_shown_are_counted(
    explain: Explain, publish: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(datetime.now(UTC))
    rules = "rules: [{name: r, classifier: bank, then: {rate: forward}}]\n"
    assert " more" not in explain(NAMED + rules, "rate").output
    monkeypatch.setattr("gateway.cli.explain._MOST", 2)
    assert "\nand 1 more label\n" in explain(NAMED + rules, "rate").output


def test_forwarded_text_is_one_line_that_moves_no_cursor(explain: Explain, models_dir: Path) -> None:
    labels = {"contact": {"means": "gives an address", "patterns": "email"}}
    policy = {"version": 1, "name": "data", "kind": "safety", "about": "tests", "labels": labels}
    publish_again(models_dir, Model(policy=Policy.model_validate(policy), stages=()))
    rules = f"models_dir: {models_dir}\nrules: [{{name: r, classifier: data, then: {{contact: redact}}}}]\n"
    done = explain(NAMED + rules, "\x1b[2J joe@example.com\nhi")
    assert "forwards: \\x1b[2J [EMAIL_1]\\nhi\n" in done.output


def test_the_template_of_a_system_prompt_is_shown(explain: Explain, publish: Callable[..., str]) -> None:
    publish(datetime(2026, 11, 30, tzinfo=UTC))
    rules = "rules: [{name: r, classifier: bank, then: {card: flag}}]\n"
    prompts = ["Sort the ticket of 30 May.", "Sort the ticket of 1 June.", "Translate the ticket of 30 May."]
    bodies = [
        {"model": "dear", "messages": [{"role": "system", "content": prompt}, {"role": "user", "content": "hi"}]}
        for prompt in prompts
    ]
    first, again, other = (json.loads(explain(NAMED + rules, json.dumps(body), "--json").stdout) for body in bodies)
    assert first["template"] == again["template"] != other["template"]
    assert first["template"] in explain(NAMED + rules, json.dumps(bodies[0])).output
