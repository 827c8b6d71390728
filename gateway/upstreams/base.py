"""Upstreams: configured targets that a call can be sent to, and the routes from model names to them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.answers.parse import Completion
from gateway.config.load import OTHER_MODELS
from gateway.config.settings import DENY, ModelRoute
from gateway.context import Headers, RequestedModel, UpstreamModel
from gateway.errors import ModelNotFound
from gateway.ledger.record import Record


@dataclass(slots=True, kw_only=True)
class UpstreamCall:
    """A call to forward. body: the client's JSON with the upstream's model name; headers: the client's that may be sent
    on, never its Authorization."""

    model: UpstreamModel
    body: bytes
    stream: bool
    path: str = "/chat/completions"
    headers: Headers = field(default_factory=list)


Listener = Callable[[Completion | None], Awaitable[None]]
"""Is given an upstream's completion; None of a stream that broke off, was left, or is over 1 MiB."""


@dataclass(kw_only=True, slots=True)
class Answer:
    """An upstream's answer: a whole body, or chunks of bytes as they come.

    headers: those that a client may see. listeners: get the completion of a stream once it has passed.
    """

    status: int
    headers: Headers
    body: bytes = b""
    chunks: AsyncIterator[bytes] | None = None
    listeners: list[Listener] = field(default_factory=list)

    _completion: Completion | None = None

    @property
    def completion(self) -> Completion:
        """A whole answer's completion."""
        if self._completion is None:
            self._completion = Completion(self.body, stream=False)
        return self._completion

    async def listen(self, listener: Listener) -> None:
        """Gives the listener the completion: now where the answer is whole, else at the stream's end."""
        if self.chunks is None:
            await listener(self.completion)
        else:
            self.listeners.append(listener)


class Upstream(Protocol):
    """Raises UpstreamFailed or UpstreamTimeout where there is no answer; an answer of any status is returned.

    name: as configured. notional: its costs are not real (echo). ask_usage: may be asked for usage in streams.
    """

    name: str
    notional: bool
    ask_usage: bool

    async def send(self, call: UpstreamCall) -> Answer:
        """Sends the call. A cancelled task ends the call at the upstream too."""

    async def close(self) -> None:
        """Closes its connections."""


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
        """public: the models that clients see, in the file's order."""
        self._targets = {name: _targets(name, route) for name, route in models.items() if name != OTHER_MODELS}
        self.public = [name for name in self._targets if not models[name].internal]
        other = models.get(OTHER_MODELS)
        self._other = None if other is None or other.upstream == DENY else other.upstream
        self._moderating = frozenset(name for name, route in models.items() if route.endpoint == "moderations")

    def known(self, model: str) -> bool:
        """Whether the name is one of the file's, and so may be a metric's label."""
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
        if model in self.public:
            return self._targets[model]
        if self._other is not None and model not in self._targets:
            return (Target(self._other, UpstreamModel(model)),)
        raise ModelNotFound(f"The model {model!r} does not exist here, or is not open to clients.", param="model")

    def for_rule(self, model: str) -> Sequence[Target]:
        """Where a rule's `forward: model` goes, or its question to a judge."""
        return self._targets[model]


def _targets(name: str, route: ModelRoute) -> tuple[Target, ...]:
    first = Target(route.upstream, UpstreamModel(route.model or name))
    rest = [fallback.partition("/") for fallback in route.fallbacks]
    return (first, *(Target(upstream, UpstreamModel(model)) for upstream, _, model in rest))
