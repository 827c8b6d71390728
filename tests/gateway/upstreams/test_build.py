import logging
from collections.abc import Callable

import pytest

from gateway.config.load import Loaded
from gateway.upstreams.build import build_upstreams
from gateway.upstreams.dispatch import Retrying
from gateway.upstreams.echo import EchoUpstream
from gateway.upstreams.litellm import LiteLLMUpstream

TEXT = """\
version: 1
upstreams:
  echo: {kind: echo}
  keyless: {kind: openai, base_url: "http://127.0.0.1:1", without_key: echo, api_key: "${K:-}"}
  plain: {kind: openai, base_url: "http://127.0.0.1:1", ask_usage: false}
  again: {kind: openai, base_url: "http://127.0.0.1:1", api_key: "${KEY}"}
  claude: {kind: litellm, provider: anthropic, api_key: "${KEY}"}
"""


def test_each_kind_is_built(load: Callable[..., Loaded], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        built = build_upstreams(load(TEXT, {"KEY": "sk-secret"}).settings)
    assert {name: type(upstream) for name, upstream in built.items()} == {
        "echo": EchoUpstream,
        "keyless": EchoUpstream,
        "plain": Retrying,
        "again": Retrying,
        "claude": LiteLLMUpstream,
    }
    assert [name for name, upstream in built.items() if upstream.notional] == ["echo", "keyless"]
    assert [name for name, upstream in built.items() if not upstream.ask_usage] == ["plain"]
    assert all(upstream.name == name for name, upstream in built.items())
    assert "keyless has no API key" in caplog.text
    assert "sk-secret" not in caplog.text


def test_with_its_key_an_upstream_does_not_echo(load: Callable[..., Loaded]) -> None:
    built = build_upstreams(load(TEXT, {"KEY": "sk-secret", "K": "sk-1"}).settings)
    assert isinstance(built["keyless"], Retrying)
