import pytest

from gateway.config.settings import ModelRoute
from gateway.context import RequestedModel, UpstreamModel
from gateway.errors import ModelNotFound
from gateway.upstreams.base import Routes, Target

MODELS = {
    "gpt-4o": ModelRoute(upstream="openai", fallbacks=("claude/claude-sonnet-4", "router/meta/llama")),
    "cheap": ModelRoute(upstream="openai", model="gpt-4o-mini"),
    "judge": ModelRoute(upstream="openai", internal=True),
}


def target(upstream: str, model: str) -> Target:
    return Target(upstream, UpstreamModel(model))


def test_a_model_goes_to_its_upstream_then_to_its_fallbacks() -> None:
    assert Routes(MODELS).for_client(RequestedModel("gpt-4o")) == (
        target("openai", "gpt-4o"),
        target("claude", "claude-sonnet-4"),
        target("router", "meta/llama"),
    )


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


def test_the_name_upstream_of_a_model() -> None:
    routes = Routes(MODELS)
    assert [routes.sent_as(name) for name in ("cheap", "gpt-4o", "nothing", "")] == ["gpt-4o-mini", "gpt-4o", "", ""]


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


def test_what_clients_see_and_what_a_metric_may_name() -> None:
    routes = Routes({**MODELS, "other": ModelRoute(upstream="rest")})
    assert routes.public == ["gpt-4o", "cheap"]
    assert [name for name in ("gpt-4o", "judge", "other", "gpt-5") if routes.known(name)] == ["gpt-4o", "judge"]
