"""`offramp explain` for what the gateway refuses, before any classifier is loaded; what else it shows."""

import json
from collections.abc import Callable
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
    ],
)
def test_a_request_that_is_none_is_wrong_usage(explain: Explain, arguments: list[str], message: str) -> None:
    done = explain(NAMED, *arguments)
    assert done.exit_code == Exit.USAGE
    assert message in done.output


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
