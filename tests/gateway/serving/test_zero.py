"""Calls bring no new series: those that a configuration can bring stand at 0 from the start."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from classifiers.policy import Policy
from gateway.config.load import Loaded
from gateway.errors import AnswerLost, CallDropped, UpstreamFailed, UpstreamTimeout
from gateway.metrics.observe import Metrics
from gateway.protocols import sse
from gateway.rules.compile import compile_rules
from gateway.serving import zero
from gateway.upstreams.base import Answer
from tests.given import table_text

BASE = table_text("given/gateway-serving-zero-base.yaml")
REDACTS = """
  - name: details
    classifier: data
    reads: {output: true}
    then: {contact: redact, gossip: flag}
"""
FORWARDS = """
  - name: intents
    classifier: bank
    when: {any_system: true}
    then: {rate: forward, card: {forward: cheap}, greeting: {answer: hi}}
"""
GUARDS = """
  - name: safety
    classifier: safe
    reads: {output: true}
    then: {violence: block, jailbreak: {block: {shape: error}}}
"""
JUDGED = """
  - name: judged
    classifier: safe
    then: {violence: block, jailbreak: flag}
    when_unsure: {ask: cheap}
    contract: {max_missed: 5%, max_false_alarms: 5%}
"""
BOUND = """
  - name: bound
    classifier: bank
    when: {any_system: true}
    contract: {max_disagreement: 5%}
    then: {"*": {answer: label}}
"""
DENIED = json.dumps({"labels": ["violence"]})
ALLOWED = json.dumps({"labels": []})
TEXTS = ["hello", "rate", "card", "greeting", "greeting as JSON", "violence", "jailbreak", "joe@example.com rate"]
UNDECIDED = ["unsure", "unread", "broken", "language", "contact", "gossip"]
OUTCOMES = {
    "decided": (REDACTS + FORWARDS + GUARDS, [*TEXTS, *UNDECIDED], ["fine"]),
    "refused": (REDACTS + FORWARDS, ["hello", "rate", "joe@example.com", "joe@example.com rate"], [400]),
    "answers redacted": (REDACTS + FORWARDS, ["hello", "rate", "card"], ["joe@example.com"]),
    "answers blocked as an error": (FORWARDS + GUARDS, ["hello", "rate", "card"], ["jailbreak"]),
    "judged": (JUDGED, ["unsure one", "unsure one", "unsure two"], [DENIED, ALLOWED, "what?"]),
    "judge failed": (JUDGED, ["unsure one"], [UpstreamFailed("down"), UpstreamFailed("down"), "fine"]),
    "under a contract": (BOUND, ["hello", *["Answer with greeting, rate or card: rate"] * 3], ["rate", "card"]),
    "fallback": ("", ["hello"] * 3, [503, UpstreamTimeout("late"), CallDropped("no answer"), "fine"]),
    "no usage": (FORWARDS, ["hello", "rate", "card"], [b'{"choices":[{"index":0,"finish_reason":"stop"}]}']),
    "failed": (FORWARDS, ["hello", "rate", "card"], [AnswerLost("lost"), UpstreamFailed("down")]),
    "its own fault": (FORWARDS, ["hello", "rate", "card"], [RuntimeError("a fault")]),
    "not for clients": ("", ["not JSON", "unknown model"], ["fine"]),
}
STREAMED = ("decided", "answers blocked as an error", "under a contract", "no usage", "failed")


def answers(make: Callable[..., Answer], given: Sequence[str | bytes | int | Exception], *, stream: bool) -> list[Any]:
    """Upstream answers: a text, a whole answer, a status or a failure each; the last one is repeated."""
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}

    def answer(one: str | bytes | int | Exception) -> Any:
        if isinstance(one, Exception):
            return one
        if isinstance(one, int):
            return make(status=one)
        if isinstance(one, str):
            choice = {"index": 0, "finish_reason": "stop", "delta" if stream else "message": {"content": one}}
            one = json.dumps({"model": "m", "usage": usage, "choices": [choice]}).encode()
        return make(events=[sse.event(one), sse.DONE]) if stream else make(one)

    return [answer(one) for one in [*given, *given[-1:] * 20]]


def asked(text: str, *, stream: bool) -> bytes:
    if text == "not JSON":
        return b"{"
    model = "gpt-9" if text == "unknown model" else "dear"
    system, _, user = text.rpartition(": ")
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}][not system :]
    form = {"type": "json_object" if "JSON" in text else "text"}
    return json.dumps({"model": model, "messages": messages, "stream": stream, "response_format": form}).encode()


def every(metrics: Metrics) -> set[tuple[str, ...]]:
    """All series that a scrape would show."""
    return {
        (sample.name, *sorted(f"{key}={value}" for key, value in sample.labels.items()))
        for metric in metrics.registry.collect()
        for sample in metric.samples
    }


@pytest.mark.parametrize(
    ("outcome", "stream"), [*((outcome, False) for outcome in OUTCOMES), *((outcome, True) for outcome in STREAMED)]
)
async def test_a_call_brings_no_new_series(
    outcome: str,
    stream: bool,
    load: Callable[..., Loaded],
    policies: dict[str, Policy],
    wire: Any,
    ask: Any,
    fake_upstream: Any,
    make_answer: Callable[..., Answer],
) -> None:
    rules, texts, given = OUTCOMES[outcome]
    upstreams = {name: fake_upstream(answers(make_answer, given, stream=stream), name=name) for name in ("one", "two")}
    gateway = wire(f"rules:{rules}" if rules else "", base=BASE, upstreams=upstreams, draw=lambda: 0.0)
    loaded = load(BASE + (f"rules:{rules}" if rules else ""))
    compiled = compile_rules(loaded.settings.rules, policies, loaded.replies)
    zero.initialise_series(gateway.metrics, loaded.settings.models, compiled, dict.fromkeys(upstreams, False))
    before = every(gateway.metrics)
    for text in texts:
        await ask(gateway.app, asked(text, stream=stream))
    gateway.writer.close()
    assert len(gateway.store.records) >= len(texts)
    assert every(gateway.metrics) - before == set()


def test_only_models_that_clients_can_ask_for_and_not_too_many_have_series(load: Callable[..., Loaded]) -> None:
    models = "".join(f"  m{number}: {{upstream: one, internal: {str(number < 5).lower()}}}\n" for number in range(300))
    loaded = load(f"version: 1\nupstreams:\n  one: {{kind: echo}}\nmodels:\n{models}")
    metrics = Metrics()
    zero.initialise_series(metrics, loaded.settings.models, (), {"one": False})
    [spent] = [metric for metric in metrics.registry.collect() if metric.name == "offramp_spent_dollars"]
    named = {sample.labels["model"] for sample in spent.samples}
    assert named == {f"m{number}" for number in range(5, 205)}
