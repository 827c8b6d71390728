"""What the endpoints share: the classifiers in use, the rules, the routes. Built by app.py, only read after."""

from collections.abc import Mapping
from dataclasses import dataclass

from classifiers.policy import Policy
from gateway.in_use import InUse
from gateway.ledger.recorder import Recorder
from gateway.metrics import Metrics
from gateway.pipeline import Classify
from gateway.upstreams.routes import Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """All of it; what can change while the gateway serves is in `in_use`."""

    in_use: InUse
    routes: Routes
    classify: Classify
    metrics: Metrics
    recorder: Recorder
    classify_time_s: float

    @property
    def policies(self) -> Mapping[str, Policy]:
        """Of each classifier that is loaded, by its name."""
        return self.in_use.edition.policies

    @property
    def versions(self) -> Mapping[str, str]:
        """Of each classifier that is loaded, by its name."""
        return self.in_use.edition.versions

    def first_safety(self) -> str | None:
        """The classifier of the first safety rule, or else the first safety classifier."""
        bound = [rule.classifier for rule in self.in_use.edition.rules]
        names = [*bound, *self.policies]
        return next((name for name in names if self.policies[name].kind == "safety"), None)
