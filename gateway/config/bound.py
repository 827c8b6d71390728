"""Rules of a gateway file against the policies of the trained classifiers that they bind."""

from collections.abc import Iterator, Mapping

from classifiers.policy import OTHER, Policy
from gateway.categories import CATEGORIES
from gateway.config.load import Loaded, policy_file
from gateway.config.problems import Problem, did_you_mean
from gateway.config.rules import Ask, Rule
from gateway.config.source import DataPath, Document
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
        if rule.contract and policy.multi_label and not isinstance(rule.when_unsure, Ask):
            message = f"{policy.name} gives several labels a text; a contract on those is not built yet"
            problems.append(loaded.document.problem(("rules", index, "contract"), message))
    return problems


def _ask_problems(loaded: Loaded, index: int, rule: Rule, policy: Policy) -> Iterator[Problem]:
    """A judge for what no judge can judge."""
    if not isinstance(rule.when_unsure, Ask):
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


def _alias_problems(document: Document, index: int, rule: Rule, policy: Policy) -> Iterator[Problem]:
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


def _redact_problems(document: Document, index: int, rule: Rule, policy: Policy) -> Iterator[Problem]:
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
