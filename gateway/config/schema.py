"""gateway.yaml as frozen records. Units are in the attributes' types: seconds, bytes, dollars, shares."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from classifiers.record import Name, Record, Secret, Version, Words, WordsList
from classifiers.units import Bytes, Seconds, parse_duration
from gateway.config.address import Address, BaseUrl
from gateway.config.fields import Flag, not_built
from gateway.config.rules import Rule

DENY = "deny"


class EchoUpstream(Record):
    """Answers by itself, from the request: for demos, tests and load tests. Its costs are notional."""

    kind: Literal["echo"]
    delay: Seconds = 0.0


class OpenAIUpstream(Record):
    """Any server that speaks OpenAI's API.

    without_key: what to do where api_key is empty: send none, refuse to start, or echo (and say so).
    ask_usage: ask for usage in streams whose client did not, so that they can be priced.
    """

    kind: Literal["openai"]
    base_url: BaseUrl
    api_key: Secret = ""
    without_key: Literal["send", "refuse", "echo"] = "send"
    connect_timeout: Annotated[Seconds, Field(gt=0)] = 5.0
    timeout: Annotated[Seconds, Field(gt=0)] = 600.0
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    ask_usage: Flag = True


class LiteLLMUpstream(Record):
    """Any provider that litellm reaches (extra `providers`)."""

    kind: Literal["litellm"]
    provider: Words
    api_key: Secret = ""
    base_url: Address | None = None
    timeout: Annotated[Seconds, Field(gt=0)] = 600.0


Upstream = Annotated[EchoUpstream | OpenAIUpstream | LiteLLMUpstream, Field(discriminator="kind")]


class ModelRoute(Record):
    """Where a model name goes: an upstream, the name it is sent under there, and who stands in if it fails.

    fallbacks: `upstream/model`, tried in order before the first byte of an answer.
    internal: clients cannot ask for it. endpoint: what is asked of it; `moderations` only where it is a rule's judge.
    """

    upstream: Words
    model: Words | None = None
    fallbacks: WordsList = ()
    internal: Flag = False
    endpoint: Literal["chat", "moderations"] = "chat"


def _short_route(value: object) -> object:
    return {"upstream": value} if isinstance(value, str) else value


Route = Annotated[ModelRoute, BeforeValidator(_short_route, json_schema_input_type=str | ModelRoute)]


def _keep(value: object) -> object:
    if value in ("none", None):
        return None
    kept_s = parse_duration(value)
    if not kept_s:
        raise ValueError("is no time; to keep nothing, write none")
    return kept_s


class Content(Record):
    """What is kept of the texts themselves, for so long: of the calls of rules that retrain their input; with calls,
    of all forwarded calls the request and the answer, for `offramp discover`."""

    keep: Annotated[float | None, BeforeValidator(_keep, json_schema_input_type=str)] = None
    calls: Flag = False

    @model_validator(mode="after")
    def _for_a_time(self) -> Self:
        if self.calls and self.keep is None:
            raise ValueError("calls are kept for a time: say how long, {keep: 30d, calls: true}")
        return self


class Limits(Record):
    """Bounds on one request and on the classifiers' queue."""

    body: Annotated[Bytes, Field(gt=0)] = 10 * 1024**2
    answer: Annotated[Bytes, Field(gt=0)] = 32 * 1024**2
    header_time: Annotated[Seconds, Field(gt=0)] = 10.0
    body_time: Annotated[Seconds, Field(gt=0)] = 30.0
    classify_time: Annotated[Seconds, Field(gt=0)] = 2.0
    queue: Annotated[int, Field(ge=1, le=65536)] = 256
    drain_time: Seconds = 20.0


def _no_url(ledger: str) -> str:
    if re.match(r"[a-z][a-z0-9+.-]*://", ledger, re.IGNORECASE):
        # not repeated, for it may hold a password
        raise ValueError("is a URL; the ledger is a SQLite file: give a path, such as offramp.db")
    return ledger


class Settings(Record):
    """gateway.yaml."""

    version: Version
    listen: Words = "127.0.0.1:8080"
    access_key: Secret = ""
    models_dir: Words = "models"
    ledger: Annotated[Words, AfterValidator(_no_url)] = "offramp.db"
    prices: Words | None = None
    workers: Annotated[int, Field(ge=1)] = 1
    classifier_threads: Annotated[int, Field(ge=1, le=64)] = 1
    content: Content = Content()
    limits: Limits = Limits()
    upstreams: Annotated[dict[Name, Upstream], Field(min_length=1)]
    models: dict[Words, Route] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _keeps_what_it_trains_on(self) -> Self:
        for rule in self.rules:
            if rule.retrain and self.content.keep is None:
                raise ValueError(f"rule {rule.name} retrains on kept text: say how long with content: {{keep: 30d}}")
        return self

    @model_validator(mode="after")
    def _one_worker(self) -> Self:
        if self.workers != 1:
            raise ValueError(not_built("workers: more than 1"))
        return self
