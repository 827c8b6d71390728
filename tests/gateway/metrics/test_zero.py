"""The series that stand at 0 from the start are those that traffic moves."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from classifiers.policy import Policy
from gateway.config.load import Loaded
from gateway.errors import AnswerLost, CallDropped, UpstreamFailed, UpstreamTimeout
from gateway.metrics import zero
from gateway.metrics.observe import Metrics
from gateway.protocols import sse
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
    zero.stand_at_zero(metrics, loaded.settings.models, rules, {"one": False, "two": False})
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
    statuses = (401, 408, 429, 500, 502, 503, 504)
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
    zero.stand_at_zero(metrics, loaded.settings.models, (), {"one": False})
    assert len(series(metrics, "offramp_requests_total")) == 2000


BASE = """
version: 1
upstreams:
  one: {kind: openai, base_url: "http://127.0.0.1:9/v1"}
  two: {kind: openai, base_url: "http://127.0.0.1:9/v1"}
models:
  dear: {upstream: one, fallbacks: [two/x]}
  cheap: {upstream: two, internal: true}
"""
REDACTS = """
  - name: details
    classifier: data
    reads: {output: true}
    then: {contact: redact, gossip: flag}
"""
FORWARDS = """
  - name: intents
    classifier: bank
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
    contract: {max_disagreement: 5%, ask_again: 100%}
    then: {"*": {answer: label}}
"""
DENIED = json.dumps({"labels": ["violence"]})
ALLOWED = json.dumps({"labels": []})
OUTCOMES = {
    "forwarded": (FORWARDS, ["hello", "rate", "card", "greeting", "unsure", "unread", "broken", "language"], ["fine"]),
    "redacted": (REDACTS + FORWARDS, ["joe@example.com", "joe@example.com rate", "joe@example.com card"], ["fine"]),
    "not redacted": (REDACTS, ["contact", "gossip", "broken"], ["fine"]),
    "answers redacted": (REDACTS + FORWARDS, ["hello", "rate", "card"], ["joe@example.com"]),
    "answers not redacted": (REDACTS + FORWARDS, ["hello", "rate", "card"], ["contact"]),
    "blocked": (GUARDS, ["violence", "jailbreak", "broken", "unread"], ["fine"]),
    "answers blocked": (FORWARDS + GUARDS, ["hello", "rate", "card"], ["violence"]),
    "answers blocked as an error": (FORWARDS + GUARDS, ["hello", "rate", "card"], ["jailbreak"]),
    "judged unsafe": (JUDGED, ["unsure one"], [DENIED]),
    "judged safe": (JUDGED, ["unsure one", "unsure one", "unsure two"], [ALLOWED]),
    "judge unreadable": (JUDGED, ["unsure one"], ["what?"]),
    "judge failed": (JUDGED, ["unsure one"], [UpstreamFailed("down"), UpstreamFailed("down"), "fine"]),
    "under a contract": (BOUND, ["Answer with greeting, rate or card: rate"] * 3, ["rate", "card"]),
    "unmet": (BOUND, ["hello"], ["fine"]),
    "a text unmet": (FORWARDS, ["greeting as JSON", "hello", "rate", "card"], ["fine"]),
    "fallback": ("", ["hello"], [503, "fine"]),
    "late, then fallback": ("", ["hello"], [UpstreamTimeout("late"), "fine"]),
    "dropped, then fallback": ("", ["hello"], [CallDropped("no answer"), "fine"]),
    "dropped": (FORWARDS, ["hello", "rate", "card"], [CallDropped("no answer")]),
    "dropped, then refused": ("", ["hello"], [CallDropped("no answer"), 400]),
    "no usage": (FORWARDS, ["hello", "rate", "card"], [b'{"choices":[{"index":0,"finish_reason":"stop"}]}']),
    "lost": (FORWARDS, ["hello", "rate", "card"], [AnswerLost("lost")]),
    "failed": (FORWARDS, ["hello", "rate", "card"], [UpstreamFailed("down")]),
    "refused": (REDACTS + FORWARDS, ["hello", "rate", "joe@example.com", "joe@example.com rate"], [400]),
    "its own fault": (FORWARDS, ["hello", "rate", "card"], [RuntimeError("a fault")]),
    "not for clients": ("", ["not JSON", "unknown model"], ["fine"]),
}


def answers(make: Callable[..., Answer], given: Sequence[str | bytes | int | Exception], *, stream: bool) -> list[Any]:
    """Upstream answers: a text, a whole answer as it is, a status or a failure each; the last again and again."""
    made: list[Any] = []
    for one in [*given, *given[-1:] * 20]:
        if isinstance(one, Exception):
            made.append(one)
        elif isinstance(one, int):
            made.append(make(status=one))
        elif isinstance(one, bytes):
            made.append(make(events=[sse.event(one), sse.DONE]) if stream else make(one))
        else:
            usage = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}
            choice = {"index": 0, "finish_reason": "stop", "delta" if stream else "message": {"content": one}}
            body = json.dumps({"model": "m", "usage": usage, "choices": [choice]}).encode()
            made.append(make(events=[sse.event(body), sse.DONE]) if stream else make(body))
    return made


def asked(text: str, *, stream: bool) -> bytes:
    if text == "not JSON":
        return b"{"
    model = "gpt-9" if text == "unknown model" else "dear"
    system, _, said = text.rpartition(": ")
    turns = [("system", system), ("user", said)] if system else [("user", said)]
    messages = [{"role": role, "content": content} for role, content in turns]
    form = {"type": "json_object" if "JSON" in text else "text"}
    return json.dumps({"model": model, "messages": messages, "stream": stream, "response_format": form}).encode()


def every(metrics: Metrics) -> set[tuple[str, ...]]:
    """All series that a scrape would show."""
    return {
        (sample.name, *sorted(f"{key}={value}" for key, value in sample.labels.items()))
        for metric in metrics.registry.collect()
        for sample in metric.samples
    }


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("outcome", OUTCOMES)
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
    # a judge is never asked for a stream
    upstreams = {
        name: fake_upstream(answers(make_answer, given, stream=stream and "judge" not in outcome), name=name)
        for name in ("one", "two")
    }
    gateway = wire(f"rules:{rules}" if rules else "", base=BASE, upstreams=upstreams, draw=lambda: 0.0)
    loaded = load(BASE + (f"rules:{rules}" if rules else ""))
    compiled = compile_rules(loaded.settings.rules, policies, loaded.replies)
    zero.stand_at_zero(gateway.metrics, loaded.settings.models, compiled, dict.fromkeys(upstreams, False))
    before = every(gateway.metrics)
    for text in texts:
        await ask(gateway.app, asked(text, stream=stream))
    gateway.writer.close()
    assert len(gateway.store.records) >= len(texts)
    assert every(gateway.metrics) - before == set()
