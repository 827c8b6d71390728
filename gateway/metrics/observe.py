"""How ledger records, verdicts and pairs move the gateway's instruments, and what is read at each scrape."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final, Protocol

from prometheus_client import Histogram, generate_latest

from classifiers import Runtime, Worker
from classifiers.verdict import Verdict
from gateway.contracts.contract import Phase
from gateway.metrics.instruments import Instruments
from gateway.record import ASIDE, PASSED, Record, may_have_cost, why_unknown

_KIND: Final = attrgetter(
    *("endpoint", "decision", "rule", "status", "upstream", "notional", "usage_source", "error", "saved_reason"),
    "saved_estimated",
)
"""What of a record decides which series it moves."""


class _Series(dict[tuple[Any, ...], Any]):
    """Series by (instrument, *labels). The library's own labels() takes a lock and more than twice as long."""

    def __missing__(self, key: tuple[Any, ...]) -> Any:
        instrument, *labels = key
        series = self[key] = instrument.labels(*labels)
        return series


class Standing(Protocol):
    """Says where contracts stand."""

    def standing(self, rule: str, phase: Phase, /) -> int:
        """How many of a rule's bounds are in a phase."""
        ...

    def refused(self, rule: str, /) -> int:
        """How many of its contracts the model's own contradictions hold up."""
        ...


class Metrics(Instruments):
    """The gateway's instruments, and what moves them."""

    def __init__(self) -> None:
        super().__init__()
        self._series = _Series()

    def text(self) -> bytes:
        """The exposition for /metrics."""
        return generate_latest(self.registry)

    def observe(self, records: Iterable[tuple[Record, str]]) -> None:
        """Moves all instruments by records, each with the requested model, or `other` where it is not configured. What
        is the same of several is looked up once."""
        alike: dict[tuple[Any, ...], list[Record]] = {}
        for record, model in records:
            alike.setdefault((model, *_KIND(record)), []).append(record)
        for (model, *_), group in alike.items():
            self._observe_alike(group, model)

    def _observe_alike(self, group: Sequence[Record], model: str) -> None:
        """Moves them by records that differ in figures alone."""
        record = group[0]
        notional = flag(record.notional)
        # a call that no client asked for costs money, but is no request
        if record.decision not in ASIDE:
            series = self.requests, record.endpoint, model, record.decision, record.rule, str(record.status)
            self._series[series].inc(len(group))
            self._time(self.gateway_seconds, record.endpoint, [one.gateway_s for one in group])
            self._time(self.classifier_seconds, record.endpoint, [one.classifier_s for one in group])
        if record.upstream:
            self._observe_spending(group, (model, record.upstream, record.rule, notional))
        if record.saved_reason is not None:
            self._observe_saving(group, (record.saved_reason, record.rule, model, notional))
        unpriced = sum([one.spent_usd is None or one.saved_usd is None for one in group])
        if unpriced and record.endpoint != PASSED:
            self.unpriced.labels(model, why_unknown(record)).inc(unpriced)

    def _time(self, instrument: Histogram, label: str, seconds: Iterable[float | None]) -> None:
        observe = None
        for value in seconds:
            if value is not None:
                observe = observe or self._series[instrument, label].observe
                observe(value)

    def _observe_spending(self, group: Sequence[Record], labels: tuple[str, ...]) -> None:
        record = group[0]
        self._time(self.provider_seconds, record.upstream, [one.provider_s for one in group])
        self._time(self.first_token_seconds, record.upstream, [one.first_token_s for one in group])
        self._series[self.input_tokens, *labels].inc(sum([one.input_tokens for one in group]))
        self._series[self.output_tokens, *labels].inc(sum([one.output_tokens for one in group]))
        if read := sum([one.cached_input_tokens for one in group]):
            self._series[self.cached_input_tokens, *labels, "read"].inc(read)
        if written := sum([one.cache_write_tokens for one in group]):
            self._series[self.cached_input_tokens, *labels, "write"].inc(written)
        if spent := sum([one.spent_usd or 0.0 for one in group]):
            self._series[self.spent, *labels].inc(spent)
        # where the call cost nothing, the usage of an earlier target is missing, and that is counted already
        if record.usage_source == "missing" and may_have_cost(record) and record.endpoint != PASSED:
            self.usage_missing.labels(record.upstream, why_unknown(record)).inc(len(group))
        # the gateway's own calls are not streamed: an error there is a judge's answer without a verdict
        if record.error and record.status < 400 and record.decision not in ASIDE:
            self.upstream_failures.labels(record.upstream, "broke_off").inc(len(group))

    def _observe_saving(self, group: Sequence[Record], labels: tuple[str, ...]) -> None:
        estimated = flag(group[0].saved_estimated)
        if group[0].saved_reason in ("local_answer", "block"):
            self._series[self.saved_calls, *labels].inc(len(group))
            for direction, name in (("input", "saved_input_tokens"), ("output", "saved_output_tokens")):
                tokens = sum([getattr(one, name) for one in group])
                self._series[self.saved_tokens, *labels, estimated, direction].inc(tokens)
        saved = [one.saved_usd or 0.0 for one in group]
        if gains := [usd for usd in saved if usd >= 0]:
            self._series[self.saved, *labels, estimated].inc(sum(gains))
        # a dearer route, a judge and a second answer save less than nothing, and counters only rise
        if over := -sum([usd for usd in saved if usd < 0]):
            self.overspent.labels(*labels[1:]).inc(over)

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

    def observe_pair(self, rule: str, result: str, *, audited: bool) -> None:
        """Counts a contract's call whose right answer is known. audited: it would have been decided here, had its coin
        not chosen it."""
        self._series[self.contract_pairs, rule, result, flag(audited)].inc()

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

    def watch_contracts(self, owner: Standing, rules: Iterable[str]) -> None:
        """Reads the phases of contracts at each scrape, and how many the model's own contradictions hold up. rules:
        those that have a contract."""
        for rule in rules:
            for phase in (Phase.SHADOW, Phase.LIVE):
                self.contracts.labels(rule, phase.value).set_function(partial(owner.standing, rule, phase))
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
