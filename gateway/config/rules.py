"""`rules:` of gateway.yaml as frozen records: which calls, which text, what to do for each label, under which bound."""

from typing import Annotated, Literal, Self

import regex
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, StringConstraints, Tag, model_validator

from classifiers.fields import Flag, FrozenRecord, Name, Share, Words, WordsList, one_or_more

_BARE = ("block", "flag", "forward", "redact")
FallThrough = Literal["forward", "block"]
Role = Literal["system", "developer", "user", "assistant", "tool"]
Endpoint = Literal["chat.completions", "responses", "messages", "messages.count_tokens", "completions", "embeddings"]


class SystemTemplate(FrozenRecord):
    """A system prompt by the fingerprint of its template, as `offramp explain` prints it."""

    template: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


Prompts = Annotated[
    tuple[Words | SystemTemplate, ...],
    BeforeValidator(one_or_more, json_schema_input_type=str | SystemTemplate | list[str | SystemTemplate]),
    Field(min_length=1),
]


class When(FrozenRecord):
    """Which requests a rule sees; all that is given must hold.

    endpoint: the wire formats. system: the system prompts of its task: `none` (no system prompt), a text, a glob, or a
    template's fingerprint; one or a list. any_end: whether a glob of a rule that answers may leave a prompt's beginning
    or end open. any_system: whatever the system prompt. turns: whether a fixed text answers a conversation's first turn
    only, or any.
    """

    model: WordsList = ()
    endpoint: Annotated[
        tuple[Endpoint, ...], BeforeValidator(one_or_more, json_schema_input_type=Endpoint | tuple[Endpoint, ...])
    ] = ()
    system: Prompts | None = None
    any_end: Flag = False
    any_system: Flag = False
    turns: Literal["first", "any"] = "first"

    @model_validator(mode="after")
    def _one_system(self) -> Self:
        if self.system is not None and self.any_system:
            raise ValueError("takes either system or any_system")
        return self

    @property
    def open_globs(self) -> tuple[int, ...]:
        """Which of the system prompts are globs for prompts that may begin or end with whatever text."""
        texts = [each.strip("?") if isinstance(each, str) else "" for each in self.system or ()]
        return tuple(place for place, text in enumerate(texts) if text[:1] == "*" or text[-1:] == "*")


Literally = Annotated[str, StringConstraints(min_length=1)]
"""Text in which blanks count."""


def _compiles(value: str) -> str:
    # a block of YAML ends with a line end; other blanks at a pattern's ends are meant
    value = value.strip("\r\n")
    try:
        regex.compile(value, regex.DOTALL)
    except regex.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return value


class ReadsSettings(FrozenRecord):
    """Which text a rule's classifier reads.

    roles: whose messages; turns: the last of the user's turns, or all; output: the model's answer as well. release: of
    a streamed answer, whether each sentence passes once it has been read, or all of it at its end.
    after, before, regex: which part of each text is the input.
    """

    roles: Annotated[
        tuple[Role, ...] | None, BeforeValidator(one_or_more, json_schema_input_type=Role | tuple[Role, ...])
    ] = None
    turns: Literal["last", "all"] | None = None
    output: Flag = False
    release: Literal["whole", "sentence"] = "whole"
    after: Literally | None = None
    before: Literally | None = None
    regex: Annotated[Literally, AfterValidator(_compiles)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        surrounded = self.after or self.before
        if surrounded and self.regex:
            raise ValueError("takes either after and before, or regex")
        if self.roles == () and not self.output:
            raise ValueError("reads nothing: roles: [] is for a rule that reads output alone")
        if self.output and (surrounded or self.regex):
            raise ValueError("an answer has no template: output goes without after, before and regex")
        return self


class Block(FrozenRecord):
    """A block with its sentence, sent as an answer (people see it) or as an HTTP error."""

    message: Words = "This request was declined by the policy of this service."
    shape: Literal["message", "error"] = "message"


_SWITCHES = frozenset({"true", "false", "yes", "no", "on", "off"})
"""Words that other readers of YAML take for true or false."""


def _short_block(value: object) -> object:
    if value in ("true", True):
        return {}
    if not isinstance(value, str):
        return value
    if value.strip().lower() in _SWITCHES:
        raise ValueError(f"takes a sentence, or true, not {value!r}; to block nothing, leave the label out")
    return {"message": value}


OWN_LABEL = "label"
"""As an answer: the label itself, in the shape that the caller asks for."""


def _how_to_redact(value: object) -> object:
    if value not in (True, "true", "restore"):
        raise ValueError("takes one word: write redact: restore to put the values back, or redact alone")
    return "true" if value is True else value


def _defaults(value: object) -> object:
    """`true` stands for a mapping with the defaults."""
    return {} if value in ("true", True) else value


class Then(FrozenRecord):
    """What to do for a label: exactly one of these.

    redact: put placeholders in place of what the classifier found; `restore`: and put the values back into the answer.
    answer: a text, or `label`: the label in the requested format.
    """

    block: Annotated[
        Block | None, BeforeValidator(_short_block, json_schema_input_type=str | Literal[True] | Block)
    ] = None
    redact: Annotated[
        Literal["true", "restore"] | None,
        BeforeValidator(_how_to_redact, json_schema_input_type=Literal[True, "restore"]),
    ] = None
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
    if isinstance(value, str) and value not in _BARE and value in Then.model_fields:
        raise ValueError(f"{value} needs its text: {{{value}: …}}")
    if isinstance(value, str) and len(value.split()) > 1:
        raise ValueError(f'is no action; to answer with it, write {{answer: "{value[:40]}"}}')
    return {value: "true"} if isinstance(value, str) else value


Action = Annotated[
    Then, BeforeValidator(_short_then, json_schema_input_type=Literal["block", "flag", "forward", "redact"] | Then)
]


class AskJudge(FrozenRecord):
    """Asks a judge: a model of this file that reads the policy's text, or a moderation endpoint. `when_broken` applies
    where it fails or takes too long."""

    ask: Words


class OtherClassifier(FrozenRecord):
    """Another classifier reads what the rule's own cannot for its language; what it says counts as the rule's."""

    classifier: Name


class FieldSource(FrozenRecord):
    """What fills a field: one of the policy's slots, or the label of another classifier on the same text.

    aliases: other words for labels of that classifier.
    """

    slot: Name | None = None
    classifier: Name | None = None
    aliases: dict[Words, WordsList] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.slot is None) == (self.classifier is None):
            raise ValueError("is filled by one source: {slot: …} or {classifier: …}")
        if self.aliases and self.classifier is None:
            raise ValueError("aliases are other words for a classifier's labels; a slot has values: in its policy")
        return self


def _as_written(value: object) -> str:
    return "mapping" if isinstance(value, dict | FrozenRecord) else "word"


def _asks_whom(value: object) -> str:
    if isinstance(value, OtherClassifier) or (isinstance(value, dict) and "classifier" in value):
        return "classifier"
    return _as_written(value)


WhenUnsure = Annotated[
    Annotated[FallThrough, Tag("word")] | Annotated[AskJudge, Tag("mapping")], Discriminator(_as_written)
]
WhenLanguage = Annotated[
    Annotated[FallThrough, Tag("word")]
    | Annotated[AskJudge, Tag("mapping")]
    | Annotated[OtherClassifier, Tag("classifier")],
    Discriminator(_asks_whom),
]
FilledBy = Annotated[
    Annotated[Literal["label", "confidence"], Tag("word")] | Annotated[FieldSource, Tag("mapping")],
    Discriminator(_as_written),
]


WhenLate = Literal["forward", "block", "error"]


class ContractSettings(FrozenRecord):
    """Lets a rule answer only while a bound holds on how often it disagrees with the model that the client asks for;
    and one that asks a judge decide by itself only while two bounds hold on how often it disagrees with the judge.

    max_disagreement: of the calls that it answers, with a chance of `confidence`. max_missed: of what the judge calls
    unsafe; max_false_alarms: of what it calls safe.
    """

    max_disagreement: Annotated[Share, Field(gt=0, le=0.5)] = 0.02
    max_missed: Annotated[Share, Field(gt=0, le=0.5)] = 0.05
    max_false_alarms: Annotated[Share, Field(gt=0, le=0.5)] = 0.02
    confidence: Annotated[Share, Field(ge=0.5, lt=1)] = 0.95


def _switch(value: object) -> object:
    if str(value).removesuffix("pairs").strip().isdecimal():
        raise ValueError("is true or false, since training has a schedule of its own: write retrain: true")
    return value


class RuleSettings(FrozenRecord):
    """Binds a classifier to requests and says what to do per label; `*` stands for every label but `other`.

    when_unsure, when_unread, when_late, when_broken: what to do where the classifier abstains. Left out, all forward,
    but that a safety classifier blocks where it is broken, and a rule that redacts where it is broken or unread; where
    either is late, the client gets an error and is to ask again. Of safety, what is unsure can be put to a judge, whose
    verdict then stands in place of the classifier's. when_language: the same of text in a language that the policy
    does not name, or the classifier that reads it; left out, and where that one cannot read it either, what
    when_unsure says.
    with_lists: whether a classifier that names one label fills a list of labels with it.
    fields: what fills a field of a schema, by the field's name: `label`, `confidence`, `{slot: …}` or `{classifier:
    …}`; needed where several fields could take the label. ignores: fields that are not compared: left out, or given
    this value where a schema requires them. order: whether lists have to be in the model's order.
    aliases: other words for labels, in callers' requests and models' answers. contract: the bound under which it
    answers. retrain: whether its classifier is trained anew on what the model answers, in the background.
    """

    name: Name
    classifier: Name
    when: When = When()
    reads: ReadsSettings = ReadsSettings()
    then: Annotated[dict[Words, Action], Field(min_length=1)]
    with_lists: Literal["forward", "answer"] = "forward"
    fields: dict[Words, FilledBy] = Field(default_factory=dict)
    ignores: dict[Words, str] = Field(default_factory=dict)
    order: Literal["kept", "free"] = "kept"
    aliases: dict[Words, WordsList] = Field(default_factory=dict)
    when_unsure: WhenUnsure | None = None
    when_language: WhenLanguage | None = None
    when_unread: FallThrough | None = None
    when_late: WhenLate | None = None
    when_broken: FallThrough | None = None
    contract: Annotated[
        ContractSettings | None, BeforeValidator(_defaults, json_schema_input_type=Literal[True] | ContractSettings)
    ] = None
    retrain: Annotated[bool, BeforeValidator(_switch)] = False

    @property
    def other_languages(self) -> str | None:
        """The classifier that reads other languages than the rule's own, if there is one."""
        return self.when_language.classifier if isinstance(self.when_language, OtherClassifier) else None

    @property
    def judge(self) -> str | None:
        """The model that judges in the classifier's place, if there is one."""
        return next((asked for _, asked in self.asked), None)

    @property
    def asked(self) -> tuple[tuple[str, str], ...]:
        """The settings that ask a judge, each with the judge's model."""
        settings = (("when_unsure", self.when_unsure), ("when_language", self.when_language))
        return tuple((name, value.ask) for name, value in settings if isinstance(value, AskJudge))

    @property
    def answers(self) -> bool:
        """Whether any of its labels calls for an answer."""
        return any(then.answer or then.answer_file for then in self.then.values())

    @model_validator(mode="after")
    def _one_judge(self) -> Self:
        if len({model for _, model in self.asked}) > 1:
            raise ValueError("asks one judge: when_unsure and when_language must name the same model")
        return self

    @model_validator(mode="after")
    def _bounds_of_its_kind(self) -> Self:
        if self.retrain and not self.contract:
            raise ValueError("retrain needs a contract, which compares the new classifier with the old")
        if self.contract and self.other_languages:
            raise ValueError("a contract with when_language: {classifier: …} is not built yet")
        given = self.contract.model_fields_set if self.contract else set()
        if not isinstance(self.when_unsure, AskJudge):
            if given & {"max_missed", "max_false_alarms"}:
                raise ValueError("max_missed and max_false_alarms are held against a judge: when_unsure: {ask: …}")
            if self.contract and any(then.answer != OWN_LABEL for then in self.then.values()):
                raise ValueError(
                    "under a contract a rule answers with labels and does nothing else: {answer: label}; or it is a "
                    "safety rule that is held against its judge: when_unsure: {ask: …}"
                )
            return self
        if "max_disagreement" in given:
            raise ValueError("with a judge a contract takes max_missed, max_false_alarms and confidence")
        if self.contract and self.reads.output:
            raise ValueError("a contract on a rule that reads output is not built yet")
        if self.retrain:
            raise ValueError("retrain on what a judge says is not built yet")
        return self

    @model_validator(mode="after")
    def _actions_fit_what_is_read(self) -> Self:
        reads, actions = self.reads, self.then.values()
        if reads.output and self.answers:
            raise ValueError("a rule that reads output can block, redact, forward or flag, not answer")
        if reads.release == "sentence" and not (reads.output or any(then.redact == "restore" for then in actions)):
            raise ValueError("release: sentence is for a rule that reads output: true, or has redact: restore")
        if not any(then.redact for then in actions):
            return self
        if reads.turns == "last":
            raise ValueError("a rule that redacts reads all turns, since clients send the earlier ones again")
        if reads.after or reads.before or reads.regex:
            raise ValueError("a rule that redacts reads whole texts, without after, before and regex")
        return self

    @property
    def bindings(self) -> tuple[tuple[tuple[str, ...], str], ...]:
        """The classifiers that it binds, its own first, each with the place that names it."""
        sources = self.fields.items()
        others = [(name, source.classifier) for name, source in sources if isinstance(source, FieldSource)]
        reader = self.other_languages
        return (
            (("classifier",), self.classifier),
            *(((("when_language", "classifier"), reader),) if reader else ()),
            *((("fields", name, "classifier"), other) for name, other in others if other is not None),
        )

    @model_validator(mode="after")
    def _answers_its_own_task(self) -> Self:
        if self.answers and self.when.system is None and not self.when.any_system:
            raise ValueError(
                "answers, so it has to say which calls are its task: when: {system: none} for calls without a system "
                "prompt, {system: <the whole prompt>}, or {any_system: true} for all"
            )
        return self
