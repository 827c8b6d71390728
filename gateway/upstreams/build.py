"""Builds upstreams from settings."""

import logging
from collections.abc import Mapping
from typing import assert_never

from gateway.config.settings import EchoSettings, LiteLLMSettings, OpenAISettings, Settings, UpstreamSettings
from gateway.upstreams.base import Upstream
from gateway.upstreams.dispatch import Retrying
from gateway.upstreams.echo import EchoUpstream
from gateway.upstreams.litellm import LiteLLMUpstream
from gateway.upstreams.openai import OpenAIUpstream

_log = logging.getLogger(__name__)


def build_upstreams(settings: Settings) -> Mapping[str, Upstream]:
    """One upstream for each that is configured."""
    return {name: _build(name, upstream) for name, upstream in settings.upstreams.items()}


def echoes(settings: UpstreamSettings) -> bool:
    """Whether the upstream is an echo, whose calls cost nothing."""
    if isinstance(settings, EchoSettings):
        return True
    return isinstance(settings, OpenAISettings) and not settings.api_key and settings.without_key == "echo"


def _build(name: str, settings: UpstreamSettings) -> Upstream:
    match settings:
        case EchoSettings():
            return EchoUpstream(name)
        case OpenAISettings():
            if echoes(settings):
                _log.warning("upstream %s has no API key: it echoes, and its costs are notional", name)
                return EchoUpstream(name)
            upstream = OpenAIUpstream(
                name,
                base_url=settings.base_url,
                api_key=settings.api_key,
                timeout_s=settings.timeout,
                ask_usage=settings.ask_usage,
            )
            return Retrying(upstream)
        case LiteLLMSettings():
            return LiteLLMUpstream(
                name,
                provider=settings.provider,
                api_key=settings.api_key,
                base_url=settings.base_url,
            )
        case _:
            assert_never(settings)
