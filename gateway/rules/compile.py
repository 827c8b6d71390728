"""Compiles rules from settings and the trained classifiers' policies."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, get_args

import regex

from classifiers.judge_prompt import instructions
from classifiers.policy import OTHER, Policy
from gateway.config.rules import (
    OWN_LABEL,
    AskJudge,
    Block,
    ContractSettings,
    FallThrough,
    FieldSource,
    OtherClassifier,
    ReadsSettings,
    Role,
    RuleSettings,
    Then,
    When,
    WhenLate,
)
from gateway.requests.system import PromptPatterns
from gateway.requests.template import PromptTemplate
from gateway.rules.rule import FURTHER, Act, Action, FurtherClassifier, JudgeSpec, Rule, SafetyTerms, Terms
from gateway.spelling import LabelNames

_FORWARD = Action(act=Act.FORWARD)
_ASK = Action(act=Act.ASK)
_ERROR = Action(act=Act.ERROR)
_USUAL: Final = ("user", "True")
"""Whose messages, whether only the last, as an intent or topic rule reads if it does not say."""


def compile_rules(
    rules: tuple[RuleSettings, ...],
    policies: Mapping[str, Policy],
    replies: Mapping[str, str],
    judges: Mapping[str, str] | None = None,
) -> tuple[Rule, ...]:
    """The rules in their order. policies: of every classifier that a rule names. replies: answer files' texts. judges:
    instructions for judges as they were saved at training, by the classifier's name."""
    return tuple(_rule(rule, policies, replies, judges or {}) for rule in rules)


def _rule(
    rule: RuleSettings, policies: Mapping[str, Policy], replies: Mapping[str, str], judges: Mapping[str, str]
) -> Rule:
    policy = policies[rule.classifier]
    safety, contract = policy.kind == "safety", rule.contract
    then = {label: _action(action, replies) for label, action in rule.then.items()}
    star = then.pop("*", None)
    if star is not None:
        then = {**dict.fromkeys(policy.labels, star), **then}
    redacts = _redacts(policy, then)
    turns = rule.reads.turns or ("all" if safety or redacts else "last")
    otherwise = _otherwise(rule, safety=safety, redacts=bool(redacts))
    made = Rule(
        name=rule.name,
        classifier=rule.classifier,
        models=frozenset(rule.when.model),
        endpoints=frozenset(rule.when.endpoint),
        system=_system(rule.when),
        with_lists=rule.with_lists == "answer",
        any_turn=rule.when.turns == "any",
        fields={name: _source(source) for name, source in rule.fields.items()},
        further=_further(rule, policies),
        other_languages=_other_languages(rule.other_languages, policies),
        ignores=rule.ignores,
        free_order=rule.order == "free",
        roles=_roles(rule.reads, safety=safety, redacts=bool(redacts)),
        last_turn=turns == "last",
        output=rule.reads.output,
        release=rule.reads.release == "sentence",
        has_patterns=bool(policy.patterns),
        template=_template(rule.reads, whole=safety),
        then=then,
        otherwise={kind: _fallback(word, then) for kind, word in otherwise.items()},
        names=_names(policy, rule.aliases),
        several=policy.multi_label,
        slots=policy.slots,
        languages=policy.languages,
        redacts=redacts,
        taxonomy={name: label.taxonomy for name, label in policy.labels.items()},
        retrains=rule.retrain,
    )
    if rule.judge is not None:
        bounds = None if contract is None else _safety(contract)
        made = replace(made, asks=_asks(rule.judge, policy, judges), safety=bounds)
    elif contract:
        made = replace(made, terms=Terms(target=contract.max_disagreement, confidence=contract.confidence))
    sent = (*made.then.values(), *made.otherwise.values())
    blocks = frozenset(action.text for action in sent if action.act is Act.BLOCK)
    return replace(made, unusual=_unusual(made), blocks=blocks)


def _roles(reads: ReadsSettings, *, safety: bool, redacts: bool) -> frozenset[str]:
    # clients send earlier turns again, the model's own among them
    usual = get_args(Role) if redacts else ("user", "tool") if safety else ("user",)
    return frozenset(usual if reads.roles is None else reads.roles)


def _unusual(rule: Rule) -> tuple[str, ...]:
    """What a rule reads and answers where that is not as usual: only what was compared is certified."""
    answers = {label for label, action in rule.then.items() if action.own_label}
    reads = (*sorted(rule.roles), str(rule.last_turn))
    parts = () if reads == _USUAL else (f"reads={','.join(reads)}",)
    # `"*"` is all labels but `other`
    usual = answers == set(rule.names.labels) - {OTHER}
    filled = (*sorted(rule.fields.items()), *sorted(rule.ignores.items()))
    parts = (*parts, *(f"field={name}={source}" for name, source in filled), *(["order=free"] * rule.free_order))
    parts = (*parts, *(part for name, further in sorted(rule.further.items()) for part in _knows(name, further)))
    return parts if usual else (*parts, *(f"answers={label}" for label in sorted(answers)))


def _knows(field: str, further: FurtherClassifier) -> list[str]:
    """What another classifier may fill a field with."""
    names = further.names
    words = ["=".join(names.words(label)) for label in names.labels]
    return [f"field={field}={further.classifier}", *(f"field={field}:{word}" for word in words)]


def _redacts(policy: Policy, then: Mapping[str, Action]) -> tuple[str, ...]:
    hidden = [label for label, action in then.items() if action.act is Act.REDACT and label in policy.labels]
    return (
        *(kind for kind, label in policy.patterns.items() if label in hidden),
        *dict.fromkeys(slot for label in hidden for slot in policy.slots_of(label)),
    )


def _names(policy: Policy, aliases: Mapping[str, Sequence[str]]) -> LabelNames:
    return LabelNames((*policy.labels, *((OTHER,) if policy.other else ())), aliases)


def _source(source: str | FieldSource) -> str:
    """As of `answers.format.Prediction`."""
    if isinstance(source, str):
        return source
    return FURTHER if source.slot is None else f" {source.slot}"


def _further(rule: RuleSettings, policies: Mapping[str, Policy]) -> dict[str, FurtherClassifier]:
    sources = {name: source for name, source in rule.fields.items() if isinstance(source, FieldSource)}
    return {
        name: FurtherClassifier(classifier=source.classifier, names=_names(policies[source.classifier], source.aliases))
        for name, source in sources.items()
        if source.classifier is not None
    }


def _other_languages(name: str | None, policies: Mapping[str, Policy]) -> FurtherClassifier | None:
    return None if name is None else FurtherClassifier(classifier=name, names=_names(policies[name], {}))


def _system(when: When) -> PromptPatterns | None:
    if when.system is None:
        return None
    return PromptPatterns.of([each if isinstance(each, str) else ("template", each.template) for each in when.system])


def _safety(contract: ContractSettings) -> SafetyTerms:
    return SafetyTerms(missed=contract.max_missed, wrongly=contract.max_false_alarms, confidence=contract.confidence)


def _asks(judge: str, policy: Policy, judges: Mapping[str, str]) -> JudgeSpec:
    return JudgeSpec(
        model=judge,
        # an artifact made before judges has no instructions
        instructions=judges.get(policy.name) or instructions(policy),
        categories={label: policy.categories_of(label) for label in policy.learned},
        reads_system=policy.reads_system,
    )


def _template(reads: ReadsSettings, *, whole: bool) -> PromptTemplate | None:
    """whole: whether texts that do not fit are read as a whole, so that none escapes a safety rule by its form."""
    if reads.regex is not None:
        return PromptTemplate(pattern=regex.compile(reads.regex, regex.DOTALL), whole=whole)
    if reads.after or reads.before:
        return PromptTemplate(after=reads.after or "", before=reads.before or "", whole=whole)
    return None


def _action(then: Then, replies: Mapping[str, str]) -> Action:
    if then.block:
        return Action(act=Act.BLOCK, text=then.block.message, shape=then.block.shape)
    if then.redact:
        return Action(act=Act.REDACT, restore=then.redact == "restore")
    if then.forward:
        return Action(act=Act.FORWARD, model=None if then.forward == "true" else then.forward)
    if then.answer == OWN_LABEL:
        return Action(act=Act.ANSWER, own_label=True)
    if then.answer or then.answer_file:
        return Action(act=Act.ANSWER, text=then.answer or replies[str(then.answer_file)])
    return Action(act=Act.FLAG)


def _otherwise(rule: RuleSettings, *, safety: bool, redacts: bool) -> dict[str, WhenLate | AskJudge]:
    """What is done for each abstention: what is written, else what keeps the rule's promise."""
    unsure = rule.when_unsure or "forward"
    written = rule.when_language
    # what the other classifier cannot read either is as much in doubt
    language = unsure if written is None or isinstance(written, OtherClassifier) else written
    broken: FallThrough = rule.when_broken or ("block" if safety or redacts else "forward")
    unread: FallThrough = rule.when_unread or (broken if redacts else "forward")
    late: WhenLate = rule.when_late or ("forward" if broken == "forward" else "error")
    return {"unsure": unsure, "language": language, "unread": unread, "late": late, "broken": broken}


def _fallback(word: WhenLate | AskJudge, then: Mapping[str, Action]) -> Action:
    """A block where the classifier abstains has the general message, and the form of the rule's own blocks."""
    if isinstance(word, AskJudge):
        return _ASK
    if word != "block":
        return _FORWARD if word == "forward" else _ERROR
    shapes = {action.shape for action in then.values() if action.act is Act.BLOCK}
    return Action(act=Act.BLOCK, text=Block().message, shape="error" if shapes == {"error"} else "message")
