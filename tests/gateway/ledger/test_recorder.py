"""What a request cost and saved: reported usage, the price of the model asked for, and nothing guessed."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.config.prices import PriceTable
from gateway.config.settings import ModelRoute
from gateway.context import RequestContext, new_context
from gateway.ledger import recorder as recording
from gateway.ledger import writer as writing
from gateway.ledger.recorder import Recorder
from gateway.ledger.writer import LedgerWriter
from gateway.metrics.observe import Metrics
from gateway.record import Record
from gateway.routes import Routes

ROUTES = Routes(
    {name: ModelRoute(upstream="one") for name in ("dear", "cheap", "unpriced")}
    | {
        "mine": ModelRoute(upstream="one", model="dear"),
        "team/dear": ModelRoute(upstream="one", model="cheap"),
        "openai/dear": ModelRoute(upstream="one", model="unpriced"),
    }
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def finish(memory_store: Any, prices: PriceTable, metrics: Metrics) -> Callable[..., Record]:
    """finish(context): the record as it is stored."""

    def close(*contexts: RequestContext, notional: bool = False, saved: int | None = None, tier: str = "") -> Record:
        writer = LedgerWriter(memory_store, on_failure=lambda _: None, on_lost=lambda _: None)
        recorder = Recorder(
            writer=writer,
            metrics=metrics,
            prices=prices,
            routes=ROUTES,
            notional=dict.fromkeys(("one", "two"), notional),
        )
        for context in contexts:
            if saved is not None and context is contexts[-1]:
                recorder.save(context, saved, tier=tier)
            recorder.finish(context)
        writer.close()
        record: Record = memory_store.records[-1]
        return record

    return close


def forwarded(model: str = "dear", to: str | None = None, **fields: Any) -> RequestContext:
    context = new_context("req_1", "chat.completions", "anonymous")
    record = context.record
    record.requested_model, record.upstream, record.upstream_model = model, "one", to or model
    record.usage_source, record.input_tokens, record.output_tokens = "reported", 1000, 100
    for name, value in fields.items():
        setattr(record, name, value)
    context.rerouted = to is not None
    context.prompt_bytes = 4000
    return context


def local(model: str = "dear", decision: Any = "answer", prompt_bytes: int = 4000) -> RequestContext:
    context = new_context("req_1", "chat.completions", "anonymous")
    context.record.requested_model, context.record.decision, context.prompt_bytes = model, decision, prompt_bytes
    return context


DEAR, CHEAP = 1000 * 10e-6 + 100 * 40e-6, 1000 * 1e-6 + 100 * 4e-6
"""Dollars of a call of 1,000 input and 100 output tokens."""
LABELS = {"model": "dear", "upstream": "one", "rule": "r", "notional": "false"}


@pytest.mark.parametrize(
    ("asked", "to", "fields", "spent", "saved"),
    [
        ("dear", None, {}, DEAR, None),
        ("dear", None, {"cached_input_tokens": 600}, DEAR - 600 * 5e-6, None),
        # a fallback is no cheaper route, nor is another name of the same model
        ("dear", None, {"upstream_model": "cheap"}, CHEAP, None),
        ("mine", "dear", {}, DEAR, None),
        ("dear", "cheap", {}, CHEAP, DEAR - CHEAP),
        ("cheap", "dear", {}, DEAR, CHEAP - DEAR),
        ("mine", "cheap", {}, CHEAP, DEAR - CHEAP),
        # a name that the file does not hold costs what it says
        ("azure/dear", "cheap", {}, CHEAP, DEAR - CHEAP),
        ("dear", None, {"service_tier": "flex"}, DEAR / 2, None),
        ("dear", None, {"service_tier": "default", "answered_model": "dear-2026-01-01"}, 2 * DEAR, None),
        ("dear", None, {"service_tier": "scale"}, None, None),
        # longer than 5,000 tokens
        ("cheap", None, {"input_tokens": 6000}, 6000 * 2e-6 + 100 * 6e-6, None),
        # "team/dear" is sent as "cheap" for clients, and another model is sent as "team/dear"
        ("team/dear", "team/dear", {}, DEAR, CHEAP - DEAR),
    ],
)
def test_a_forwarded_call_costs_its_usage_and_a_route_saves_the_difference(
    finish: Callable[..., Record],
    metrics: Metrics,
    asked: str,
    to: str | None,
    fields: dict[str, Any],
    spent: float | None,
    saved: float | None,
) -> None:
    record = finish(forwarded(model=asked, to=to, rule="r", **fields))
    assert record.spent_usd == (None if spent is None else pytest.approx(spent))
    assert record.saved_reason == (None if saved is None else "cheaper_route")
    assert record.saved_usd == pytest.approx(saved or 0.0)
    model = asked if asked != "azure/dear" else "dear"
    labels = {"rule": "r", "model": model, "notional": "false"}
    value = metrics.registry.get_sample_value
    over = value("offramp_overspent_dollars_total", labels)
    assert over == (pytest.approx(-saved) if saved is not None and saved < 0 else None)
    assert value("offramp_saved_calls_total", {**labels, "reason": "cheaper_route"}) is None


@pytest.mark.parametrize(
    ("asked", "to"),
    [("unpriced", "cheap"), ("dear", "unpriced"), ("unpriced", "unpriced-too"), ("openai/dear", "cheap")],
)
def test_an_unknown_price_is_counted_not_guessed(
    finish: Callable[..., Record], metrics: Metrics, asked: str, to: str
) -> None:
    record = finish(forwarded(model=asked, to=to, rule="r"))
    assert (record.saved_reason, record.saved_usd) == ("cheaper_route", None)
    assert (record.spent_usd is None) is to.startswith("unpriced")
    labels = {"model": asked, "reason": "no_price"}
    assert metrics.registry.get_sample_value("offramp_unpriced_requests_total", labels) == 1


LOST = {"usage_source": "none", "decision": "error"}


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({}, "missing"),
        ({"status": 400}, "none"),
        ({"error": "upstream_failed"}, "missing"),
        ({**LOST, "status": 499}, "missing"),
        ({**LOST, "status": 504, "error": "upstream_timeout"}, "missing"),
        ({**LOST, "status": 502, "error": "upstream_answer_lost"}, "missing"),
        ({**LOST, "status": 503, "error": "cancelled"}, "missing"),
        ({"status": 503, "decision": "error", "error": "upstream_failed"}, "missing"),
        ({"status": 500, "decision": "error", "error": "internal_error"}, "missing"),
        ({**LOST, "status": 503, "error": "cancelled", "upstream": ""}, "none"),
        ({"status": 503}, "none"),
        ({**LOST, "status": 502, "error": "upstream_failed"}, "none"),
    ],
)
@pytest.mark.parametrize("unreported", [False, True])
def test_a_call_without_usage(
    finish: Callable[..., Record], metrics: Metrics, fields: dict[str, Any], source: str, *, unreported: bool
) -> None:
    """unreported: another target may have taken it before."""
    context = forwarded(**{"usage_source": "missing", **fields})
    context.unreported_attempt = unreported
    record = finish(context)
    unknown = source == "missing" or (unreported and bool(record.upstream))
    assert (record.usage_source, record.spent_usd) == (("missing", None) if unknown else ("none", 0.0))
    if unreported and source == "none":
        # the target that may have taken it is counted where it failed
        value = metrics.registry.get_sample_value
        assert not value("offramp_usage_missing_requests_total", {"upstream": "one", "reason": "cut_off"})
        unpriced = value("offramp_unpriced_requests_total", {"model": "dear", "reason": "cut_off"})
        assert (unpriced or 0) == unknown


@pytest.mark.parametrize(
    ("model", "saved"),
    [("dear", DEAR), ("mine", DEAR), ("team/dear", CHEAP), ("unpriced", None), ("openai/dear", None)],
)
def test_a_local_answer_saves_what_the_model_asked_for_would_have_cost(
    finish: Callable[..., Record], model: str, saved: float | None
) -> None:
    """A name of the gateway's own costs what it stands for, though it may hold a priced one."""
    record = finish(local(model=model), saved=400)
    assert (record.saved_reason, record.saved_input_tokens, record.saved_output_tokens) == ("local_answer", 1000, 100)
    assert record.saved_usd == (None if saved is None else pytest.approx(saved))
    assert record.saved_estimated
    assert (record.spent_usd, record.usage_source, record.notional) == (0.0, "estimated", False)


@pytest.mark.parametrize(("tier", "share"), [("flex", 0.5), ("priority", 1), ("scale", 1), ("auto", 1)])
def test_a_saving_goes_by_the_tier_asked_for_where_that_is_cheaper(
    finish: Callable[..., Record], tier: str, share: float
) -> None:
    assert finish(local(), saved=400, tier=tier).saved_usd == pytest.approx(DEAR * share)


@pytest.fixture
def estimate(finish: Callable[..., Record]) -> Callable[..., Record]:
    """estimate(usage): the record of a local answer of 8 bytes after 2,000 forwarded calls of the same rule."""

    def make(attaches: bool = False, **fields: Any) -> Record:
        seen = [forwarded(**fields) for _ in range(2000)]
        for context in seen:
            context.matched_rules, context.attaches = {"r": 8, "other": 0}, attaches
        answered = local()
        answered.record.rule = "r"
        return finish(*seen, answered, saved=8)

    return make


def test_estimates_follow_the_rules_own_calls(estimate: Callable[..., Record]) -> None:
    record = estimate(input_tokens=3000, output_tokens=50)
    assert 2990 <= record.saved_input_tokens <= 3000
    assert 49 <= record.saved_output_tokens <= 50


def test_the_caches_discount_is_no_saving(estimate: Callable[..., Record]) -> None:
    record = estimate(cached_input_tokens=900)
    assert record.saved_usd == pytest.approx(100 * 10e-6 + 900 * 5e-6 + 100 * 40e-6, rel=1e-2)


@pytest.mark.parametrize("fields", [{"to": "cheap"}, {"upstream_model": "cheap"}, {"attaches": True}])
def test_other_models_and_calls_with_images_teach_nothing(
    estimate: Callable[..., Record], fields: dict[str, Any]
) -> None:
    record = estimate(input_tokens=9000, **fields)
    assert (record.saved_input_tokens, record.saved_output_tokens) == (1000, 2)


@pytest.mark.parametrize(
    ("asked", "label"),
    [("dear", "dear"), ("made-up", "other"), ("", ""), ("openai/cheap", "cheap"), ("x" * 200, "other")],
)
def test_clients_cannot_make_up_labels(finish: Callable[..., Record], metrics: Metrics, asked: str, label: str) -> None:
    record = finish(forwarded(model=asked))
    known = None if label == asked else label
    assert (record.known_model, record.known_upstream_model) == (known, known)
    seen = {
        sample.labels["model"]
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if "model" in sample.labels
    }
    assert seen == {label}


def test_sums_count_the_model_sent_by_its_own_name(finish: Callable[..., Record]) -> None:
    record = finish(forwarded(model="made-up", to="cheap"))
    assert (record.known_model, record.known_upstream_model) == ("other", None)
    record = finish(forwarded(model="mine", to="made-up"))
    assert (record.known_model, record.known_upstream_model) == (None, "other")


async def test_rows_and_figures_wait_for_a_batch_but_prices_do_not(
    memory_store: Any, prices: PriceTable, metrics: Metrics
) -> None:
    """The batch ends after its time, when it is full, and at the close."""
    writer = LedgerWriter(memory_store, on_failure=lambda _: None, on_lost=lambda _: None)
    recorder = Recorder(
        writer=writer, metrics=metrics, prices=prices, routes=ROUTES, notional={"one": False}, batch_s=0.02
    )

    def counted() -> float:
        return metrics.registry.get_sample_value("offramp_spent_dollars_total", LABELS) or 0.0

    def finish(count: int) -> RequestContext:
        for _ in range(count):
            recorder.finish(context := forwarded(rule="r"))
        return context

    assert finish(1).record.spent_usd == pytest.approx(DEAR)
    assert (recorder.pending, counted()) == (1, 0)
    await asyncio.sleep(0.1)
    assert (recorder.pending, counted()) == (0, pytest.approx(DEAR))
    finish(recording._MOST)
    assert counted() == pytest.approx((recording._MOST + 1) * DEAR)
    finish(2)
    recorder.close()
    assert len(memory_store.records) == recording._MOST + 3
    assert counted() == pytest.approx((recording._MOST + 3) * DEAR)


def test_a_killed_process_loses_no_more_than_a_tenth_of_a_second() -> None:
    """The rest of it is for the write itself. tests/e2e/test_lifecycle.py kills one."""
    assert recording.BATCH_S + writing._EVERY_S <= 0.08
