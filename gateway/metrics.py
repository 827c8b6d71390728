"""Every instrument, and how a ledger record moves them. One registry for each app; no state here."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import product
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from classifiers import Runtime, Worker
from classifiers.runtime import Counts
from classifiers.verdict import Abstention, Verdict
from gateway.answers.compare import Result
from gateway.answers.unmet import Reason
from gateway.contract.owner import Owner
from gateway.contract.state import Phase
from gateway.ledger.record import Record
from gateway.ledger.writer import LedgerWriter

_FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_PROVIDER: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84)
_FIRST: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


class _WindowCounters(Collector):
    """Counters that a Runtime keeps, read when they are scraped."""

    def __init__(self) -> None:
        self.windows: Runtime | None = None

    def collect(self) -> Iterator[CounterMetricFamily]:
        counts = Counts(encoded=0, cached=0) if self.windows is None else self.windows.counts
        yield CounterMetricFamily("offramp_encoded_windows", "Windows of text encoded.", counts.encoded)
        yield CounterMetricFamily("offramp_cached_windows", "Windows taken from memory instead.", counts.cached)


class Metrics:
    """The gateway's instruments, all with the prefix offramp_."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series for each series, which no query here needs
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._make_request_instruments()
        self._make_money_instruments()
        self._make_classifier_instruments()
        self._make_health_instruments()
        self._of_record: dict[tuple[object, ...], Callable[[Record], None]] = {}

    def text(self) -> bytes:
        """The exposition for /metrics."""
        return generate_latest(self.registry)

    def observe(self, record: Record, *, model: str) -> None:
        """Moves all instruments by one record. model: the requested model, or `other` where it is not configured."""
        key = _key(record, model)
        move = self._of_record.get(key)
        if move is None:
            if len(self._of_record) > 10_000:
                self._of_record.clear()
            move = self._of_record[key] = self._bind(record, model)
        move(record)

    def expect(self, records: Iterable[tuple[Record, str]]) -> None:
        """Lets the series of such records, each with its model, stand at 0: increase() never sees a series' first
        value, and the first saved dollar or broken verdict is one that counts.
        """
        for record, model in records:
            self._of_record[_key(record, model)] = self._bind(record, model)

    def expect_verdicts(self, rule: str, classifier: str, labels: Iterable[str]) -> None:
        """Lets a rule's verdicts stand at 0."""
        for outcome in ("clean", *(abstention.value for abstention in Abstention)):
            self.verdicts.labels(rule, classifier, outcome, "")
        for label in labels:
            self.verdicts.labels(rule, classifier, "label", label)

    def expect_unmet(self, rule: str) -> None:
        """Lets the reasons for which a rule cannot give its label stand at 0."""
        for reason in Reason:
            self.unmet.labels(rule, reason.value)

    def expect_redacted(self, rule: str, kinds: Iterable[str]) -> None:
        """Lets a rule's redactions stand at 0."""
        for kind in kinds:
            self.redacted.labels(rule, kind)

    def observe_unmet(self, reasons: Mapping[str, str]) -> None:
        """Counts labels that could not be given in the caller's shape. reasons: by rule."""
        for rule, reason in reasons.items():
            self.unmet.labels(rule, reason).inc()

    def observe_pair(self, rule: str, result: str, *, chosen: bool) -> None:
        """Counts a contract's pair. chosen: by the coin, so that it certifies or audits."""
        self.contract_pairs.labels(rule, result, "true" if chosen else "false").inc()

    def observe_redacted(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Counts replaced places. counts: by rule and kind."""
        for (rule, kind), count in counts.items():
            self.redacted.labels(rule, kind).inc(count)

    def expect_pairs(self, rule: str) -> None:
        """Lets a contract's pairs and moves stand at 0."""
        for result in Result:
            for chosen in ("true", "false"):
                self.contract_pairs.labels(rule, result.value, chosen)
        for phase in Phase:
            self.contract_moves.labels(rule, phase.value)

    def expect_retrainings(self, rule: str) -> None:
        """Lets a rule's trainings stand at 0."""
        for outcome in ("proposed", "refused", "failed", "promoted", "withdrawn"):
            self.retrainings.labels(rule, outcome)

    def watch_contracts(self, owner: Owner, rules: Iterable[str]) -> None:
        """Reads contracts when they are scraped. rules: those that have one."""
        for rule, phase in product(rules, Phase):
            self.contracts.labels(rule, phase.value).set_function(partial(owner.standing, rule, phase))

    def expect_stages(self, classifier: str, stages: Iterable[str]) -> None:
        """Lets a classifier's stages stand at 0."""
        for stage in stages:
            self.stage_verdicts.labels(classifier, stage)

    def expect_calls(self, upstream: str, reasons: Iterable[str]) -> None:
        """Lets an upstream's calls, fallbacks and failures stand at 0."""
        self.upstream_calls.labels(upstream)
        self.fallbacks.labels(upstream)
        for reason in reasons:
            self.upstream_failures.labels(upstream, reason)

    def watch(self, *, worker: Worker | None, runtime: Runtime | None, writer: LedgerWriter) -> None:
        """Reads the queues' lengths when they are scraped."""
        if worker is not None and runtime is not None:
            self.classifier_queue.set_function(lambda: worker.queued)
            self.show_classifiers(runtime, {name: one.version for name, one in runtime.classifiers.items()}, before={})
        self.ledger_pending.set_function(lambda: writer.pending)

    def show_classifiers(self, runtime: Runtime, now: Mapping[str, str], *, before: Mapping[str, str]) -> None:
        """Shows what is in use by now. now, before: the versions that are and were, by name."""
        self._windows.windows = runtime
        for name, version in before.items():
            self.classifier_info.remove(name, version)
        for name, version in now.items():
            self.classifier_info.labels(name, version).set(1)
            self.expect_stages(name, (stage.name for stage in runtime.classifiers[name].model.stages))

    def observe_verdict(self, verdict: Verdict, rule: str) -> None:
        """Counts a verdict by what it says."""
        outcome = verdict.abstention.value if verdict.abstention else ("label" if verdict.labels else "clean")
        label = verdict.labels[0] if verdict.labels else ""
        self.verdicts.labels(rule, verdict.classifier, outcome, label).inc()
        if verdict.stage:
            self.stage_verdicts.labels(verdict.classifier, verdict.stage).inc()

    def _bind(self, record: Record, model: str) -> Callable[[Record], None]:
        """The instruments' children for records of one kind, looked up once."""
        notional = "true" if record.notional else "false"
        requests = self.requests.labels(record.endpoint, model, record.decision, record.rule, str(record.status))
        gateway = self.gateway_seconds.labels(record.endpoint)
        classifier = self.classifier_seconds.labels(record.endpoint)
        unpriced = self.unpriced.labels(model)
        spend = self._bind_spend(record, model, notional) if record.upstream else None
        save = self._bind_savings(record, model, notional) if record.saved_reason is not None else None

        def move(record: Record) -> None:
            requests.inc()
            gateway.observe(record.gateway_s)
            if record.classifier_s is not None:
                classifier.observe(record.classifier_s)
            if spend is not None:
                spend(record)
            if save is not None:
                save(record)
            if record.spent_usd is None or record.saved_usd is None:
                unpriced.inc()

        return move

    def _bind_spend(self, record: Record, model: str, notional: str) -> Callable[[Record], None]:
        labels = (model, record.upstream, record.rule, notional)
        provider = self.provider_seconds.labels(record.upstream)
        first = self.first_token_seconds.labels(record.upstream)
        given = self.input_tokens.labels(*labels)
        cached = self.cached_input_tokens.labels(*labels)
        made = self.output_tokens.labels(*labels)
        cost = self.spent.labels(*labels)
        missing = self.usage_missing.labels(record.upstream)
        broke_off = self.upstream_failures.labels(record.upstream, "broke_off")

        def move(record: Record) -> None:
            if record.provider_s is not None:
                provider.observe(record.provider_s)
            if record.first_token_s is not None:
                first.observe(record.first_token_s)
            given.inc(record.input_tokens)
            made.inc(record.output_tokens)
            if record.cached_input_tokens:
                cached.inc(record.cached_input_tokens)
            if record.spent_usd:
                cost.inc(record.spent_usd)
            if record.usage_source == "missing":
                missing.inc()
            if record.error and record.status < 400:
                broke_off.inc()

        return move

    def _bind_savings(self, record: Record, model: str, notional: str) -> Callable[[Record], None]:
        estimated = "true" if record.saved_estimated else "false"
        labels = (str(record.saved_reason), record.rule, model, notional)
        saved = self.saved.labels(*labels, estimated)
        if record.saved_reason == "cheaper_route":
            # a dearer route saves less than nothing; counters only rise, so it stands in its own
            overspent = self.overspent.labels(record.rule, model, notional)

            def reroute(record: Record) -> None:
                usd = record.saved_usd or 0.0
                (saved if usd >= 0 else overspent).inc(abs(usd))

            return reroute
        calls = self.saved_calls.labels(*labels)
        given = self.saved_input_tokens.labels(*labels, estimated)
        made = self.saved_output_tokens.labels(*labels, estimated)

        def avoid(record: Record) -> None:
            calls.inc()
            given.inc(record.saved_input_tokens)
            made.inc(record.saved_output_tokens)
            saved.inc(record.saved_usd or 0.0)

        return avoid

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
            "offramp_gateway_seconds", "The gateway's own time, without classifiers and providers.", _FAST, "endpoint"
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
            "Dollars that rerouted calls cost above the model asked for.",
            "rule",
            "model",
            "notional",
        )
        self.unpriced = self._counter(
            "offramp_unpriced_requests", "Requests whose cost is unknown: no price, or no usage.", "model"
        )
        self.usage_missing = self._counter(
            "offramp_usage_missing_requests", "Forwarded requests whose usage was not reported.", "upstream"
        )

    def _make_classifier_instruments(self) -> None:
        self.verdicts = self._counter(
            "offramp_verdicts", "Verdicts by rule and outcome.", "rule", "classifier", "outcome", "label"
        )
        self.stage_verdicts = self._counter(
            "offramp_stage_verdicts", "Verdicts by the classifier's stage that settled them.", "classifier", "stage"
        )
        self.unmet = self._counter(
            "offramp_unmet_answers", "Labels that could not be given in the caller's shape.", "rule", "reason"
        )
        self.redacted = self._counter(
            "offramp_redacted_places", "Places in requests and answers that were replaced.", "rule", "kind"
        )
        self.contract_pairs = self._counter(
            "offramp_contract_pairs",
            "Local verdicts beside the answer of the model that was asked for.",
            "rule",
            "result",
            "chosen",
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
        self._windows = _WindowCounters()
        self.registry.register(self._windows)
        self.reload_failures = self._counter(
            "offramp_reload_failures", "New versions of classifiers that could not be taken up."
        )
        self.classifier_info = self._gauge(
            "offramp_classifier_info", "The version in use of each classifier.", "classifier", "version"
        )
        self.classifier_queue = self._gauge("offramp_classifier_queue_requests", "Requests waiting for classifiers.")

    def _make_health_instruments(self) -> None:
        self.upstream_calls = self._counter("offramp_upstream_calls", "Calls tried at an upstream.", "upstream")
        self.upstream_failures = self._counter(
            "offramp_upstream_failures", "Calls that an upstream failed, by reason.", "upstream", "reason"
        )
        self.fallbacks = self._counter("offramp_fallbacks", "Calls sent to a fallback.", "upstream")
        self.ledger_pending = self._gauge("offramp_ledger_pending_rows", "Ledger rows not written yet.")
        self.ledger_failures = self._counter("offramp_ledger_failures", "Writes to the ledger that failed.")
        self.ledger_lost = self._counter("offramp_ledger_lost_rows", "Ledger rows given up.")
        self.build_info = self._gauge("offramp_build_info", "The version that runs.", "version")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)


def _key(record: Record, model: str) -> tuple[object, ...]:
    """All of a record that its instruments' labels are made of."""
    return (
        record.endpoint,
        model,
        record.decision,
        record.rule,
        record.status,
        record.upstream,
        record.saved_reason,
        record.notional,
        record.saved_estimated,
    )
