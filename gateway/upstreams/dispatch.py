"""Builds the configured upstreams, and sends a call to its targets in order, with retries.

Another try is made only before the first byte of an answer.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import Final

from gateway.config.settings import EchoSettings, LiteLLMSettings, OpenAISettings, Settings, UpstreamSettings
from gateway.context import Headers, RequestContext
from gateway.errors import AnswerLost, AnswerStalled, ApiError, BadRequest, CallDropped, UpstreamFailed, UpstreamTimeout
from gateway.metrics.observe import Metrics
from gateway.protocols.wire import Request
from gateway.routes import Target
from gateway.upstreams.base import Answer, Upstream, UpstreamCall
from gateway.upstreams.echo import EchoUpstream
from gateway.upstreams.litellm import LiteLLMUpstream
from gateway.upstreams.openai import SPEAKS, OpenAIUpstream

_log = logging.getLogger(__name__)
_SILENT_S = 10.0
"""Least time between two log lines on failures of one upstream."""
_TRY_NEXT: Final = frozenset({408, 429, 500, 502, 503, 504})
_RETRIED: Final = frozenset({502, 503, 504})
_FIRST_WAIT_S: Final = 0.1
KINDS: Final = {**SPEAKS, "litellm": LiteLLMUpstream.speaks, "echo": EchoUpstream.speaks}
"""By kind, the endpoints that it takes."""


def failed(status: int) -> bool:
    """Whether a status says that the upstream failed, and nothing of the call."""
    return status >= 500 or status in _TRY_NEXT


def speaking(request: Request, targets: Sequence[Target], speaks: Callable[[str], Collection[str]]) -> Sequence[Target]:
    """The targets that take the request's wire format. speaks: the endpoints of an upstream. Raises BadRequest where
    none does."""
    endpoint = request.wire.endpoint
    fitting = [target for target in targets if endpoint in speaks(target.upstream)]
    if fitting:
        return fitting
    kinds = " or ".join(kind for kind, endpoints in KINDS.items() if endpoint in endpoints)
    raise BadRequest(
        f"model: upstream {targets[0].upstream}, which has {request.model}, does not take /v1{request.wire.path}; "
        f"upstreams of kind {kinds} do",
        param="model",
    )


def broke_off(error: ApiError) -> bool:
    """Whether the upstream's answer had begun."""
    return isinstance(error, AnswerLost | AnswerStalled) and not isinstance(error, CallDropped)


class Forwarder:
    """The configured upstreams, as one place to send a request to."""

    def __init__(self, upstreams: Mapping[str, Upstream], metrics: Metrics) -> None:
        self._upstreams = upstreams
        self._metrics = metrics
        self._calls = {name: metrics.upstream_calls.labels(name) for name in upstreams}
        self._silent_until: dict[str, float] = {}

    async def send(
        self, context: RequestContext, request: Request, targets: Sequence[Target], headers: Headers
    ) -> Answer:
        """The first target's answer that is no failure, or the last target's whatever it is. Raises UpstreamFailed or
        UpstreamTimeout where the last target gave none. Raises BadRequest where a target does not take the request: an
        error of the client's is not tried elsewhere. Targets that do not speak its wire format are left out."""
        targets = self._speaking(request, targets)
        for target, later in pairwise(targets):
            try:
                answer = await self._try(context, request, target, headers)
            except (UpstreamFailed, UpstreamTimeout) as error:
                if broke_off(error):
                    raise
                _log.warning("upstream %s failed (%s); the next one is asked", target.upstream, error.code)
                if isinstance(error, UpstreamTimeout | CallDropped):
                    # it may have taken the call, and the request's row is about the last target
                    context.unreported_attempt = True
                    self._metrics.usage_missing.labels(target.upstream, "cut_off").inc()
            else:
                if answer.status not in _TRY_NEXT:
                    return answer
                _log.warning("upstream %s answered %d; the next one is asked", target.upstream, answer.status)
            self._metrics.fallbacks.labels(later.upstream).inc()
        return await self._try(context, request, targets[-1], headers)

    def _speaking(self, request: Request, targets: Sequence[Target]) -> Sequence[Target]:
        endpoint = request.wire.endpoint
        if len(targets) == 1 and endpoint in self._upstreams[targets[0].upstream].speaks:
            return targets
        return speaking(request, targets, lambda name: self._upstreams[name].speaks)

    async def _try(self, context: RequestContext, request: Request, target: Target, headers: Headers) -> Answer:
        upstream = self._upstreams[target.upstream]
        record = context.record
        record.upstream, record.upstream_model, record.notional = target.upstream, target.model, upstream.notional
        call = UpstreamCall(
            model=target.model,
            body=request.body_for(target.model, ask_usage=upstream.ask_usage),
            stream=request.stream,
            wire=request.wire,
            path=request.path,
            headers=headers,
            credentials=context.credentials,
        )
        self._calls[target.upstream].inc()
        context.failed_s = record.provider_s or 0.0
        started = time.perf_counter()
        try:
            answer = await upstream.send(call)
            answer.wire = request.wire
        except (UpstreamFailed, UpstreamTimeout) as error:
            self._metrics.upstream_failures.labels(target.upstream, error.code).inc()
            self._log_failure(context, target, error)
            raise
        finally:
            record.provider_s = (record.provider_s or 0.0) + time.perf_counter() - started
        refused = answer.status == 401 and not answer.clients_key
        if refused or answer.status >= 500 or answer.status in _TRY_NEXT:
            self._metrics.upstream_failures.labels(target.upstream, str(answer.status)).inc()
        if refused:
            # the client's key is in order, and the provider's message may have a part of the gateway's
            _log.error("upstream %s refuses the gateway's API key", target.upstream)
            raise UpstreamFailed(f"upstream {target.upstream} refuses the gateway's own key")
        return answer

    def _log_failure(self, context: RequestContext, target: Target, error: ApiError) -> None:
        """Logs why there was no answer, once in some seconds for each upstream. An operating system's message is
        logged; of other errors the name alone, since theirs may have the prompt or a key."""
        now, cause = time.monotonic(), error.__cause__
        if now < self._silent_until.get(target.upstream, 0.0):
            return
        self._silent_until[target.upstream] = now + _SILENT_S
        text = f": {cause}" if isinstance(cause, OSError) else ""
        why = f" ({type(cause).__name__}{text})" if cause else ""
        _log.warning("%s: %s%s", context.record.request_id, error.message, why)

    async def close(self) -> None:
        """Closes every upstream's connections."""
        await asyncio.gather(*(upstream.close() for upstream in self._upstreams.values()))


class Retrying:
    """Wraps an upstream, and tries again where it could not be reached or was overloaded. A timeout is not tried again:
    the caller has waited long enough. Nor is a call that may have been taken."""

    def __init__(self, inner: Upstream, retries: int = 1) -> None:
        self.name = inner.name
        self.notional = inner.notional
        self.ask_usage = inner.ask_usage
        self.speaks = inner.speaks
        self.inner = inner
        self._retries = retries

    async def send(self, call: UpstreamCall) -> Answer:
        for attempt in range(self._retries):
            try:
                answer = await self.inner.send(call)
            except AnswerLost:
                raise
            except UpstreamFailed:
                pass
            else:
                if answer.status not in _RETRIED:
                    return answer
            await asyncio.sleep(_FIRST_WAIT_S * 2**attempt)
        return await self.inner.send(call)

    async def close(self) -> None:
        await self.inner.close()


def build_upstreams(settings: Settings) -> Mapping[str, Upstream]:
    """One upstream for each that is configured."""
    return {name: _build(name, upstream) for name, upstream in settings.upstreams.items()}


def echoes(settings: UpstreamSettings) -> bool:
    """Whether the upstream is an echo, whose calls cost nothing."""
    if isinstance(settings, EchoSettings):
        return True
    return isinstance(settings, OpenAISettings) and not settings.api_key and settings.without_key == "echo"


def _build(name: str, settings: UpstreamSettings) -> Upstream:
    if isinstance(settings, LiteLLMSettings):
        return LiteLLMUpstream(name, provider=settings.provider, api_key=settings.api_key, base_url=settings.base_url)
    if isinstance(settings, EchoSettings):
        return EchoUpstream(name)
    if echoes(settings):
        _log.warning("upstream %s has no API key: it echoes, and its costs are notional", name)
        return EchoUpstream(name)
    upstream = OpenAIUpstream(
        name,
        kind=settings.kind,
        base_url=settings.base_url,
        api_key=settings.api_key,
        timeout_s=settings.timeout,
        ask_usage=settings.ask_usage,
        client_keys=settings.credentials == "client",
        client_headers=settings.headers,
        client=settings.client,
    )
    return Retrying(upstream)


def streaming(upstream: Upstream | None) -> OpenAIUpstream | None:
    """The upstream that calls can be passed on to as they come; None where it is of another kind, or echoes."""
    inner = upstream.inner if isinstance(upstream, Retrying) else None
    return inner if isinstance(inner, OpenAIUpstream) else None
