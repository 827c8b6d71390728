"""Closes a request's record with times, prices and savings, and hands it to the ledger and the metrics.

A record is priced at once, since the next estimate builds on it. Rows and metrics move in batches.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from gateway.config.prices import Price, PriceTable
from gateway.context import RequestContext, RequestedModel
from gateway.ledger.savings import UsageRatios
from gateway.ledger.writer import LedgerWriter
from gateway.log import Closed, RequestLog
from gateway.metrics.observe import Metrics
from gateway.record import Record, may_have_cost
from gateway.routes import Routes

BATCH_S: Final = 0.05
"""How long a closed record may wait for its row and its figures."""
_MOST: Final = 100
"""Records that wait: more would hold the event loop up."""
_REMEMBERED: Final = 1000
"""Prices and labels of models, which clients name."""
_FORWARDED: Final = frozenset({"forward", "redact"})


@dataclass(kw_only=True, eq=False, repr=False)
class Recorder:
    """The last step of every request. notional: by upstream, whether nobody is charged for its calls. batch_s: how long
    records wait; 0 where each goes on at once, which needs no event loop. log: gets a line for each."""

    writer: LedgerWriter
    metrics: Metrics
    prices: PriceTable
    routes: Routes
    notional: Mapping[str, bool]
    batch_s: float = 0.0
    log: RequestLog | None = None

    def __post_init__(self) -> None:
        self._ratios = UsageRatios()
        self._price = lru_cache(_REMEMBERED)(self.prices.find)
        self._label = lru_cache(_REMEMBERED)(self._named)
        self._closed: list[tuple[Record, str]] = []
        self._logged: list[Closed] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> int:
        """Rows not written yet."""
        return len(self._closed) + self.writer.pending

    def save(self, context: RequestContext, given_bytes: int, *, tier: str = "") -> None:
        """Notes the saving of a call that is answered or blocked here. given_bytes: of the content sent instead of the
        model's answer, all choices together. tier: that the client asked for; a dearer one might not have been had."""
        record = context.record
        record.saved_reason = "block" if record.decision == "block" else "local_answer"
        record.saved_estimated, record.usage_source = True, "estimated"
        key = (record.requested_model, record.rule)
        record.saved_input_tokens = self._ratios.input_tokens(*key, context.prompt_bytes)
        record.saved_output_tokens = self._ratios.output_tokens(*key, given_bytes)
        first = self.routes.for_client(RequestedModel(record.requested_model))[0]
        record.notional = self.notional[first.upstream]
        price, asked = (self._asked_price(record.requested_model, one) for one in ("", tier))
        price = asked if price and asked and asked.output_usd < price.output_usd else price
        record.saved_usd = (
            None
            if price is None
            else price.cost(
                input_tokens=record.saved_input_tokens,
                output_tokens=record.saved_output_tokens,
                cached_input_tokens=self._ratios.cached_input_tokens(*key, record.saved_input_tokens),
            )
        )

    def finish(self, context: RequestContext) -> None:
        """Records a request. Called once for every request, however it ended."""
        record = context.record
        if record.upstream:
            self._price_call(context)
            if record.decision in ("judge", "repeat"):
                record.saved_reason = record.decision
                record.saved_usd = None if record.spent_usd is None else -record.spent_usd
        elapsed = time.perf_counter() - context.started
        others = (record.classifier_s or 0.0) + (record.provider_s or 0.0) + context.judge_s
        record.gateway_s = max(0.0, elapsed - others)
        asked, sent = record.requested_model, record.upstream_model
        label = sent_label = self._label(asked)
        if sent != asked:
            sent_label = self._label(sent)
        if label != asked or sent_label != sent:
            record.known_model = None if label == asked else label
            record.known_upstream_model = None if sent_label == sent else sent_label
        self._closed.append((record, label))
        if self.log is not None:
            self._logged.append((record, elapsed, context.method, context.path))
        if not self.batch_s or len(self._closed) >= _MOST:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.batch_s, self.flush)

    def flush(self) -> None:
        """Hands on what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        closed, self._closed = self._closed, []
        self.writer.add(*[record for record, _ in closed])
        self.metrics.observe(closed)
        if self.log is not None:
            logged, self._logged = self._logged, []
            self.log.add(logged)

    def close(self) -> None:
        """Hands on what waits, then writes it and closes the ledger. Blocks for as long as that takes."""
        self.flush()
        self.writer.close()

    def _price_call(self, context: RequestContext) -> None:
        record = context.record
        other_model = record.upstream_model != self._sent_as(record.requested_model)
        cheaper = context.rerouted and other_model and record.decision in _FORWARDED
        if record.usage_source != "reported":
            # a refused call costs nothing; one that went through or broke off, or an earlier target, may cost something
            unknown = not context.unbilled and (may_have_cost(record) or context.unreported_attempt)
            record.usage_source = "missing" if unknown else "none"
            record.spent_usd = None if unknown else 0.0
            if unknown and cheaper and record.status < 400:
                record.saved_reason, record.saved_usd = "cheaper_route", None
            return
        usage = {
            "input_tokens": record.input_tokens,
            "output_tokens": record.output_tokens,
            "cached_input_tokens": record.cached_input_tokens,
        }
        written = record.cache_write_tokens
        # calls with images, and other models, count other tokens
        if context.prompt_bytes and not other_model and not context.attaches:
            self._ratios.learn(
                record.requested_model, context.matched_rules, prompt_bytes=context.prompt_bytes, **usage
            )
        spent_at = self._price(record.upstream_model, record.service_tier, record.answered_model)
        record.spent_usd = None if spent_at is None else spent_at.cost(**usage, cache_write_tokens=written)
        if cheaper:
            asked_at = self._asked_price(record.requested_model, record.service_tier)
            record.saved_reason, record.saved_usd = "cheaper_route", None
            if record.spent_usd is not None and asked_at is not None:
                record.saved_usd = asked_at.cost(**usage, cache_write_tokens=written) - record.spent_usd

    def _asked_price(self, model: str, tier: str) -> Price | None:
        """The price of the model that the client asked for. A name of the gateway's own has the price of the model that
        it stands for, or none, even if a priced model has the same name."""
        return self._price(self._sent_as(model), tier)

    def _sent_as(self, model: str) -> str:
        """The name under which a model that a client asks for is sent upstream."""
        return self.routes.sent_as(model) or model

    def _named(self, model: str) -> str:
        """The model as a metric's label: a configured or priced name, so that clients cannot invent labels."""
        if self.routes.named(model):
            return model
        return self.prices.name(model) or ("other" if model else "")
