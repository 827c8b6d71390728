"""What the endpoints share: the classifiers in use, the rules, the routes. Built by app.py, only read after."""

from dataclasses import dataclass

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
