"""gateway.yaml as frozen records, addresses of servers, and the folder of shipped files. The attributes' types have
the units: seconds, bytes, shares."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from classifiers import fields
from gateway.config.rules import RuleSettings


def base_fault(address: str) -> str:
    """Why paths cannot be appended to an address; empty where they can. The address is not repeated, for it may hold a
    password."""
    if not re.match(r"https?://[^\s/]+", address):
        return "must begin with http:// or https:// and a host"
    try:
        url = urlsplit(address)
        sound = (url.hostname or "").encode("idna") and url.port != 0
    except ValueError:
        sound = False
    if not sound:
        return "has a host or a port that cannot be"
    if url.username is not None or url.password is not None:
        return "names a user or a password; the key is what api_key: is for"
    return "is what paths are put behind, so it ends before ? and #" if re.search("[?#]", address) else ""


def _checked(address: str) -> str:
    if wrong := base_fault(address):
        raise ValueError(wrong)
    return address


BaseUrl = Annotated[fields.Words, AfterValidator(_checked)]
"""`http://` or `https://` and a host, without a password."""


DENY = "deny"

ALL_PATHS: Final = "all"
ACCOUNT: Final = frozenset({"organization", "organizations", "projects", "dashboard", "billing", "usage", "admin"})
"""First parts of paths that manage the provider's account."""
_NAMED: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_NEVER_A_CLIENTS: Final = re.compile(
    r".*(authori[sz]|authent|cookie|credential|secret|token|password|api-?key).*|(.+-)?key|(proxy|x-forwarded|x-offramp)-.*"
    r"|(content|accept)-.*|connection|expect|forwarded|host|keep-alive|te|trailer|transfer-encoding|upgrade|user-agent"
)
"""Names of headers with credentials, and of those that belong to one connection or body."""


def _passable(names: tuple[str, ...]) -> tuple[str, ...]:
    if names == ("none",):
        return ()
    for name in names:
        if name in ACCOUNT:
            raise ValueError(f"{name} manages the provider's account, and is never passed on")
        if not _NAMED.fullmatch(name) or name == "none" or (name == ALL_PATHS and len(names) > 1):
            raise ValueError(f"{name!r}: write none, all, or a list of first parts of paths behind /v1/, such as files")
    return names


def _travelling(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _NAMED.fullmatch(name):
            raise ValueError(f"{name!r} is no header's name in lower case, such as traceparent")
        if _NEVER_A_CLIENTS.fullmatch(name) and name != "idempotency-key":
            raise ValueError(f"{name} is never sent on from a client's headers")
    return names


def _origins(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#@*,A-Z]+", name):
            raise ValueError(f'{name!r} is no origin, such as https://chat.example or http://127.0.0.1:3000, nor "*"')
    return names


class EchoSettings(fields.FrozenRecord):
    """Answers by itself, from the request: for demos, tests and load tests. Its costs are notional."""

    kind: Literal["echo"]


class OpenAISettings(fields.FrozenRecord):
    """Any server that speaks OpenAI's API, or Anthropic's, whose own address need not be given.

    without_key: what to do where api_key is empty: send none, refuse to start, or echo (and say so).
    ask_usage: ask for usage in streams whose client did not, so that they can be priced.
    passthrough: paths that go on as they are. credentials: whose key goes on with a client's own call. headers: names
    of a client's headers that go on, besides those that always do. client: what sends the calls, besides those that are
    passed on.
    """

    model_config = ConfigDict(json_schema_extra={"required": ["kind"]})

    kind: Literal["openai", "anthropic"]
    base_url: BaseUrl
    api_key: fields.Secret = ""
    without_key: Literal["send", "refuse", "echo"] = "send"
    timeout: Annotated[fields.Seconds, Field(gt=0)] = 600.0
    ask_usage: fields.Flag = True
    passthrough: Annotated[fields.WordsList, AfterValidator(_passable)] = ()
    credentials: Literal["own", "client"] = "own"
    headers: Annotated[fields.WordsList, AfterValidator(_travelling)] = ()
    client: Literal["http1", "aiohttp"] = "http1"

    @model_validator(mode="before")
    @classmethod
    def _at_home(cls, value: Any) -> Any:
        own = isinstance(value, dict) and value.get("kind") == "anthropic"
        return {"base_url": "https://api.anthropic.com/v1", **value} if own else value


class LiteLLMSettings(fields.FrozenRecord):
    """Any provider that litellm reaches (extra `providers`)."""

    kind: Literal["litellm"]
    provider: fields.Words
    api_key: fields.Secret = ""
    base_url: BaseUrl | None = None


UpstreamSettings = Annotated[EchoSettings | OpenAISettings | LiteLLMSettings, Field(discriminator="kind")]


class ModelRoute(fields.FrozenRecord):
    """Where a model name goes: an upstream, the name it is sent under there, and who stands in if it fails.

    fallbacks: `upstream/model`, tried in order before the first byte of an answer.
    internal: clients cannot ask for it. endpoint: what is asked of it; `moderations` only where it is a rule's judge.
    """

    upstream: fields.Words
    model: fields.Words | None = None
    fallbacks: fields.WordsList = ()
    internal: fields.Flag = False
    endpoint: Literal["chat", "moderations"] = "chat"


def _short_route(value: object) -> object:
    return {"upstream": value} if isinstance(value, str) else value


Route = Annotated[ModelRoute, BeforeValidator(_short_route, json_schema_input_type=str | ModelRoute)]


def _keep(value: object) -> object:
    if value in ("none", None):
        return None
    kept_s = fields.parse_duration(value)
    if not kept_s:
        raise ValueError("is no time; to keep nothing, write none")
    return kept_s


Kept = Annotated[float | None, BeforeValidator(_keep, json_schema_input_type=str)]
"""Seconds, or None where nothing is kept."""


class Content(fields.FrozenRecord):
    """How long texts are kept. keep: the inputs of rules that retrain, and, with `calls`, whole forwarded calls for
    `offramp discover`. blocked, unsure: texts that rules blocked or were in doubt of, for `offramp review`. recent:
    what rules read of every request. redact: whether personal data in these three is replaced, whatever rules do."""

    keep: Kept = None
    calls: fields.Flag = False
    blocked: Kept = None
    unsure: Kept = None
    recent: Kept = None
    redact: fields.Flag = False

    @model_validator(mode="after")
    def _for_a_time(self) -> Self:
        if self.calls and self.keep is None:
            raise ValueError("calls are kept for a time: say how long, {keep: 30d, calls: true}")
        if self.redact and self.blocked is None and self.unsure is None and self.recent is None:
            raise ValueError(
                "redact is about texts of blocked, unsure and recent: say how long these are kept, {blocked: 30d}"
            )
        return self


class Limits(fields.FrozenRecord):
    """Bounds on one request: the size of its body, characters of each text for classifiers, and the time for these."""

    body: Annotated[fields.Bytes, Field(gt=0)] = 10 * 1024**2
    text: Annotated[int, BeforeValidator(fields.number), Field(gt=0)] = 200_000
    classify_time: Annotated[fields.Seconds, Field(gt=0)] = 2.0


class LogSettings(fields.FrozenRecord):
    """What is written to stderr: a line for each request, and the program's own lines. level: the least that is."""

    format: Literal["text", "json", "none"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class ConsoleSettings(fields.FrozenRecord):
    """Pages for people, `offramp console`. url: where they open it, if not where it listens. key: what opens it; made
    at each start where it is empty."""

    listen: fields.Words = "127.0.0.1:8081"
    url: BaseUrl | None = None
    key: fields.Secret = ""


def _no_url(ledger: str) -> str:
    if re.match(r"[a-z][a-z0-9+.-]*://", ledger, re.IGNORECASE):
        # not repeated, for it may hold a password
        raise ValueError("is a URL; the ledger is a SQLite file: give a path, such as offramp.db")
    return ledger


class Settings(fields.FrozenRecord):
    """gateway.yaml."""

    version: fields.Version
    listen: fields.Words = "127.0.0.1:8080"
    access_key: fields.Secret = ""
    cors: Annotated[fields.WordsList, AfterValidator(_origins)] = ()
    models_dir: fields.Words = "models"
    ledger: Annotated[fields.Words, AfterValidator(_no_url)] = "offramp.db"
    prices: fields.Words | None = None
    content: Content = Content()
    log: LogSettings = LogSettings()
    console: ConsoleSettings = ConsoleSettings()
    limits: Limits = Limits()
    upstreams: Annotated[dict[fields.Name, UpstreamSettings], Field(min_length=1)]
    models: dict[fields.Words, Route] = Field(default_factory=dict)
    rules: tuple[RuleSettings, ...] = ()

    @model_validator(mode="after")
    def _can_be_served(self) -> Self:
        for rule in self.rules:
            if rule.retrain and self.content.keep is None:
                raise ValueError(f"rule {rule.name} retrains on kept text: say how long with content: {{keep: 30d}}")
        return self


def shipped_dir() -> Path:
    """The folder with gateway.yaml, policies/, schema/, prices.json and replies/: `config/` in a checkout,
    `gateway/shipped/` in the wheel."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "shipped"
    return installed if installed.is_dir() else package.parent / "config"
