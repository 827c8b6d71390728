"""Every instrument: names, labels, buckets. One registry for each app; no state here."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from classifiers import Runtime
from classifiers.runtime.runtime import Counts

_FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_PROVIDER: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84)
_FIRST: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160)


class _WindowCounters(Collector):
    """Counters that a Runtime keeps, read when they are scraped."""

    def __init__(self) -> None:
        self.windows: Runtime | None = None
        self.spared: Callable[[], int] = lambda: 0

    def collect(self) -> Iterator[CounterMetricFamily]:
        counts = Counts(encoded=0, cached=0) if self.windows is None else self.windows.counts
        family = CounterMetricFamily("offramp_windows", "Windows of text by their source.", labels=["source"])
        family.add_metric(["encoder"], counts.encoded)
        family.add_metric(["memory"], counts.cached + self.spared())
        yield family


class Instruments:
    """All instruments; their names begin with offramp_. `Metrics` says what moves them."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series for each series, which no query here needs
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._windows = _WindowCounters()
        self.registry.register(self._windows)
        self._make_request_instruments()
        self._make_classifier_instruments()
        self._make_contract_instruments()
        self._make_health_instruments()

    def _make_request_instruments(self) -> None:
        count, time = self._counter, self._histogram
        spent, saved = "model upstream rule notional", "reason rule model notional"
        estimated = f"{saved} estimated"
        self.requests = count("requests", "Requests by what was done with them.", "endpoint model decision rule status")
        self.in_flight = self._gauge("in_flight_requests", "Requests being worked on.")
        text = "The gateway's own time, without classifiers, judges and providers."
        self.gateway_seconds = time("gateway_seconds", text, _FAST, "endpoint")
        text = "Time from the question to the classifiers' verdicts."
        self.classifier_seconds = time("classifier_seconds", text, _FAST, "endpoint")
        text = "Time from sending a call upstream to its last byte."
        self.provider_seconds = time("provider_seconds", text, _PROVIDER, "upstream")
        text = "Time from a streamed call to its first content."
        self.first_token_seconds = time("first_token_seconds", text, _FIRST, "upstream")
        self.input_tokens = count("input_tokens", "Input tokens as upstreams reported them.", spent)
        text = "Input tokens that upstreams took from their cache, or put there."
        self.cached_input_tokens = count("cached_input_tokens", text, f"{spent} cache")
        self.output_tokens = count("output_tokens", "Output tokens as upstreams reported them.", spent)
        self.spent = count("spent_dollars", "Dollars spent on forwarded calls.", spent)
        self.saved_calls = count("saved_calls", "Calls that were not made upstream.", saved)
        text = "Tokens of calls not made, input or output."
        self.saved_tokens = count("saved_tokens", text, f"{estimated} direction")
        self.saved = count("saved_dollars", "Dollars saved against the model asked for.", estimated)
        text = "Dollars that rerouted calls cost above the model asked for, and that judges and second answers cost."
        self.overspent = count("overspent_dollars", text, "rule model notional")
        text = "Requests whose cost or saving is unknown, by why it is."
        self.unpriced = count("unpriced_requests", text, "model reason")
        text = "Forwarded requests whose usage is unknown."
        self.usage_missing = count("usage_missing_requests", text, "upstream reason")

    def _make_classifier_instruments(self) -> None:
        count, gauge = self._counter, self._gauge
        self.verdicts = count("verdicts", "Verdicts by rule and outcome.", "rule classifier outcome label")
        text = "Verdicts by the classifier's stage that settled them."
        self.stage_verdicts = count("stage_verdicts", text, "classifier stage")
        text = "Rules' answers that do not fit the caller's shape."
        self.unsupported = count("unsupported_answers", text, "rule reason")
        text = "Places in requests and answers that were replaced."
        self.redacted = count("redacted_places", text, "rule kind")
        self.reload_failures = count("reload_failures", "New versions of classifiers that could not be taken up.")
        text = "The version in use of each classifier."
        self.classifier_info = gauge("classifier_info", text, "classifier version")
        self.classifier_queue = gauge("classifier_queue_requests", "Requests waiting for classifiers.")
        self.judge_verdicts = count("judge_verdicts", "Questions to rules' judges by how they ended.", "rule outcome")
        self.judge_remembered = count("judge_remembered", "Questions that had been put to the judge before.", "rule")
        text = "Time that requests waited for a rule's judge."
        self.judge_seconds = self._histogram("judge_seconds", text, _PROVIDER, "rule")

    def _make_contract_instruments(self) -> None:
        count, gauge = self._counter, self._gauge
        text = "Local verdicts compared with the answer of the model that was asked for."
        self.contract_pairs = count("contract_pairs", text, "rule result audited")
        text = "Calls that the model was asked twice, by how its answers compare."
        self.contract_repeats = count("contract_repeats", text, "rule result")
        text = "Contracts that stay in shadow: the model contradicts itself too often."
        self.contracts_refused = gauge("contracts_refused", text, "rule")
        text = "Changes of a contract's phase, and alarms."
        self.contract_moves = count("contract_moves", text, "rule phase")
        text = "Trainings on a rule's own calls, by how they ended."
        self.retrainings = count("retrainings", text, "rule outcome")
        self.contract_failures = count("contract_write_failures", "Pairs of contracts that could not be stored.")
        self.contracts = gauge(
            "contracts", "Contracts by where they stand, each bound of a guard by itself.", "rule phase"
        )

    def _make_health_instruments(self) -> None:
        count, gauge = self._counter, self._gauge
        self.upstream_calls = count("upstream_calls", "Calls tried at an upstream.", "upstream")
        text = "Calls that an upstream failed, by reason."
        self.upstream_failures = count("upstream_failures", text, "upstream reason")
        self.fallbacks = count("fallbacks", "Calls sent to a fallback.", "upstream")
        self.ledger_pending = gauge("ledger_pending_rows", "Ledger rows not written yet.")
        self.ledger_failures = count("ledger_failures", "Writes to the ledger that failed.")
        self.ledger_lost = count("ledger_lost_rows", "Ledger rows given up.")
        self.kept_calls_lost = count("kept_calls_lost", "Calls and texts that were to be kept, given up.")
        self.build_info = gauge("build_info", "The version that runs.", "version")

    def _counter(self, name: str, text: str, labels: str = "") -> Counter:
        return Counter(f"offramp_{name}", text, labels.split(), registry=self.registry)

    def _gauge(self, name: str, text: str, labels: str = "") -> Gauge:
        return Gauge(f"offramp_{name}", text, labels.split(), registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], labels: str) -> Histogram:
        return Histogram(f"offramp_{name}", text, labels.split(), buckets=buckets, registry=self.registry)
