"""What the endpoints share: the classifiers in use, the rules, the routes. Built by app.py, only read after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from classifiers.policy import Policy
from gateway.ledger.recorder import Recorder
from gateway.metrics import Metrics
from gateway.pipeline import Classify
from gateway.rules.rule import Rule
from gateway.upstreams.routes import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """policies and versions: of each classifier that is loaded, by its name."""

    policies: Mapping[str, Policy]
    versions: Mapping[str, str]
    rules: Sequence[Rule]
    routes: Routes
    classify: Classify
    metrics: Metrics
    recorder: Recorder
    classify_time_s: float

    def first_safety(self) -> str | None:
        """The classifier of the first safety rule, or else the first safety classifier."""
        bound = [rule.classifier for rule in self.rules]
        names = [*bound, *self.policies]
        return next((name for name in names if self.policies[name].kind == "safety"), None)
