"""The series that stand at 0 from the start are those that traffic moves."""

import json
from collections.abc import Callable
from typing import Any

from classifiers.policy import Policy
from gateway import expected
from gateway.config.load import Loaded
from gateway.errors import AnswerLost, UpstreamTimeout
from gateway.metrics import Metrics
from gateway.rules.compile import compile_rules
from gateway.upstreams.base import Answer

TEXT = """\
version: 1
upstreams:
  one: {kind: echo}
  two: {kind: echo}
models:
  dear: {upstream: one, fallbacks: [two/x]}
  cheap: two
  hidden: {upstream: one, internal: true}
rules:
  - name: safety
    classifier: safe
    then: {violence: block, jailbreak: {block: {shape: error}}}
  - name: intents
    classifier: bank
    when: {model: dear}
    then: {greeting: {answer: hi}, rate: {forward: cheap}}
"""


def series(metrics: Metrics, *names: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sorted(f"{key}={value}" for key, value in sample.labels.items())): sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name in names
    }


def at_zero(loaded: Loaded, policies: dict[str, Policy]) -> Metrics:
    metrics = Metrics()
    rules = compile_rules(loaded.settings.rules, policies, loaded.replies)
    expected.stand_at_zero(metrics, loaded.settings.models, rules, {"one": False, "two": False})
    return metrics


NAMES = (
    "offramp_requests_total",
    "offramp_saved_calls_total",
    "offramp_saved_dollars_total",
    "offramp_spent_dollars_total",
    "offramp_upstream_calls_total",
)


async def test_what_traffic_moves_stood_at_zero(
    load: Callable[..., Loaded], policies: dict[str, Policy], wire: Any, ask: Any
) -> None:
    before = series(at_zero(load(TEXT), policies), *NAMES)
    assert set(before.values()) == {0}
    gateway = wire(TEXT.partition("rules:")[1] + TEXT.partition("rules:")[2])
    for text in ("hello", "greeting", "rate", "violence", "jailbreak"):
        sent = {"model": "dear", "messages": [{"role": "user", "content": text}]}
        await ask(gateway.app, json.dumps(sent).encode())
    gateway.writer.close()
    moved = {key for key, value in series(gateway.metrics, *NAMES).items() if value}
    notional = {tuple(part.replace("notional=true", "notional=false") for part in key) for key in moved}
    assert notional <= set(before)


async def test_failures_stood_at_zero(
    load: Callable[..., Loaded],
    policies: dict[str, Policy],
    wire: Any,
    ask: Any,
    fake_upstream: Any,
    make_answer: Callable[..., Answer],
) -> None:
    names = ("offramp_requests_total", "offramp_upstream_failures_total")
    before = series(at_zero(load(TEXT), policies), *names)
    statuses = (401, 429, 500, 502, 503, 504)
    failures = [*(make_answer(status=status) for status in statuses), AnswerLost("lost"), UpstreamTimeout("late")]
    one, two = (fake_upstream(list(failures), name=name) for name in ("one", "two"))
    gateway = wire(TEXT.partition("rules:")[1] + TEXT.partition("rules:")[2], upstreams={"one": one, "two": two})
    for text in ("hello", "rate"):
        for _ in failures:
            sent = {"model": "dear", "messages": [{"role": "user", "content": text}]}
            await ask(gateway.app, json.dumps(sent).encode())
    gateway.writer.close()
    moved = {key for key, value in series(gateway.metrics, *names).items() if value}
    assert len(moved) > 2 * len(failures)
    assert moved <= set(before)


def test_no_series_of_a_model_that_clients_cannot_ask_for(
    load: Callable[..., Loaded], policies: dict[str, Policy]
) -> None:
    shown = str(list(series(at_zero(load(TEXT), policies), *NAMES)))
    assert "model=dear" in shown
    assert "model=hidden" not in shown


def test_a_huge_configuration_gets_the_first_series_only(
    load: Callable[..., Loaded], policies: dict[str, Policy]
) -> None:
    models = "".join(f"  m{number}: one\n" for number in range(3000))
    loaded = load(f"version: 1\nupstreams:\n  one: {{kind: echo}}\nmodels:\n{models}")
    metrics = Metrics()
    expected.stand_at_zero(metrics, loaded.settings.models, (), {"one": False})
    assert len(series(metrics, "offramp_requests_total")) == 2000
