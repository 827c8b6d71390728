"""Model names → the upstreams and names they are sent to, first choice first. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.config.load import OTHER_MODELS
from gateway.config.schema import DENY, ModelRoute
from gateway.errors import ModelNotFound
from gateway.ledger.record import Record
from gateway.types import RequestedModel, UpstreamModel


@dataclass(frozen=True, slots=True)
class Target:
    """One place to send a call to."""

    upstream: str
    model: UpstreamModel


class Routes:
    """The `models` of gateway.yaml."""

    def __init__(self, models: Mapping[str, ModelRoute]) -> None:
        self._targets = {name: _targets(name, route) for name, route in models.items() if name != OTHER_MODELS}
        self._public = [name for name, route in models.items() if name != OTHER_MODELS and not route.internal]
        other = models.get(OTHER_MODELS)
        self._other = None if other is None or other.upstream == DENY else other.upstream
        self._asked = frozenset(self._public)
        self._moderating = frozenset(name for name, route in models.items() if route.endpoint == "moderations")

    @property
    def public(self) -> Sequence[str]:
        """The models that clients see, in the file's order."""
        return self._public

    def known(self, model: str) -> bool:
        """Whether the name is one of the file's, so that it may be a metric's label."""
        return model in self._targets

    def sent_as(self, model: str) -> str:
        """The name under which a model of the file is sent upstream; empty for any other."""
        targets = self._targets.get(model)
        return str(targets[0].model) if targets else ""

    def first(self, model: str) -> str:
        """Where any model is sent first, as `upstream/model`; empty where it is sent nowhere."""
        targets = self._targets.get(model)
        if targets:
            return f"{targets[0].upstream}/{targets[0].model}"
        return f"{self._other}/{model}" if self._other is not None else ""

    def moderates(self, model: str) -> bool:
        """Whether a model of the file is a moderation endpoint."""
        return model in self._moderating

    def for_client(self, model: RequestedModel) -> Sequence[Target]:
        """Where a client's model goes. Raises ModelNotFound."""
        if model in self._asked:
            return self._targets[model]
        if self._other is not None and model not in self._targets:
            return (Target(self._other, UpstreamModel(model)),)
        raise ModelNotFound(f"The model {model!r} does not exist here, or is not open to clients.", param="model")

    def for_rule(self, model: str) -> Sequence[Target]:
        """Where a rule's `forward: model` goes, or its question to a judge."""
        return self._targets[model]


def answered_by(record: Record) -> Target:
    """The target that a call was sent to last."""
    return Target(record.upstream, UpstreamModel(record.upstream_model))


def _targets(name: str, route: ModelRoute) -> tuple[Target, ...]:
    first = Target(route.upstream, UpstreamModel(route.model or name))
    rest = [fallback.partition("/") for fallback in route.fallbacks]
    return (first, *(Target(upstream, UpstreamModel(model)) for upstream, _, model in rest))
