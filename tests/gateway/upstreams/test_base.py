import logging
from collections.abc import Callable

import pytest

from gateway.config.load import Loaded
from gateway.config.settings import ModelRoute
from gateway.context import RequestedModel, UpstreamModel
from gateway.errors import ModelNotFound
from gateway.routes import Routes, Target
from gateway.upstreams.dispatch import Retrying, build_upstreams
from gateway.upstreams.echo import EchoUpstream
from gateway.upstreams.litellm import LiteLLMUpstream
from tests.given import table_text

MODELS = {
    "gpt-4o": ModelRoute(upstream="openai", fallbacks=("claude/claude-sonnet-4", "router/meta/llama")),
    "cheap": ModelRoute(upstream="openai", model="gpt-4o-mini"),
    "judge": ModelRoute(upstream="openai", internal=True),
}


def target(upstream: str, model: str) -> Target:
    return Target(upstream, UpstreamModel(model))


@pytest.mark.parametrize("other", [None, "deny"])
@pytest.mark.parametrize("model", ["gpt-5", "judge", "other", "GPT-4O", "deny"])
def test_a_model_that_is_not_open_to_clients(model: str, other: str | None) -> None:
    routes = Routes(MODELS if other is None else {**MODELS, "other": ModelRoute(upstream=other)})
    with pytest.raises(ModelNotFound) as caught:
        routes.for_client(RequestedModel(model))
    assert caught.value.param == "model"


def test_any_other_model_goes_where_other_says_but_never_an_internal_one() -> None:
    routes = Routes({**MODELS, "other": ModelRoute(upstream="rest")})
    assert routes.for_client(RequestedModel("what/ever")) == (target("rest", "what/ever"),)
    with pytest.raises(ModelNotFound):
        routes.for_client(RequestedModel("judge"))


@pytest.mark.parametrize(
    ("model", "first"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("cheap", "openai/gpt-4o-mini"),
        ("judge", "openai/judge"),
        ("what/ever", "rest/what/ever"),
    ],
)
def test_where_a_model_is_sent_first(model: str, first: str) -> None:
    assert Routes({**MODELS, "other": ModelRoute(upstream="rest")}).first(model) == first
    for closed in (MODELS, {**MODELS, "other": ModelRoute(upstream="deny")}):
        assert Routes(closed).first(model) == ("" if model == "what/ever" else first)


TEXT = table_text("given/gateway-upstreams-base-text.yaml")


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
