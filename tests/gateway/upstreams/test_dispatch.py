"""A call goes to its targets in order; the next is asked only before the first byte of an answer."""

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from gateway.context import UpstreamModel, new_context
from gateway.errors import AnswerLost, AnswerStalled, ApiError, CallDropped, UpstreamFailed, UpstreamTimeout
from gateway.metrics.observe import Metrics
from gateway.protocols.chat_answers import CHAT
from gateway.routes import Target
from gateway.server import bind
from gateway.upstreams.base import Answer, Upstream, UpstreamCall
from gateway.upstreams.dispatch import Forwarder, Retrying
from gateway.upstreams.openai import OpenAIUpstream

TARGETS = [Target(name, UpstreamModel(f"model-{name}")) for name in ("a", "b", "c")]
MakeAnswer = Callable[..., Answer]


def sent(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


async def send(upstreams: Mapping[str, Upstream], targets: list[Target], metrics: Metrics, **fields: Any) -> Any:
    request = CHAT.parse(json.dumps({"model": "asked", "messages": [], **fields}).encode())
    context = new_context("req_1", "chat.completions", "anonymous")
    answer = await Forwarder(upstreams, metrics).send(context, request, targets, [(b"openai-beta", b"x")])
    return answer, context.record


@pytest.mark.parametrize("status", [200, 400, 404, 422, 403])
async def test_the_first_target_answers(fake_upstream: Any, make_answer: MakeAnswer, status: int) -> None:
    first, second, metrics = fake_upstream([make_answer(status=status)]), fake_upstream([make_answer()]), Metrics()
    answer, record = await send({"a": first, "b": second}, TARGETS[:2], metrics)
    assert answer.status == status
    assert (record.upstream, record.upstream_model, record.notional) == ("a", "model-a", False)
    assert second.calls == []
    (call,) = first.calls
    assert json.loads(call.body) == {"model": "model-a", "messages": []}
    assert (call.model, call.stream, call.headers) == ("model-a", False, [(b"openai-beta", b"x")])
    assert sent(metrics, "offramp_fallbacks_total", upstream="b") == 0
    assert sent(metrics, "offramp_upstream_failures_total", upstream="a", reason=str(status)) == 0


@pytest.mark.parametrize("lost", [AnswerLost("broke off"), AnswerStalled("fell silent")])
async def test_no_other_is_asked_where_an_answer_was_lost_on_its_way(
    fake_upstream: Any, make_answer: MakeAnswer, lost: ApiError
) -> None:
    first, second = fake_upstream([lost]), fake_upstream([make_answer()])
    with pytest.raises(type(lost)):
        await send({"a": first, "b": second}, TARGETS[:2], Metrics())
    assert second.calls == []


@pytest.mark.parametrize("failure", [UpstreamFailed("gone"), UpstreamTimeout("late"), CallDropped("no answer")])
async def test_a_failure_goes_to_the_next_and_each_fallback_is_counted(
    fake_upstream: Any, make_answer: MakeAnswer, failure: Exception
) -> None:
    upstreams = {name: fake_upstream([failure]) for name in "ab"} | {"c": fake_upstream([make_answer(b"good")])}
    metrics = Metrics()
    answer, record = await send(upstreams, TARGETS, metrics)
    assert (answer.body, record.upstream) == (b"good", "c")
    assert [sent(metrics, "offramp_fallbacks_total", upstream=name) for name in "abc"] == [0, 1, 1]
    reason = getattr(failure, "code", "")
    assert sent(metrics, "offramp_upstream_failures_total", upstream="a", reason=reason) == 1
    # what a call cost that may have been taken is not known
    taken = float(isinstance(failure, UpstreamTimeout | CallDropped))
    missing = partial(sent, metrics, "offramp_usage_missing_requests_total", reason="cut_off")
    assert [missing(upstream=name) for name in "ab"] == [taken, taken]


async def test_a_refused_gateway_key_is_no_client_error_and_its_words_stay_here(
    fake_upstream: Any, make_answer: MakeAnswer, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = b'{"error":{"message":"Incorrect API key provided: sk-live-1234"}}'
    upstreams = {"a": fake_upstream([make_answer(refusal, status=401)]), "b": fake_upstream([make_answer(b"good")])}
    metrics = Metrics()
    with caplog.at_level(logging.DEBUG), pytest.raises(UpstreamFailed) as caught:
        await send(upstreams, TARGETS[:1], metrics)
    assert "sk-live" not in caught.value.message + caplog.text
    assert sent(metrics, "offramp_upstream_failures_total", upstream="a", reason="401") == 1
    answer, _ = await send(upstreams, TARGETS[:2], metrics)
    assert answer.body == b"good"


async def test_why_an_upstream_cannot_be_reached_is_told_once_and_holds_no_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with closing(bind("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
        gone = OpenAIUpstream("a", base_url=f"http://127.0.0.1:{port}/v1", api_key="sk-live-1234")
        context = new_context("req_1", "chat.completions", "anonymous")
        forwarder = Forwarder({"a": gone}, Metrics())
        for _ in range(2):
            with pytest.raises(UpstreamFailed):
                await forwarder.send(context, CHAT.parse(b'{"model":"m","messages":[]}'), TARGETS[:1], [])
        await forwarder.close()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("req_1: upstream a could not be reached (ConnectionRefusedError: ")
    assert str(port) in line
    assert "sk-live" not in line


CALL = UpstreamCall(model=UpstreamModel("m"), body=b"{}", stream=False)
FAILED, LATE = UpstreamFailed("gone"), UpstreamTimeout("late")
MakeAnswer = Callable[..., Answer]


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_what_passes_is_asked_again(fake_upstream: Any, make_answer: MakeAnswer, status: int) -> None:
    inner = fake_upstream([make_answer(status=status), FAILED, make_answer(b"good")])
    assert (await Retrying(inner, 2).send(CALL)).body == b"good"
    assert inner.calls == [CALL] * 3


@pytest.mark.parametrize("lost", [LATE, AnswerLost("broke off"), CallDropped("no answer")])
async def test_a_call_that_may_have_been_taken_is_not_asked_again(fake_upstream: Any, lost: ApiError) -> None:
    inner = fake_upstream([lost, FAILED])
    with pytest.raises(type(lost)):
        await Retrying(inner, 3).send(CALL)
    assert len(inner.calls) == 1
