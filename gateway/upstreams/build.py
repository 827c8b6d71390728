"""Settings → upstreams."""

import logging
from collections.abc import Mapping
from typing import assert_never

from gateway.config import schema
from gateway.upstreams.base import Upstream
from gateway.upstreams.echo import EchoUpstream
from gateway.upstreams.litellm import LiteLLMUpstream
from gateway.upstreams.openai import OpenAIUpstream
from gateway.upstreams.retry import Retrying

_log = logging.getLogger(__name__)


def build_upstreams(settings: schema.Settings) -> Mapping[str, Upstream]:
    """One upstream for each that is configured."""
    return {name: _build(name, upstream, settings) for name, upstream in settings.upstreams.items()}


def echoes(settings: schema.Upstream) -> bool:
    """Whether calls to it are answered by an echo, and cost nobody anything."""
    if isinstance(settings, schema.EchoUpstream):
        return True
    return isinstance(settings, schema.OpenAIUpstream) and not settings.api_key and settings.without_key == "echo"


def _build(name: str, settings: schema.Upstream, all_settings: schema.Settings) -> Upstream:
    match settings:
        case schema.EchoUpstream():
            return EchoUpstream(name, delay_s=settings.delay)
        case schema.OpenAIUpstream():
            if echoes(settings):
                _log.warning("upstream %s has no API key: it echoes, and its costs are notional", name)
                return EchoUpstream(name)
            upstream = OpenAIUpstream(
                name,
                base_url=settings.base_url,
                api_key=settings.api_key,
                connect_timeout_s=settings.connect_timeout,
                timeout_s=settings.timeout,
                max_answer_bytes=all_settings.limits.answer,
                ask_usage=settings.ask_usage,
            )
            return Retrying(upstream, settings.retries) if settings.retries else upstream
        case schema.LiteLLMUpstream():
            return LiteLLMUpstream(
                name,
                provider=settings.provider,
                api_key=settings.api_key,
                base_url=settings.base_url,
                timeout_s=settings.timeout,
            )
        case _:
            assert_never(settings)
