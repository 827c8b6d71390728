from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp

from classifiers.policy import Policy
from gateway import app as composition
from gateway.config.load import Loaded
from gateway.drain import InFlight
from gateway.http.auth import Access
from gateway.http.direct import Engine
from gateway.http.entrance import Entrance
from gateway.ledger.recorder import Recorder
from gateway.ledger.writer import LedgerWriter
from gateway.metrics.observe import Metrics
from gateway.plan import TimedClassifiers
from gateway.routes import Routes
from gateway.rules.compile import compile_rules
from gateway.serving.snapshot import CurrentSnapshot, Snapshot
from tests.given import table_text

TEXT = table_text("given/gateway-http-conftest-text.yaml")


@pytest.fixture
def api(
    load: Callable[..., Loaded], policies: dict[str, Policy], wire: Callable[..., Any], memory_store: Any, prices: Any
) -> Any:
    """api(names=…, rules=…): what Starlette serves, on fake classifiers of these names; with its metrics and writer."""
    writers: list[LedgerWriter] = []

    def make(*names: str, rules: str = "") -> tuple[ASGIApp, Engine, LedgerWriter]:
        loaded, metrics = load(TEXT + rules), Metrics()
        held = {name: policies[name] for name in names}
        writer = LedgerWriter(memory_store, on_failure=lambda _: None, on_lost=lambda _: None)
        writers.append(writer)
        routes = Routes(loaded.settings.models)
        engine = Engine(
            current=CurrentSnapshot(
                Snapshot(
                    policies=held,
                    versions=dict.fromkeys(names, "v1"),
                    rules=compile_rules(loaded.settings.rules, policies, {}),
                )
            ),
            routes=routes,
            classifiers=TimedClassifiers(wire().classify, metrics, within_s=1.0),
            metrics=metrics,
            recorder=Recorder(writer=writer, metrics=metrics, prices=prices, routes=routes, notional={"one": True}),
            max_body_bytes=2000,
        )
        api = composition._api(engine, writer, None)
        return Entrance(lambda *_: (api, False), Access(""), InFlight()), engine, writer

    yield make
    for writer in writers:
        writer.close()
