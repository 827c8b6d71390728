"""The snapshot that decides a request: rules, policies, versions and runtime; loaded, checked, replaced together."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from classifiers import Runtime
from classifiers.encoder.session import Encoder
from classifiers.errors import missing
from classifiers.model.registry import Registry
from classifiers.policy import OTHER, Policy
from classifiers.text.language import ANY, LanguageDetector
from gateway.config import source
from gateway.config.load import Loaded, policy_file
from gateway.config.problems import ConfigError, Problem, did_you_mean
from gateway.config.rules import FieldSource, RuleSettings
from gateway.config.source import DataPath
from gateway.protocols.moderations import CATEGORIES
from gateway.rules.compile import compile_rules
from gateway.rules.rule import Rule
from gateway.spelling import normalized


def rule_problems(loaded: Loaded, policies: Mapping[str, Policy]) -> list[Problem]:
    """Labels that rules name and classifiers lack, and settings of rules that do not fit their classifier's kind."""
    return [
        loaded.document.problem(("rules", index, *path), message)
        for index, rule in enumerate(loaded.settings.rules)
        for path, message in (*_mismatches(loaded, rule, policies), *_field_mismatches(rule, policies))
    ]


_Mismatches = Iterator[tuple[DataPath, str]]
"""Each a path within the rule, and a message."""


def _mismatches(loaded: Loaded, rule: RuleSettings, policies: Mapping[str, Policy]) -> _Mismatches:
    policy = policies.get(rule.classifier)
    if policy is None:
        return
    labels = [*policy.labels, *([] if policy.multi_label else [OTHER])]
    for label in rule.then:
        if label not in (*labels, "*"):
            yield ("then", label), f"no such label in {policy.name}{did_you_mean(label, [*labels, '*'])}"
    yield from _redact_mismatches(rule, policy)
    yield from _alias_mismatches(rule.aliases, policy, labels)
    file = policy_file(loaded, rule.classifier)
    if rule.retrain and not file.is_file():
        yield ("retrain",), f"needs the policy beside this file, at {file}"
    if rule.retrain and (lacking := missing("sklearn", "scipy")):
        yield ("retrain",), lacking
    for setting, judge in rule.asked:
        endpoint = loaded.settings.models[judge].endpoint
        yield from (((setting, "ask"), message) for message in _judge_mismatches(endpoint, policy))
    other = policies.get(rule.other_languages or "")
    if other is not None and (why := _language_mismatch(loaded, policy, other)):
        yield ("when_language", "classifier"), why
    if not rule.asked and rule.contract and policy.multi_label:
        yield ("contract",), f"{policy.name} gives several labels a text; a contract on those is not built yet"


def _language_mismatch(loaded: Loaded, own: Policy, other: Policy) -> str:
    """Why a classifier cannot read other languages in the place of a rule's own; empty where it can."""
    further = [rule.other_languages for rule in loaded.settings.rules if rule.classifier == other.name]
    if own.name == other.name:
        return f"{own.name} is the rule's own classifier; name one that reads other languages"
    if (own.kind, own.multi_label) != (other.kind, other.multi_label):
        kinds = [f"kind {each.kind}{', multi_label' * each.several}" for each in (other, own)]
        return f"{other.name} is of {kinds[0]}, and {own.name} of {kinds[1]}"
    if own.slots or other.slots:
        return "policies with slots cannot leave languages to another classifier yet; take forward or block"
    if any(further):
        return f"{other.name} leaves other languages to {next(filter(None, further))}; no chain is followed"
    if ANY in own.languages or set(other.languages) <= set(own.languages):
        return f"{other.name} reads no language that {own.name} does not; languages: any reads all"
    unknown = [label for label in other.labels if label not in own.labels]
    near = did_you_mean(unknown[0], own.labels) if unknown else ""
    return f"{other.name} names {', '.join(unknown)}, which {own.name} does not{near}" if unknown else ""


def _judge_mismatches(endpoint: str, policy: Policy) -> Iterator[str]:
    if policy.kind != "safety":
        yield f"a judge is for safety, and {policy.name} is of kind {policy.kind}; take forward or block"
    elif endpoint == "moderations":
        for label in policy.learned:
            if not set(policy.categories_of(label)) & set(CATEGORIES):
                yield f"a moderation endpoint has no category for {label}; name one in its taxonomy: {{openai: …}}"


def _field_mismatches(rule: RuleSettings, policies: Mapping[str, Policy]) -> _Mismatches:
    """Fields of classifiers that may give a text several labels, and their aliases."""
    for name, filler in rule.fields.items():
        policy = policies.get(filler.classifier or "") if isinstance(filler, FieldSource) else None
        if isinstance(filler, str) or policy is None:
            continue
        if policy.name == rule.classifier:
            yield ("fields", name, "classifier"), f"{policy.name} is the rule's own classifier; write {name}: label"
        elif policy.multi_label:
            what = f"{policy.name} may give a text several labels, or none; a field takes the one of an intent or topic"
            yield ("fields", name, "classifier"), what
        elif policy.kind == "slots":
            yield ("fields", name, "classifier"), f"{policy.name} finds values, and no label that a field could take"
        for path, message in _alias_mismatches(filler.aliases, policy, [*policy.labels, OTHER]):
            yield ("fields", name, *path), message


def _alias_mismatches(aliases: Mapping[str, Sequence[str]], policy: Policy, labels: Sequence[str]) -> _Mismatches:
    """Aliases of unknown labels, and aliases that are another label or another label's alias."""
    stands_for = {normalized(label): label for label in labels}
    for label, words in aliases.items():
        if label not in labels:
            yield ("aliases", label), f"no such label in {policy.name}{did_you_mean(label, labels)}"
            continue
        for word in words:
            if stands_for.setdefault(normalized(word), label) != label:
                yield ("aliases", label), f"{word!r} stands for {stands_for[normalized(word)]} already"


def _redact_mismatches(rule: RuleSettings, policy: Policy) -> _Mismatches:
    """Labels to redact whose places in a text are not known: they have neither patterns nor slots."""
    redacts = [label for label, then in rule.then.items() if then.redact]
    hidden = {label: rule.then.get(label, rule.then.get("*")) for label in policy.labels}
    chosen = [label for label, then in hidden.items() if then is not None and then.redact]
    for label in chosen:
        if not (policy.labels[label].patterns or policy.slots_of(label)):
            why = "is not told by patterns: and has no slots:, so nothing says what to redact"
            yield ("then", label if label in rule.then else "*"), f"{label} {why}; block it, or flag it"
    if redacts and not chosen:
        message = "there is no label of which it redacts anything; redact a label, block it, or flag it"
        yield ("then", redacts[0]), message


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """policies, versions: of each loaded classifier, by its name; runtime: holds them all, None
    where no rule binds a classifier."""

    rules: tuple[Rule, ...] = ()
    policies: Mapping[str, Policy] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    runtime: Runtime | None = None

    def held_out(self, name: str) -> Sequence[tuple[float, float, bool]]:
        """The scores of a classifier's training: (confidence or score, weight, whether wrong or unsafe)."""
        classifier = None if self.runtime is None else self.runtime.classifiers.get(name)
        return () if classifier is None else classifier.model.held_out

    def first_safety(self) -> str | None:
        """The classifier of the first safety rule, or else the first safety classifier."""
        names = [*(rule.classifier for rule in self.rules), *self.policies]
        return next((name for name in names if self.policies[name].kind == "safety"), None)

    def other_languages(self, name: str) -> str:
        """Which classifier reads what `name` cannot for its language, by the first rule that has one; or empty."""
        others = (rule.other_languages for rule in self.rules if rule.classifier == name)
        return next((other.classifier for other in others if other), "")


@dataclass(slots=True)
class CurrentSnapshot:
    """The snapshot that the next request takes. A request that has begun keeps its own."""

    snapshot: Snapshot


def build_snapshot(loaded: Loaded, runtime: Runtime | None) -> Snapshot:
    """The rules of a gateway file with the classifiers that they bind."""
    names = _bound(loaded)
    classifiers = {} if runtime is None else {n: one for n, one in runtime.classifiers.items() if n in names}
    policies = {name: classifier.model.policy for name, classifier in classifiers.items()}
    instructions = {name: classifier.judge for name, classifier in classifiers.items()}
    return Snapshot(
        rules=compile_rules(loaded.settings.rules, policies, loaded.replies, instructions),
        policies=policies,
        versions={name: classifier.version for name, classifier in classifiers.items()},
        runtime=runtime,
    )


def load_runtime(
    loaded: Loaded, *, opened: Iterable[Encoder] = (), detector: LanguageDetector | None = None
) -> Runtime | None:
    """Loads and tests the classifiers that rules bind; None where no rule binds one. opened, detector: open already.
    Raises ConfigError where one is missing or a rule names a label it
    lacks, and ArtifactError where one is damaged or fails its own tests."""
    registry = Registry(loaded.models_dir)
    names = _bound(loaded)
    untrained = [
        loaded.document.problem(("rules", index, *path), _untrained(name, loaded))
        for index, rule in enumerate(loaded.settings.rules)
        for path, name in rule.bindings
        if registry.current(name) is None
    ]
    if untrained:
        raise ConfigError(untrained)
    if not names:
        return None
    runtime = Runtime.load(loaded.models_dir, names, opened=opened, detector=detector)
    problems = rule_problems(loaded, {name: c.model.policy for name, c in runtime.classifiers.items()})
    if problems:
        raise ConfigError([_since_trained(problem, loaded) for problem in problems])
    return runtime


def _bound(loaded: Loaded) -> list[str]:
    return list(dict.fromkeys(name for rule in loaded.settings.rules for _, name in rule.bindings))


def train_command(policy: Path, loaded: Loaded) -> str:
    """The command that trains a policy into a gateway's models folder, which it finds by itself where the gateway's
    file has the usual name."""
    usual = policy.parent / ".." / "gateway.yaml"
    usual_name = usual.is_file() and usual.samefile(loaded.file)
    elsewhere = [] if usual_name else ["--models", str(loaded.models_dir)]
    return shlex.join(["offramp", "train", str(policy), *elsewhere])


def _since_trained(problem: Problem, loaded: Loaded) -> Problem:
    """Adds the command that mends it, where the policy got the label after its classifier was trained."""
    match problem.path:
        case ("rules", int(index), "then" | "aliases", str(label)):
            policy = policy_file(loaded, loaded.settings.rules[index].classifier)
            with suppress(ConfigError):
                data = source.read(policy, {}).data
                if isinstance(data, dict) and label in (data.get("labels") or ()):
                    message = f"{problem.message}; the policy has it by now: run: {train_command(policy, loaded)}"
                    return replace(problem, message=message)
    return problem


def _untrained(name: str, loaded: Loaded) -> str:
    policy = policy_file(loaded, name)
    mend = f"run: {train_command(policy, loaded)}"
    if not policy.is_file():
        mend = f"offramp train takes the policy named {name}"
    return f"no trained classifier {name} in {loaded.models_dir}; {mend}"
