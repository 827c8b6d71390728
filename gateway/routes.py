"""Routes: where the calls of each model are sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.config.load import OTHER_MODELS
from gateway.config.settings import DENY, ModelRoute
from gateway.context import RequestedModel, UpstreamModel
from gateway.errors import BadRequest, ModelNotFound
from gateway.record import Record


@dataclass(frozen=True, slots=True)
class Target:
    """One place to send a call to."""

    upstream: str
    model: UpstreamModel

    def answered(self, record: Record) -> bool:
        """Whether the call was sent here last."""
        return record.upstream == self.upstream and record.upstream_model == self.model


class Routes:
    """The `models` of gateway.yaml."""

    def __init__(self, models: Mapping[str, ModelRoute]) -> None:
        """public: the models that clients see, in the file's order. other: the upstream of names without a line."""
        self._targets = {name: _targets(name, route) for name, route in models.items() if name != OTHER_MODELS}
        self.public = [name for name in self._targets if not models[name].internal]
        other = models.get(OTHER_MODELS)
        self.other = None if other is None or other.upstream == DENY else other.upstream
        self._names = {*self._targets, *(str(one.model) for targets in self._targets.values() for one in targets)}
        self._moderating = frozenset(name for name, route in models.items() if route.endpoint == "moderations")

    def known(self, model: str) -> bool:
        """Whether the name is one of the file's, and so may be a metric's label."""
        return model in self._targets

    def named(self, model: str) -> bool:
        """Whether the file has the name, also as that under which a model is sent; so clients cannot invent it."""
        return model in self._names

    def sent_as(self, model: str) -> str:
        """The name under which a model of the file is sent upstream; empty for any other."""
        targets = self._targets.get(model)
        return str(targets[0].model) if targets else ""

    def first(self, model: str) -> str:
        """Where any model is sent first, as `upstream/model`; empty where it is sent nowhere."""
        targets = self._targets.get(model)
        if targets:
            return f"{targets[0].upstream}/{targets[0].model}"
        return f"{self.other}/{model}" if self.other is not None else ""

    def moderates(self, model: str) -> bool:
        """Whether a model of the file is a moderation endpoint."""
        return model in self._moderating

    def for_client(self, model: RequestedModel) -> Sequence[Target]:
        """Where a client's model goes. Raises ModelNotFound, and BadRequest for a body without one."""
        if model in self.public:
            return self._targets[model]
        if self.other is not None and model not in self._targets:
            return (Target(self.other, UpstreamModel(model)),)
        if not model:
            raise BadRequest("model: is missing", param="model")
        why = f"The model {model!r} does not exist here, or is not open to clients: see models: in gateway.yaml"
        raise ModelNotFound(why, param="model")

    def for_rule(self, model: str) -> Sequence[Target]:
        """Where a rule's `forward: model` goes, or its question to a judge."""
        return self._targets[model]


def _targets(name: str, route: ModelRoute) -> tuple[Target, ...]:
    first = Target(route.upstream, UpstreamModel(route.model or name))
    rest = [fallback.partition("/") for fallback in route.fallbacks]
    return (first, *(Target(upstream, UpstreamModel(model)) for upstream, _, model in rest))
