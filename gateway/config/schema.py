"""gateway.yaml as frozen records. Units are in the attributes' types: seconds, bytes, dollars, shares."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from classifiers.policy import Name, Record, Version, Words, WordsList
from classifiers.units import Bytes, Seconds, Share, parse_duration

DENY = "deny"
_BARE = ("block", "flag", "forward", "redact")
FallThrough = Literal["forward", "block"]
Role = Literal["system", "developer", "user", "assistant", "tool"]


def _not_built(what: str) -> str:
    return f"{what} is not built yet; this version refuses it instead of ignoring it"


def _true_or_false(value: object) -> object:
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise ValueError(f"{value!r} is neither true nor false")
        return value == "true"
    return value


Flag = Annotated[bool, BeforeValidator(_true_or_false)]


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
    base_url: Annotated[Words, Field(pattern=r"^https?://[^\s/]+")]
    api_key: str = ""
    without_key: Literal["send", "refuse", "echo"] = "send"
    connect_timeout: Seconds = 5.0
    timeout: Seconds = 600.0
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    ask_usage: Flag = True


class LiteLLMUpstream(Record):
    """Any provider that litellm reaches (extra `providers`)."""

    kind: Literal["litellm"]
    provider: Words
    api_key: str = ""
    base_url: Words | None = None
    timeout: Seconds = 600.0


Upstream = Annotated[EchoUpstream | OpenAIUpstream | LiteLLMUpstream, Field(discriminator="kind")]


class ModelRoute(Record):
    """Where a model name goes: an upstream, the name it is sent under there, and who stands in if it fails.

    fallbacks: `upstream/model`, tried in order before the first byte of an answer.
    internal: clients cannot ask for it.
    """

    upstream: Words
    model: Words | None = None
    fallbacks: WordsList = ()
    internal: Flag = False


def _short_route(value: object) -> object:
    return {"upstream": value} if isinstance(value, str) else value


Route = Annotated[ModelRoute, BeforeValidator(_short_route, json_schema_input_type=str | ModelRoute)]


class When(Record):
    """Which requests a rule sees; all that is given must hold."""

    model: WordsList = ()
    system_glob: Words | None = None


Literally = Annotated[str, StringConstraints(min_length=1)]
"""Text in which blanks count."""


def _compiles(value: str | None) -> str | None:
    try:
        re.compile(value or "", re.DOTALL)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return value


Path = Annotated[str, StringConstraints(pattern=r"^(\[\d+\]|[^.\[\]]+)(\[\d+\]|\.[^.\[\]]+)*$")]
"""Keys and list indexes in JSON: `ticket.messages[0].text`."""


class Reads(Record):
    """Which text a rule's classifier reads.

    roles: whose messages; turns: the last of the user's turns, or all; output: the model's answer as well.
    after, before, regex, json_path: which part of each text is the input.
    """

    roles: Annotated[tuple[Role, ...] | None, BeforeValidator(lambda v: [v] if isinstance(v, str) else v)] = None
    turns: Literal["last", "all"] | None = None
    output: Flag = False
    max_windows: Annotated[int, Field(ge=1, le=4096)] = 512
    after: Literally | None = None
    before: Literally | None = None
    regex: Annotated[Words | None, AfterValidator(_compiles)] = None
    json_path: Path | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [self.after or self.before, self.regex, self.json_path]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("takes either after and before, or regex, or json_path")
        if self.output and any(ways):
            raise ValueError("an answer has no template: output goes without after, before, regex and json_path")
        return self


class Block(Record):
    """A block with its sentence, sent as an answer (people see it) or as an HTTP error."""

    message: Words = "This request was declined by the policy of this service."
    shape: Literal["message", "error"] = "message"


def _short_block(value: object) -> object:
    return {} if value in ("true", True) else {"message": value} if isinstance(value, str) else value


OWN_LABEL = "label"
"""As an answer: the label itself, in the shape that the caller asks for."""


class Redact(Record):
    """What was found is replaced by placeholders. restore: put back into the answer."""

    restore: Flag = False


def _short_redact(value: object) -> object:
    return {} if value in ("true", True) else value


class Then(Record):
    """What to do for a label: exactly one of these. answer: a text, or `label` for the label in the caller's shape."""

    block: Annotated[Block | None, BeforeValidator(_short_block, json_schema_input_type=str | bool | Block)] = None
    redact: Annotated[Redact | None, BeforeValidator(_short_redact, json_schema_input_type=bool | Redact)] = None
    answer: Words | None = None
    answer_file: Words | None = None
    forward: Words | None = None
    flag: Flag = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        chosen = [name for name in type(self).model_fields if getattr(self, name)]
        if len(chosen) != 1:
            raise ValueError(
                f"needs exactly one of block, redact, answer, answer_file, forward, flag; has {len(chosen)}"
            )
        return self


def _short_then(value: object) -> object:
    """Bare words stand for the obvious: block, flag, forward."""
    if isinstance(value, str) and value not in _BARE and value in Then.model_fields:
        raise ValueError(f"{value} needs its text: {{{value}: …}}")
    return {value: "true"} if isinstance(value, str) else value


Action = Annotated[
    Then,
    BeforeValidator(_short_then, json_schema_input_type=Literal["block", "flag", "forward", "redact"] | Then),
]


def _fall_through(value: object) -> object:
    if isinstance(value, dict) and "ask" in value:
        raise ValueError(_not_built("ask"))
    return value


Otherwise = Annotated[FallThrough | None, BeforeValidator(_fall_through)]


class Contract(Record):
    """Lets a rule answer only while a bound holds on how often it disagrees with the model that the client asks for.

    max_disagreement: of the calls that it answers, with a chance of `confidence`; notice_within: how long it may take
    until audits notice twice as much.
    """

    max_disagreement: Annotated[Share, Field(gt=0, le=0.5)] = 0.02
    confidence: Annotated[Share, Field(ge=0.5, lt=1)] = 0.95
    notice_within: Annotated[Seconds, Field(gt=0)] = 7 * 86400.0


def _short_contract(value: object) -> object:
    return {} if value in ("true", True) else value


def _pairs(value: object) -> object:
    """`500 pairs` or 500."""
    return value.removesuffix("pairs").strip() if isinstance(value, str) else value


class Retrain(Record):
    """Trains the rule's classifier anew on its own calls, in the background; it takes over when it answers more calls
    under the same bound. every: so many kept pairs."""

    every: Annotated[int, BeforeValidator(_pairs, json_schema_input_type=str | int), Field(ge=50)] = 500


class Rule(Record):
    """Binds a classifier to requests and says what to do per label; `*` stands for every label but `other`.

    when_unsure, when_unread, when_broken: what to do where the classifier abstains. Left out, a safety
    classifier forwards what it is unsure of and blocks the other two; the other kinds forward.
    aliases: other words for labels, in callers' requests and models' answers. contract: the bound under which it
    answers. retrain: when its classifier is trained on what the model answered.
    """

    name: Name
    classifier: Name
    when: When = When()
    reads: Reads = Reads()
    then: Annotated[dict[Words, Action], Field(min_length=1)]
    aliases: dict[Words, WordsList] = Field(default_factory=dict)
    when_unsure: Otherwise = None
    when_unread: Otherwise = None
    when_broken: Otherwise = None
    contract: Annotated[Contract | None, BeforeValidator(_short_contract, json_schema_input_type=bool | Contract)] = (
        None
    )

    retrain: Retrain | None = None

    @model_validator(mode="after")
    def _retrains_under_a_contract(self) -> Self:
        if self.retrain and not self.contract:
            raise ValueError("retrain needs a contract, which compares the new classifier with the old")
        return self

    @model_validator(mode="after")
    def _a_contract_is_on_labels(self) -> Self:
        if self.contract and any(then.answer != OWN_LABEL for then in self.then.values()):
            raise ValueError("under a contract a rule answers with labels and does nothing else: {answer: label}")
        return self

    @model_validator(mode="after")
    def _output_only_blocks(self) -> Self:
        if self.reads.output and any(then.answer or then.answer_file for then in self.then.values()):
            raise ValueError("a rule that reads output can block, redact, forward or flag, not answer")
        return self

    @model_validator(mode="after")
    def _redacts_all_text(self) -> Self:
        if self.reads.turns == "last" and any(then.redact for then in self.then.values()):
            raise ValueError("a rule that redacts reads all turns, since clients send the earlier ones again")
        part = self.reads.after or self.reads.before or self.reads.regex or self.reads.json_path
        if part and any(then.redact for then in self.then.values()):
            raise ValueError("a rule that redacts reads whole texts, without after, before, regex and json_path")
        return self


def _keep(value: object) -> object:
    return None if value in ("none", None) else parse_duration(value)


class Content(Record):
    """What is kept of the texts themselves: of the calls of rules that retrain, for so long."""

    keep: Annotated[float | None, BeforeValidator(_keep, json_schema_input_type=str)] = None


class Limits(Record):
    """Bounds on one request and on the classifiers' queue."""

    body: Annotated[Bytes, Field(gt=0)] = 10 * 1024**2
    answer: Annotated[Bytes, Field(gt=0)] = 32 * 1024**2
    header_time: Annotated[Seconds, Field(gt=0)] = 10.0
    body_time: Annotated[Seconds, Field(gt=0)] = 30.0
    classify_time: Annotated[Seconds, Field(gt=0)] = 2.0
    queue: Annotated[int, Field(ge=1, le=65536)] = 256
    drain_time: Seconds = 20.0


class Settings(Record):
    """gateway.yaml."""

    version: Version
    listen: Words = "127.0.0.1:8080"
    access_key: str = ""
    models_dir: Words = "models"
    ledger: Words = "offramp.db"
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
            raise ValueError(_not_built("workers: more than 1"))
        return self
