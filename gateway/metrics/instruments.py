"""Every instrument: names, labels, buckets. One registry for each app; no state here."""

from collections.abc import Iterator
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
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

    def collect(self) -> Iterator[CounterMetricFamily]:
        counts = Counts(encoded=0, cached=0) if self.windows is None else self.windows.counts
        yield CounterMetricFamily("offramp_encoded_windows", "Windows of text encoded.", counts.encoded)
        yield CounterMetricFamily("offramp_cached_windows", "Windows taken from memory instead.", counts.cached)


class Instruments:
    """All with the prefix offramp_. `Metrics` says what moves them."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series for each series, which no query here needs
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._make_request_instruments()
        self._make_money_instruments()
        self._make_classifier_instruments()
        self._make_judge_instruments()
        self._make_contract_instruments()
        self._make_health_instruments()

    def _make_request_instruments(self) -> None:
        self.requests = self._counter(
            "offramp_requests",
            "Requests by what was done with them.",
            "endpoint",
            "model",
            "decision",
            "rule",
            "status",
        )
        self.gateway_seconds = self._histogram(
            "offramp_gateway_seconds",
            "The gateway's own time, without classifiers, judges and providers.",
            _FAST,
            "endpoint",
        )
        self.classifier_seconds = self._histogram(
            "offramp_classifier_seconds", "Time from the question to the classifiers' verdicts.", _FAST, "endpoint"
        )
        self.provider_seconds = self._histogram(
            "offramp_provider_seconds", "Time from sending a call upstream to its last byte.", _PROVIDER, "upstream"
        )
        self.first_token_seconds = self._histogram(
            "offramp_first_token_seconds", "Time from a streamed call to its first content.", _FIRST, "upstream"
        )
        self.in_flight = self._gauge("offramp_in_flight_requests", "Requests being worked on.")

    def _make_money_instruments(self) -> None:
        spent = ("model", "upstream", "rule", "notional")
        saved = ("reason", "rule", "model", "notional")
        self.input_tokens = self._counter("offramp_input_tokens", "Input tokens as upstreams reported them.", *spent)
        self.cached_input_tokens = self._counter(
            "offramp_cached_input_tokens", "Input tokens that upstreams took from their cache.", *spent
        )
        self.output_tokens = self._counter("offramp_output_tokens", "Output tokens as upstreams reported them.", *spent)
        self.spent = self._counter("offramp_spent_dollars", "Dollars spent on forwarded calls.", *spent)
        self.saved_calls = self._counter("offramp_saved_calls", "Calls that were not made upstream.", *saved)
        self.saved_input_tokens = self._counter(
            "offramp_saved_input_tokens", "Input tokens of calls not made.", *saved, "estimated"
        )
        self.saved_output_tokens = self._counter(
            "offramp_saved_output_tokens", "Output tokens of calls not made.", *saved, "estimated"
        )
        self.saved = self._counter(
            "offramp_saved_dollars", "Dollars saved against the model asked for.", *saved, "estimated"
        )
        self.overspent = self._counter(
            "offramp_overspent_dollars",
            "Dollars that rerouted calls cost above the model asked for, and that judges and second answers cost.",
            "rule",
            "model",
            "notional",
        )
        self.unpriced = self._counter(
            "offramp_unpriced_requests", "Requests whose cost or saving is unknown, by why it is.", "model", "reason"
        )
        self.usage_missing = self._counter(
            "offramp_usage_missing_requests", "Forwarded requests whose usage is unknown.", "upstream", "reason"
        )

    def _make_classifier_instruments(self) -> None:
        self.verdicts = self._counter(
            "offramp_verdicts", "Verdicts by rule and outcome.", "rule", "classifier", "outcome", "label"
        )
        self.stage_verdicts = self._counter(
            "offramp_stage_verdicts", "Verdicts by the classifier's stage that settled them.", "classifier", "stage"
        )
        self.unsupported = self._counter(
            "offramp_unmet_answers", "Rules' answers that could not be given in the caller's shape.", "rule", "reason"
        )
        self.redacted = self._counter(
            "offramp_redacted_places", "Places in requests and answers that were replaced.", "rule", "kind"
        )
        self._windows = _WindowCounters()
        self.registry.register(self._windows)
        self.reload_failures = self._counter(
            "offramp_reload_failures", "New versions of classifiers that could not be taken up."
        )
        self.classifier_info = self._gauge(
            "offramp_classifier_info", "The version in use of each classifier.", "classifier", "version"
        )
        self.classifier_queue = self._gauge("offramp_classifier_queue_requests", "Requests waiting for classifiers.")

    def _make_judge_instruments(self) -> None:
        self.judge_verdicts = self._counter(
            "offramp_judge_verdicts", "Questions to rules' judges by how they ended.", "rule", "outcome"
        )
        self.judge_remembered = self._counter(
            "offramp_judge_remembered", "Questions that had been put to the judge before.", "rule"
        )
        self.judge_seconds = self._histogram(
            "offramp_judge_seconds", "Time that requests waited for a rule's judge.", _PROVIDER, "rule"
        )

    def _make_contract_instruments(self) -> None:
        self.contract_pairs = self._counter(
            "offramp_contract_pairs",
            "Local verdicts beside the answer of the model that was asked for.",
            "rule",
            "result",
            "chosen",
        )
        self.contract_repeats = self._counter(
            "offramp_contract_repeats",
            "Calls that the model was asked twice, by how its answers compare.",
            "rule",
            "result",
        )
        self.contracts_refused = self._gauge(
            "offramp_contracts_refused", "Contracts that no attempt is made at: the model contradicts itself.", "rule"
        )
        self.contract_moves = self._counter(
            "offramp_contract_moves",
            "Changes of a contract's phase or threshold, by the phase after it.",
            "rule",
            "phase",
        )
        self.retrainings = self._counter(
            "offramp_retrainings", "Trainings on a rule's own calls, by how they ended.", "rule", "outcome"
        )
        self.contract_failures = self._counter(
            "offramp_contract_write_failures", "Pairs of contracts that could not be stored."
        )
        self.contracts = self._gauge("offramp_contracts", "Contracts by where they stand.", "rule", "phase")

    def _make_health_instruments(self) -> None:
        self.upstream_calls = self._counter("offramp_upstream_calls", "Calls tried at an upstream.", "upstream")
        self.upstream_failures = self._counter(
            "offramp_upstream_failures", "Calls that an upstream failed, by reason.", "upstream", "reason"
        )
        self.fallbacks = self._counter("offramp_fallbacks", "Calls sent to a fallback.", "upstream")
        self.ledger_pending = self._gauge("offramp_ledger_pending_rows", "Ledger rows not written yet.")
        self.ledger_failures = self._counter("offramp_ledger_failures", "Writes to the ledger that failed.")
        self.ledger_lost = self._counter("offramp_ledger_lost_rows", "Ledger rows given up.")
        self.kept_calls_lost = self._counter("offramp_kept_calls_lost", "Calls that were to be kept, given up.")
        self.build_info = self._gauge("offramp_build_info", "The version that runs.", "version")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)
