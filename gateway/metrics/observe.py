"""How the gateway's instruments move: by ledger records, verdicts, pairs, and what is read when they are scraped."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from typing import Final

from prometheus_client import generate_latest

from classifiers import Runtime, Worker
from classifiers.verdict import Abstention, Verdict
from gateway.answers.compare import Result
from gateway.answers.format import UnsupportedReason
from gateway.contracts.contract import Phase
from gateway.contracts.owner import Owner
from gateway.contracts.safety_owner import SafetyOwner
from gateway.ledger.record import ASIDE, Record
from gateway.ledger.savings import may_have_cost, why_unknown
from gateway.ledger.writer import LedgerWriter
from gateway.metrics.instruments import Instruments

_MISSING: Final = ("not_reported", "cut_off")
_UNPRICED: Final = ("no_price", *_MISSING)
"""Why a cost is unknown."""


class Metrics(Instruments):
    """The gateway's instruments, and what moves them."""

    def __init__(self) -> None:
        super().__init__()
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
        for reason in UnsupportedReason:
            self.unmet.labels(rule, reason.value)

    def expect_redacted(self, rule: str, kinds: Iterable[str]) -> None:
        """Lets a rule's redactions stand at 0."""
        for kind in kinds:
            self.redacted.labels(rule, kind)

    def observe_unmet(self, reasons: Mapping[str, str]) -> None:
        """Counts labels that could not be given in the caller's shape. reasons: by rule."""
        for rule, reason in reasons.items():
            self.unmet.labels(rule, reason).inc()

    def observe_judge(self, rule: str, outcome: str, seconds: float) -> None:
        """Counts a question to a rule's judge."""
        self.judge_verdicts.labels(rule, outcome).inc()
        self.judge_seconds.labels(rule).observe(seconds)

    def observe_remembered(self, rule: str) -> None:
        """Counts a question whose answer was remembered."""
        self.judge_remembered.labels(rule).inc()

    def expect_judge(self, rule: str, outcomes: Iterable[str]) -> None:
        """Lets a judge's verdicts stand at 0."""
        for outcome in outcomes:
            self.judge_verdicts.labels(rule, outcome)
        self.judge_remembered.labels(rule)
        self.judge_seconds.labels(rule)

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
            self.contract_repeats.labels(rule, result.value)
        for phase in Phase:
            self.contract_moves.labels(rule, phase.value)

    def expect_retrainings(self, rule: str) -> None:
        """Lets a rule's trainings stand at 0."""
        for outcome in ("proposed", "refused", "failed", "promoted", "withdrawn"):
            self.retrainings.labels(rule, outcome)

    def watch_contracts(self, owner: Owner | SafetyOwner, rules: Iterable[str]) -> None:
        """Reads contracts when they are scraped. rules: those that have one."""
        for rule, phase in product(rules, Phase):
            self.contracts.labels(rule, phase.value).set_function(partial(owner.standing, rule, phase))

    def watch_refusals(self, owner: Owner, rules: Iterable[str]) -> None:
        """Reads refused contracts when they are scraped. rules: those under a contract with a model."""
        for rule in rules:
            self.contracts_refused.labels(rule).set_function(partial(owner.refused, rule))

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
        # what is refused before a model is known costs nothing, so that no series without a model need stand at 0
        unpriced = {reason: self.unpriced.labels(model, reason) for reason in _UNPRICED if model}
        # a call that no client asked for is money, but no request
        request = None if record.decision in ASIDE else self._bind_request(record, model)
        spend = self._bind_spend(record, model, notional) if record.upstream else None
        save = self._bind_savings(record, model, notional) if record.saved_reason is not None else None
        moves = [one for one in (request, spend, save) if one is not None]

        def move(record: Record) -> None:
            for one in moves:
                one(record)
            if record.spent_usd is None or record.saved_usd is None:
                reason = why_unknown(record)
                (unpriced.get(reason) or self.unpriced.labels(model, reason)).inc()

        return move

    def _bind_request(self, record: Record, model: str) -> Callable[[Record], None]:
        requests = self.requests.labels(record.endpoint, model, record.decision, record.rule, str(record.status))
        gateway = self.gateway_seconds.labels(record.endpoint)
        classifier = self.classifier_seconds.labels(record.endpoint)

        def move(record: Record) -> None:
            requests.inc()
            gateway.observe(record.gateway_s)
            if record.classifier_s is not None:
                classifier.observe(record.classifier_s)

        return move

    def _bind_spend(self, record: Record, model: str, notional: str) -> Callable[[Record], None]:
        labels = (model, record.upstream, record.rule, notional)
        provider = self.provider_seconds.labels(record.upstream)
        first = self.first_token_seconds.labels(record.upstream)
        given = self.input_tokens.labels(*labels)
        cached = self.cached_input_tokens.labels(*labels)
        made = self.output_tokens.labels(*labels)
        cost = self.spent.labels(*labels)
        missing = {reason: self.usage_missing.labels(record.upstream, reason) for reason in _MISSING}
        # the answers to the gateway's own calls come whole: an error there is a judge's answer that is no verdict
        broke_off = None if record.decision in ASIDE else self.upstream_failures.labels(record.upstream, "broke_off")

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
            # where the call cost nothing, it is one to a target before it that is missing, and that is counted
            if record.usage_source == "missing" and may_have_cost(record):
                missing[why_unknown(record)].inc()
            if broke_off is not None and record.error and record.status < 400:
                broke_off.inc()

        return move

    def _bind_savings(self, record: Record, model: str, notional: str) -> Callable[[Record], None]:
        estimated = "true" if record.saved_estimated else "false"
        labels = (str(record.saved_reason), record.rule, model, notional)
        saved = self.saved.labels(*labels, estimated)
        if record.saved_reason == "cheaper_route" or record.saved_reason in ASIDE:
            # a dearer route, a judge and a second answer save less than nothing, and counters only rise
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
