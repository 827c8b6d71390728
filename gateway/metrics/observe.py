"""How ledger records, verdicts and pairs move the gateway's instruments, and what is read at each scrape."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from typing import Any

from prometheus_client import generate_latest

from classifiers import Runtime, Worker
from classifiers.verdict import Verdict
from gateway.contracts.contract import Phase
from gateway.contracts.owner import Owner
from gateway.contracts.safety_owner import SafetyOwner
from gateway.metrics.instruments import Instruments
from gateway.record import ASIDE, PASSED, Record, may_have_cost, why_unknown


class _Series(dict[tuple[Any, ...], Any]):
    """Series by (instrument, *labels). The library's own labels() takes a lock and more than twice as long."""

    def __missing__(self, key: tuple[Any, ...]) -> Any:
        instrument, *labels = key
        series = self[key] = instrument.labels(*labels)
        return series


class Metrics(Instruments):
    """The gateway's instruments, and what moves them."""

    def __init__(self) -> None:
        super().__init__()
        self._series = _Series()

    def text(self) -> bytes:
        """The exposition for /metrics."""
        return generate_latest(self.registry)

    def observe(self, record: Record, *, model: str) -> None:
        """Moves all instruments by one record. model: the requested model, or `other` where it is not configured."""
        notional = flag(record.notional)
        # a call that no client asked for costs money, but is no request
        if record.decision not in ASIDE:
            self._observe_request(record, model)
        if record.upstream:
            self._observe_spending(record, (model, record.upstream, record.rule, notional))
        if record.saved_reason is not None:
            self._observe_saving(record, (record.saved_reason, record.rule, model, notional))
        if (record.spent_usd is None or record.saved_usd is None) and record.endpoint != PASSED:
            self.unpriced.labels(model, why_unknown(record)).inc()

    def _observe_request(self, record: Record, model: str) -> None:
        self._series[self.requests, record.endpoint, model, record.decision, record.rule, str(record.status)].inc()
        self._series[self.gateway_seconds, record.endpoint].observe(record.gateway_s)
        if record.classifier_s is not None:
            self._series[self.classifier_seconds, record.endpoint].observe(record.classifier_s)

    def _observe_spending(self, record: Record, labels: tuple[str, ...]) -> None:
        if record.provider_s is not None:
            self._series[self.provider_seconds, record.upstream].observe(record.provider_s)
        if record.first_token_s is not None:
            self._series[self.first_token_seconds, record.upstream].observe(record.first_token_s)
        self._series[self.input_tokens, *labels].inc(record.input_tokens)
        self._series[self.output_tokens, *labels].inc(record.output_tokens)
        if record.cached_input_tokens:
            self._series[self.cached_input_tokens, *labels, "read"].inc(record.cached_input_tokens)
        if record.cache_write_tokens:
            self._series[self.cached_input_tokens, *labels, "write"].inc(record.cache_write_tokens)
        if record.spent_usd:
            self._series[self.spent, *labels].inc(record.spent_usd)
        # where the call cost nothing, the usage of an earlier target is missing, and that is counted already
        if record.usage_source == "missing" and may_have_cost(record) and record.endpoint != PASSED:
            self.usage_missing.labels(record.upstream, why_unknown(record)).inc()
        # the gateway's own calls are not streamed: an error there is a judge's answer without a verdict
        if record.error and record.status < 400 and record.decision not in ASIDE:
            self.upstream_failures.labels(record.upstream, "broke_off").inc()

    def _observe_saving(self, record: Record, labels: tuple[str, ...]) -> None:
        estimated = flag(record.saved_estimated)
        usd = record.saved_usd or 0.0
        if record.saved_reason in ("local_answer", "block"):
            self._series[self.saved_calls, *labels].inc()
            self._series[self.saved_tokens, *labels, estimated, "input"].inc(record.saved_input_tokens)
            self._series[self.saved_tokens, *labels, estimated, "output"].inc(record.saved_output_tokens)
        if usd >= 0:
            self._series[self.saved, *labels, estimated].inc(usd)
        else:
            # a dearer route, a judge and a second answer save less than nothing, and counters only rise
            self.overspent.labels(*labels[1:]).inc(-usd)

    def observe_verdict(self, verdict: Verdict, rule: str) -> None:
        """Counts a verdict by its outcome; of one with parts, each of these."""
        for part in verdict.parts:
            self.observe_verdict(part, rule)
        if verdict.parts:
            return
        outcome = verdict.abstention.value if verdict.abstention else ("label" if verdict.labels else "clean")
        label = verdict.labels[0] if verdict.labels else ""
        self._series[self.verdicts, rule, verdict.classifier, outcome, label].inc()
        if verdict.stage:
            self._series[self.stage_verdicts, verdict.classifier, verdict.stage].inc()

    def observe_unsupported(self, reasons: Mapping[str, str]) -> None:
        """Counts labels that could not be given in the caller's format. reasons: by rule."""
        for rule, reason in reasons.items():
            self.unsupported.labels(rule, reason).inc()

    def observe_judge(self, rule: str, outcome: str, seconds: float) -> None:
        """Counts a question to a rule's judge."""
        self.judge_verdicts.labels(rule, outcome).inc()
        self.judge_seconds.labels(rule).observe(seconds)

    def observe_remembered(self, rule: str) -> None:
        """Counts a question whose answer was remembered."""
        self.judge_remembered.labels(rule).inc()

    def observe_pair(self, rule: str, result: str, *, chosen: bool) -> None:
        """Counts a contract's pair. chosen: by the coin, so that it certifies or audits."""
        self._series[self.contract_pairs, rule, result, flag(chosen)].inc()

    def observe_redacted(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Counts replaced places. counts: by rule and kind."""
        for (rule, kind), count in counts.items():
            self.redacted.labels(rule, kind).inc(count)

    def watch(self, *, worker: Worker | None, runtime: Runtime | None, pending: Callable[[], int]) -> None:
        """Reads the queues' lengths at each scrape. pending: the rows that the ledger has yet to write."""
        if worker is not None and runtime is not None:
            self.classifier_queue.set_function(lambda: worker.queued)
            self._windows.spared = lambda: worker.memory.windows
            self.show_classifiers(runtime, {name: one.version for name, one in runtime.classifiers.items()}, before={})
        self.ledger_pending.set_function(pending)

    def watch_contracts(self, owner: Owner | SafetyOwner, rules: Iterable[str]) -> None:
        """Reads the phases of contracts at each scrape. rules: those that have a contract."""
        for rule, phase in product(rules, Phase):
            self.contracts.labels(rule, phase.value).set_function(partial(owner.standing, rule, phase))

    def watch_refusals(self, owner: Owner, rules: Iterable[str]) -> None:
        """Reads the number of refused contracts at each scrape. rules: those under a contract with a model."""
        for rule in rules:
            self.contracts_refused.labels(rule).set_function(partial(owner.refused, rule))

    def show_classifiers(self, runtime: Runtime, now: Mapping[str, str], *, before: Mapping[str, str]) -> None:
        """Shows the versions in use. now, before: the versions that are and were, by classifier."""
        self._windows.windows = runtime
        for name, version in before.items():
            self.classifier_info.remove(name, version)
        for name, version in now.items():
            self.classifier_info.labels(name, version).set(1)
            for stage in runtime.classifiers[name].model.stages:
                self.stage_verdicts.labels(name, stage.name)


def flag(value: bool) -> str:
    """A flag as a label has it."""
    return "true" if value else "false"
