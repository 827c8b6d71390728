"""What requests are decided by: rules and the classifiers' policies and versions, replaced together."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from classifiers import Runtime
from classifiers.policy import Policy
from gateway.config.load import Loaded
from gateway.rules.compile import compile_rules
from gateway.rules.rule import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
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
class InUse:
    """The edition that the next request takes. A request that has begun keeps its own."""

    edition: Edition


def edition(loaded: Loaded, runtime: Runtime | None, proposed: Mapping[str, str] | None = None) -> Edition:
    """The rules of a gateway file with the classifiers that they bind."""
    names = {rule.classifier for rule in loaded.settings.rules}
    classifiers = {} if runtime is None else {n: one for n, one in runtime.classifiers.items() if n in names}
    policies = {name: classifier.model.policy for name, classifier in classifiers.items()}
    told = {name: classifier.judge for name, classifier in classifiers.items()}
    return Edition(
        rules=compile_rules(loaded.settings.rules, policies, loaded.replies, told),
        policies=policies,
        versions={name: classifier.version for name, classifier in classifiers.items()},
        proposed=proposed or {},
        runtime=runtime,
    )
