"""What requests are decided by: rules and the classifiers' policies and versions, replaced together.

Rules of a gateway file against the policies of the trained classifiers that they bind.

The trained classifiers that a gateway file's rules bind, loaded and tested; and loaded anew where one changes.
"""

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from classifiers import Runtime
from classifiers.encoder.session import Encoder
from classifiers.model.registry import Registry
from classifiers.policy import OTHER, Policy
from classifiers.text.language import LanguageDetector
from gateway.config import source
from gateway.config.load import Loaded, policy_file
from gateway.config.problems import ConfigError, Problem, did_you_mean
from gateway.config.rules import AskJudge, RuleSettings
from gateway.config.source import DataPath, Document
from gateway.protocols.moderations import CATEGORIES
from gateway.rules.compile import compile_rules
from gateway.rules.rule import Rule
from gateway.spelling import folded


def rule_problems(loaded: Loaded, policies: Mapping[str, Policy]) -> list[Problem]:
    """Labels that rules name and classifiers lack; and what a rule asks of a classifier that is not for its kind."""
    problems = []
    for index, rule in enumerate(loaded.settings.rules):
        policy = policies.get(rule.classifier)
        if policy is None:
            continue
        known = [*policy.labels, *([] if policy.multi_label else [OTHER]), "*"]
        for label in rule.then:
            if label not in known:
                path: DataPath = ("rules", index, "then", label)
                message = f"no such label in {policy.name}{did_you_mean(label, known)}"
                problems.append(loaded.document.problem(path, message))
        problems += _redact_problems(loaded.document, index, rule, policy)
        problems += _alias_problems(loaded.document, index, rule, policy)
        if rule.retrain and not policy_file(loaded, rule.classifier).is_file():
            message = f"needs the policy beside this file, at {policy_file(loaded, rule.classifier)}"
            problems.append(loaded.document.problem(("rules", index, "retrain"), message))
        problems += _ask_problems(loaded, index, rule, policy)
        if rule.contract and policy.multi_label and not isinstance(rule.when_unsure, AskJudge):
            message = f"{policy.name} gives several labels a text; a contract on those is not built yet"
            problems.append(loaded.document.problem(("rules", index, "contract"), message))
    return problems


def _ask_problems(loaded: Loaded, index: int, rule: RuleSettings, policy: Policy) -> Iterator[Problem]:
    """A judge for what no judge can judge."""
    if not isinstance(rule.when_unsure, AskJudge):
        return
    at: DataPath = ("rules", index, "when_unsure", "ask")
    if policy.kind != "safety":
        message = f"a judge is for safety, and {policy.name} is of kind {policy.kind}; take forward or block"
        yield loaded.document.problem(at, message)
    elif loaded.settings.models[rule.when_unsure.ask].endpoint == "moderations":
        for label in policy.learned:
            if not set(policy.categories_of(label)) & set(CATEGORIES):
                message = f"a moderation endpoint has no category for {label}; name one in its taxonomy: {{openai: …}}"
                yield loaded.document.problem(at, message)


def _alias_problems(document: Document, index: int, rule: RuleSettings, policy: Policy) -> Iterator[Problem]:
    """Aliases of labels that are none, and those that another label has or is."""
    labels = [*policy.labels, *([] if policy.multi_label else [OTHER])]
    stands_for = {folded(label): label for label in labels}
    for label, words in rule.aliases.items():
        at: DataPath = ("rules", index, "aliases", label)
        if label not in labels:
            yield document.problem(at, f"no such label in {policy.name}{did_you_mean(label, labels)}")
            continue
        for word in words:
            if stands_for.setdefault(folded(word), label) != label:
                yield document.problem(at, f"{word!r} stands for {stands_for[folded(word)]} already")


def _redact_problems(document: Document, index: int, rule: RuleSettings, policy: Policy) -> Iterator[Problem]:
    """Labels that are to be redacted, of which nothing tells the places."""
    for label, then in rule.then.items():
        named = [one for one in policy.labels if one not in rule.then] if label == "*" else [label]
        bare = [
            one for one in named if one in policy.labels and not (policy.labels[one].patterns or policy.slots_of(one))
        ]
        if then.redact and bare:
            why = "is not told by patterns: and has no slots:, so nothing says what to redact"
            message = f"{bare[0]} {why}; block it, or flag it"
            yield document.problem(("rules", index, "then", label), message)
    redacts = [label for label, then in rule.then.items() if then.redact]
    star = rule.then.get("*")
    chosen = [rule.then.get(label, star) for label in policy.labels]
    if redacts and not any(one is not None and one.redact for one in chosen):
        message = "there is no label of which it redacts anything; redact a label, block it, or flag it"
        yield document.problem(("rules", index, "then", redacts[0]), message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """policies and versions: of each classifier that is loaded, by its name; proposed: the version that is tried beside
    it, if any; runtime: what holds them all, None where no rule binds one."""

    rules: tuple[Rule, ...] = ()
    policies: Mapping[str, Policy] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    proposed: Mapping[str, str] = field(default_factory=dict)
    runtime: Runtime | None = None

    def first_safety(self) -> str | None:
        """The classifier of the first safety rule, or else the first safety classifier."""
        names = [*(rule.classifier for rule in self.rules), *self.policies]
        return next((name for name in names if self.policies[name].kind == "safety"), None)


@dataclass(slots=True)
class Snapshots:
    """The edition that the next request takes. A request that has begun keeps its own."""

    edition: Snapshot


def edition(loaded: Loaded, runtime: Runtime | None, proposed: Mapping[str, str] | None = None) -> Snapshot:
    """The rules of a gateway file with the classifiers that they bind."""
    names = {rule.classifier for rule in loaded.settings.rules}
    classifiers = {} if runtime is None else {n: one for n, one in runtime.classifiers.items() if n in names}
    policies = {name: classifier.model.policy for name, classifier in classifiers.items()}
    told = {name: classifier.judge for name, classifier in classifiers.items()}
    return Snapshot(
        rules=compile_rules(loaded.settings.rules, policies, loaded.replies, told),
        policies=policies,
        versions={name: classifier.version for name, classifier in classifiers.items()},
        proposed=proposed or {},
        runtime=runtime,
    )


Stamp = tuple[str, int, int]
"""A file's path, size in bytes, and time of change in ns."""


def load_runtime(
    loaded: Loaded,
    *,
    opened: Iterable[Encoder] = (),
    detector: LanguageDetector | None = None,
    beside: Mapping[str, str] | None = None,
) -> Runtime | None:
    """Loads and self-tests them; None where no rule binds one. opened, detector: at hand, not opened again; beside:
    versions to be tried beside those in use.

    Raises ConfigError where one is missing or a rule names a label it lacks, and ArtifactError where one is damaged
    or fails its own tests.
    """
    registry = Registry(loaded.models_dir)
    names = list(dict.fromkeys(rule.classifier for rule in loaded.settings.rules))
    missing = [
        loaded.document.problem(("rules", index, "classifier"), _untrained(rule.classifier, loaded))
        for index, rule in enumerate(loaded.settings.rules)
        if registry.current(rule.classifier) is None
    ]
    if missing:
        raise ConfigError(missing)
    if not names:
        return None
    threads = loaded.settings.classifier_threads
    runtime = Runtime.load(loaded.models_dir, names, threads=threads, opened=opened, detector=detector, beside=beside)
    problems = rule_problems(loaded, {name: c.model.policy for name, c in runtime.classifiers.items()})
    if problems:
        raise ConfigError([_since_trained(problem, loaded) for problem in problems])
    return runtime


def versions_in_use(loaded: Loaded) -> Mapping[str, str]:
    """What the models folder says by now, of the classifiers that rules bind. Raises ArtifactError."""
    registry = Registry(loaded.models_dir)
    names = dict.fromkeys(rule.classifier for rule in loaded.settings.rules)
    return {name: version for name in names if (version := registry.current(name)) is not None}


def versions_proposed(loaded: Loaded) -> Mapping[str, str]:
    """What is to be tried beside, of the classifiers of rules under a contract. Raises ArtifactError."""
    registry = Registry(loaded.models_dir)
    names = dict.fromkeys(rule.classifier for rule in loaded.settings.rules if rule.contract)
    return {name: version for name in names if (version := registry.proposed(name)) is not None}


def stamps(loaded: Loaded, *versions: Mapping[str, str]) -> frozenset[Stamp]:
    """The files of these versions, by classifier, and of the shared encoders. Raises OSError where one goes."""
    chosen = {loaded.models_dir / name / version for group in versions for name, version in group.items()}
    files = (path for folder in (*chosen, loaded.models_dir / "encoders") for path in folder.rglob("*"))
    return frozenset((str(path), (stat := path.lstat()).st_size, stat.st_mtime_ns) for path in files)


def withdraw(loaded: Loaded, proposed: Mapping[str, str]) -> Collection[str]:
    """Lets these versions, by classifier, not be tried any more; the classifiers' names. What was proposed meanwhile
    stays, and what cannot be taken back from where it stands."""
    registry = Registry(loaded.models_dir)
    done: list[str] = []
    for name, version in proposed.items():
        if registry.proposed(name) == version:
            with suppress(OSError):
                registry.withdraw(name)
                done.append(name)
    return done


def train_command(policy: Path, loaded: Loaded) -> str:
    """The command that trains a policy beside a gateway's file into its models folder, which it finds by itself where
    the file has the usual name."""
    usual = policy.parent / ".." / "gateway.yaml"
    found = usual.is_file() and usual.samefile(loaded.file)
    elsewhere = [] if found else ["--models", str(loaded.models_dir)]
    return shlex.join(["offramp", "train", str(policy), *elsewhere])


def _since_trained(problem: Problem, loaded: Loaded) -> Problem:
    """With how to mend it, where the policy has got a label since its classifier was trained."""
    match problem.path:
        case ("rules", int(index), "then" | "aliases", str(label)):
            policy = policy_file(loaded, loaded.settings.rules[index].classifier)
            if label in _labels_of(policy):
                message = f"{problem.message}; the policy has it by now: run: {train_command(policy, loaded)}"
                return replace(problem, message=message)
    return problem


def _labels_of(policy: Path) -> Collection[str]:
    """As they are written in a policy's file; none where it cannot be read."""
    try:
        data = source.read(policy, {}).data
    except ConfigError:
        return ()
    labels = data.get("labels") if isinstance(data, dict) else None
    return labels if isinstance(labels, dict) else ()


def _untrained(name: str, loaded: Loaded) -> str:
    policy = policy_file(loaded, name)
    mend = (
        f"run: {train_command(policy, loaded)}" if policy.is_file() else f"offramp train takes the policy named {name}"
    )
    return f"no trained classifier {name} in {loaded.models_dir}; {mend}"
