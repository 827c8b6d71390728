"""The real litellm, in front of a real server on loopback."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from gateway.context import UpstreamModel
from gateway.errors import BadRequest, CallDropped, UpstreamFailed
from gateway.upstreams.base import UpstreamCall
from gateway.upstreams.litellm import LiteLLMUpstream

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}
Calling = Callable[..., AbstractAsyncContextManager[LiteLLMUpstream]]


@pytest.fixture
def calling() -> Calling:
    """calling(handler, provider="openai"): an upstream whose provider is that server."""

    @asynccontextmanager
    async def make(handler: Any, provider: str = "openai", **options: Any) -> AsyncIterator[LiteLLMUpstream]:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield LiteLLMUpstream("lite", provider=provider, api_key="sk-gateway", base_url=url, timeout_s=5, **options)
        finally:
            await runner.cleanup()

    return make


def call(stream: bool = False, **fields: Any) -> UpstreamCall:
    sent = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "stream": stream, **fields}
    return UpstreamCall(model=UpstreamModel("m"), body=json.dumps(sent).encode(), stream=stream)


async def test_a_call_goes_out_with_the_gateways_key_and_its_unknown_fields(calling: Calling) -> None:
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.path, request.headers["authorization"], await request.json()))
        return web.json_response(COMPLETION)

    async with calling(handler) as upstream:
        answer = await upstream.send(call(temperature=0.5, odd={"a": 1}))
    body = json.loads(answer.body)
    assert (answer.status, body["choices"][0]["message"]["content"], body["usage"]["prompt_tokens"]) == (200, "hi", 3)
    ((path, key, sent),) = seen
    assert (path, key) == ("/v1/chat/completions", "Bearer sk-gateway")
    assert (sent["model"], sent["temperature"], sent["odd"]) == ("m", 0.5, {"a": 1})


@pytest.mark.parametrize(("status", "failure"), [(200, CallDropped), (302, UpstreamFailed)])
async def test_an_answer_without_a_completion_is_a_failure(calling: Calling, status: int, failure: type) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response({**COMPLETION, "choices": []}, status=status)

    async with calling(handler) as upstream:
        for _ in range(2):
            with pytest.raises(UpstreamFailed, match="lite sent no chat completion") as caught:
                await upstream.send(call())
            assert type(caught.value) is failure


@pytest.mark.parametrize("whole", [True, False])
async def test_a_stream_is_events_and_done_or_a_failure(calling: Calling, whole: bool) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for text, finish in (("he", None), ("llo", None), ("", "stop" if whole else None)):
            chunk: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            chunk["choices"] = [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}]
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    async with calling(handler) as upstream:
        answer = await upstream.send(call(stream=True))
        assert answer.chunks is not None
        if not whole:
            with pytest.raises(UpstreamFailed, match="lite broke off in mid-stream"):
                _ = [part async for part in answer.chunks]
            return
        *parts, done = [part async for part in answer.chunks]
    assert done == b"data: [DONE]\n\n"
    deltas = [json.loads(part[6:])["choices"][0]["delta"].get("content") or "" for part in parts]
    assert "".join(deltas) == "hello"


class Stream:
    """As litellm's own: chunks without end, or one that cannot be read."""

    def __init__(self, chunk: Any) -> None:
        """chunk: given again and again; raised, where it is an error."""
        self.chunk = chunk
        self.closed = 0

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Any:
        if isinstance(self.chunk, Exception):
            raise self.chunk
        return self.chunk

    async def aclose(self) -> None:
        self.closed += 1


def giving(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> LiteLLMUpstream:
    """An upstream whose litellm gives that stream."""

    async def acompletion(**_: Any) -> Stream:
        return stream

    fake = SimpleNamespace(acompletion=acompletion, Timeout=TimeoutError, APIConnectionError=ConnectionError)
    monkeypatch.setattr("gateway.upstreams.litellm.load", lambda: fake)
    return LiteLLMUpstream("lite", provider="openai")


class ProviderError(Exception):
    """As litellm's own."""

    def __init__(self, status_code: int | None, original_exception: Exception | None = None) -> None:
        super().__init__(status_code)
        self.status_code = status_code
        self.original_exception = original_exception


@pytest.mark.parametrize(
    ("error", "taken"),
    [
        (ProviderError(429), False),
        (ProviderError(503, ProviderError(401)), False),
        (ProviderError(408), True),
        (ProviderError(503, ProviderError(None)), True),
        (ConnectionError("reset"), True),
    ],
)
async def test_a_call_that_is_refused_as_its_stream_is_read_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, error: Exception, taken: bool
) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        await giving(Stream(error), monkeypatch).send(call(stream=True))
    assert isinstance(caught.value, CallDropped) is taken


@pytest.mark.parametrize("readable", [True, False])
async def test_a_stream_that_is_left_is_closed(monkeypatch: pytest.MonkeyPatch, readable: bool) -> None:
    delta = SimpleNamespace(model_dump=lambda: {"content": "hi"})
    stream = Stream(
        SimpleNamespace(choices=[SimpleNamespace(delta=delta if readable else None)], model_dump_json=lambda **_: "{}")
    )

    upstream = giving(stream, monkeypatch)
    if readable:
        answer = await upstream.send(call(stream=True))
        assert answer.chunks is not None
        assert [await anext(answer.chunks) for _ in range(3)] == [b"data: {}\n\n"] * 3
        assert stream.closed == 0
        await answer.chunks.aclose()  # type: ignore[attr-defined]
    else:
        with pytest.raises(CallDropped):
            await upstream.send(call(stream=True))
    assert stream.closed == 1


def streaming(*events: dict[str, Any]) -> Any:
    """A handler that streams chunks of these fields."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", **event}
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        return response

    return handler


@pytest.mark.parametrize("events", [[], [{"choices": []}], [{"choices": [], "usage": COMPLETION["usage"]}]])
async def test_a_stream_of_nothing_is_a_failure_before_its_first_byte_that_may_cost(
    calling: Calling, events: list[Any]
) -> None:
    async with calling(streaming(*events)) as upstream:
        with pytest.raises(CallDropped, match=r"lite (sent no chat completion|broke off)"):
            await upstream.send(call(stream=True))


@pytest.mark.parametrize("field", ["base_url", "api_key", "extra_headers", "extra_body", "metadata"])
async def test_addresses_keys_and_headers_are_the_operators_alone(field: str) -> None:
    upstream = LiteLLMUpstream("any", provider="openai", api_key="operators", base_url="http://127.0.0.1:9/v1")
    body = json.dumps({"model": "m", "messages": [], field: "http://127.0.0.1:1"}).encode()
    with pytest.raises(BadRequest) as caught:
        await upstream.send(UpstreamCall(model=UpstreamModel("m"), body=body, stream=False))
    assert caught.value.param == field
