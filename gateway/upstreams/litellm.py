"""Upstreams that litellm calls. The only file that imports litellm, and only when a call is made."""

import asyncio
import inspect
import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

import msgspec

from gateway.errors import BadRequest, CallDropped, UpstreamFailed, UpstreamTimeout, body_of
from gateway.protocols import sse
from gateway.upstreams.base import Answer, UpstreamCall

_OPENAI_FIELDS: Final = frozenset({
    "model", "messages", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "modalities", "n", "parallel_tool_calls", "prediction",
    "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort", "response_format",
    "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature",
    "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
})  # fmt: skip
_OPERATORS: Final = frozenset({"api_base", "api_key", "custom_llm_provider", "extra_body", "metadata", "headers"})
_ERRORS: Final = range(400, 600)
_REFUSALS: Final = frozenset(range(400, 500)) - {408}
_JSON = [(b"content-type", b"application/json")]
_LACKING: Final = "litellm is not installed; pip install 'offramp[providers]'"


def lacking() -> str:
    """What is missing for these upstreams and how to install it; empty if nothing is. Imports nothing."""
    return "" if find_spec("litellm") else _LACKING


def load() -> Any:
    """The litellm module. Raises UpstreamFailed naming the extra where it is not installed."""
    # use the price table that came with it; otherwise it is fetched from the network on import
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        import litellm
    except ImportError as error:
        raise UpstreamFailed(_LACKING) from error
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    # it logs each call twice
    logging.getLogger("LiteLLM").setLevel(logging.WARNING)
    return litellm


class LiteLLMUpstream:
    """One provider of litellm's. drop_params: whether fields that it does not take are left out, not refused."""

    notional = False
    ask_usage = True
    speaks = frozenset({"chat.completions"})

    def __init__(
        self,
        name: str,
        *,
        provider: str,
        api_key: str = "",
        base_url: str | None = None,
        timeout_s: float = 600.0,
        drop_params: bool = False,
    ) -> None:
        self.name = name
        self._litellm: Any = None
        self._provider = provider
        settings = {"api_key": api_key, "api_base": base_url, "timeout": timeout_s}
        self._fixed = {key: value for key, value in settings.items() if value}
        self._fixed |= {"num_retries": 0, "drop_params": drop_params}

    async def send(self, call: UpstreamCall) -> Answer:
        if self._litellm is None:
            # importing takes seconds, and must not block the event loop
            self._litellm = await asyncio.to_thread(load)
        litellm = self._litellm
        try:
            request: dict[str, Any] = msgspec.json.decode(call.body)
        except (msgspec.DecodeError, RecursionError) as error:
            # for example a huge number in a field that the gateway does not read
            raise BadRequest(f"the body cannot be read by this upstream: {error}") from error
        request["model"] = f"{self._provider}/{call.model}"
        request = _sorted(request, inspect.signature(litellm.acompletion).parameters)
        try:
            answer = await litellm.acompletion(**{**request, **self._fixed})
        except litellm.Timeout as error:
            raise UpstreamTimeout(f"upstream {self.name} did not answer in time") from error
        except litellm.APIConnectionError as error:
            raise UpstreamFailed(f"upstream {self.name} could not be reached") from error
        except Exception as error:
            # litellm raises one class per provider's error; those with a status are the provider's answer
            status = getattr(error, "status_code", None)
            if not isinstance(status, int):
                raise
            if status not in _ERRORS:
                raise UpstreamFailed(f"upstream {self.name} sent no chat completion") from error
            return _error(status, error)
        if call.stream:
            return await self._stream(answer)
        if not answer.choices:
            raise CallDropped(f"upstream {self.name} sent no chat completion")
        return Answer(status=200, headers=_JSON, body=answer.model_dump_json().encode())

    async def close(self) -> None:
        """Nothing to close: litellm keeps its own clients."""

    async def _stream(self, stream: Any) -> Answer:
        """Reads the chunks up to the first with content: until it has come, another upstream may still be asked."""
        opening: list[Any] = []
        begun = False
        try:
            async for chunk in stream:
                opening.append(chunk)
                begun = any(any(choice.delta.model_dump().values()) for choice in chunk.choices)
                if begun:
                    break
        except Exception as error:
            # a stream that has begun may cost something; a refusal does not
            failure = UpstreamFailed if _is_refusal(error) else CallDropped
            raise failure(f"upstream {self.name} broke off in mid-stream") from error
        finally:
            # litellm itself ends a stream of nothing with "stop"
            if not begun and (not opening or getattr(stream, "received_finish_reason", None) is None):
                await _close(stream)
                opening = []
        if not opening:
            raise CallDropped(f"upstream {self.name} sent no chat completion")
        return Answer(status=200, headers=[], chunks=self._chunks(opening, stream))

    async def _chunks(self, opening: Sequence[Any], stream: Any) -> AsyncIterator[bytes]:
        """A stream's chunks as events, and the one that ends it."""
        try:
            for chunk in opening:
                yield _event(chunk)
            async for chunk in stream:
                yield _event(chunk)
        except Exception as error:
            raise UpstreamFailed(f"upstream {self.name} broke off in mid-stream") from error
        finally:
            # a stream that the client left must not go on upstream
            await _close(stream)
        yield sse.DONE


async def _close(stream: Any) -> None:
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()


def _event(chunk: Any) -> bytes:
    return sse.event(chunk.model_dump_json(exclude_unset=True).encode())


def _sorted(request: dict[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A client's fields as litellm's arguments: OpenAI's as they are, unknown ones in the provider's body. litellm also
    takes addresses, keys and headers as arguments. Only the operator may set those: a client that names one gets
    BadRequest."""
    arguments = {key: value for key, value in request.items() if key in _OPENAI_FIELDS}
    unknown = {key: value for key, value in request.items() if key not in _OPENAI_FIELDS}
    for key in unknown:
        if key in parameters or key in _OPERATORS:
            raise BadRequest(f"{key}: is not taken from clients by this upstream", param=key)
    return {**arguments, "extra_body": unknown} if unknown else arguments


def _is_refusal(error: BaseException | None) -> bool:
    """Whether a provider did not take a call; litellm asks some providers only as the stream is read."""
    status = getattr(getattr(error, "original_exception", None) or error, "status_code", None)
    return isinstance(status, int) and status in _REFUSALS


def _error(status: int, error: Exception) -> Answer:
    message = str(getattr(error, "message", "")) or type(error).__name__
    code = getattr(error, "code", None)
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = body_of(message, kind, param=getattr(error, "param", None), code=str(code) if code else None)
    return Answer(status=status, headers=_JSON, body=body)
