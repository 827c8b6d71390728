"""Names and units by the conventions, labels from closed sets, and figures that are the records' own."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics.observe import Metrics
from gateway.record import Record
from tests.given import table


def record(**fields: Any) -> Record:
    return Record(**{"request_id": "req_1", "at": 1.0, "endpoint": "chat.completions", **fields})


def total(metrics: Metrics, name: str) -> float:
    return sum(
        sample.value for metric in metrics.registry.collect() for sample in metric.samples if sample.name == name
    )


def test_the_exposition_is_what_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.observe([(record(upstream="one", spent_usd=0.5, provider_s=0.1, label='"\n\\'), 'a"\n\\b')])
    families = list(text_string_to_metric_families(metrics.text().decode()))
    spent = next(family for family in families if family.name == "offramp_spent_dollars")
    assert [(sample.labels["model"], sample.value) for sample in spent.samples] == [('a"\n\\b', 0.5)]


@pytest.mark.parametrize(("fields", "reason"), table("given/gateway-metrics-observe-unknown_costs.yaml"))
def test_the_reason_for_an_unknown_cost_is_counted(fields: dict[str, Any], reason: str) -> None:
    metrics = Metrics()
    metrics.observe([(record(upstream="one", spent_usd=None, **{"usage_source": "missing", **fields}), "m")])
    moved = [
        (sample.name, sample.labels["reason"], sample.value)
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name in ("offramp_unpriced_requests_total", "offramp_usage_missing_requests_total") and sample.value
    ]
    missing = [] if reason == "no_price" else [("offramp_usage_missing_requests_total", reason, 1.0)]
    assert moved == [("offramp_unpriced_requests_total", reason, 1.0), *missing]


RECORDS = st.builds(
    record,
    decision=st.sampled_from(["forward", "answer", "block", "error"]),
    rule=st.sampled_from(["", "r"]),
    status=st.sampled_from([200, 499, 502]),
    upstream=st.sampled_from(["", "one"]),
    error=st.sampled_from(["", "upstream_failed"]),
    saved_reason=st.sampled_from([None, "local_answer", "block", "cheaper_route"]),
    spent_usd=st.none() | st.integers(0, 8).map(lambda eighths: eighths / 8),
    saved_usd=st.none() | st.sampled_from([-0.5, 0.0, 0.25]),
    provider_s=st.none() | st.sampled_from([0.001, 0.5, 900.0]),
    input_tokens=st.integers(0, 100),
    notional=st.booleans(),
)


@settings(max_examples=30)
@given(st.lists(RECORDS, max_size=20), st.lists(st.sampled_from(["m", "other"]), min_size=20, max_size=20))
def test_a_batch_moves_what_its_records_move_one_by_one(records: list[Record], models: list[str]) -> None:
    batch, single = Metrics(), Metrics()
    batch.observe(zip(records, models, strict=False))
    for pair in zip(records, models, strict=False):
        single.observe([pair])

    def samples(metrics: Metrics) -> dict[str, float]:
        """Of the gateway's own families."""
        families = [family for family in metrics.registry.collect() if family.name.startswith("offramp_")]
        return {f"{one.name}{one.labels}": one.value for family in families for one in family.samples}

    assert samples(batch) == pytest.approx(samples(single))


@settings(max_examples=30)
@given(st.lists(RECORDS, max_size=20))
def test_counters_are_the_sums_of_the_records(records: list[Record]) -> None:
    metrics = Metrics()
    metrics.observe([(row, "m") for row in records])
    forwarded = [row for row in records if row.upstream]
    assert total(metrics, "offramp_requests_total") == len(records)
    assert total(metrics, "offramp_spent_dollars_total") == sum(row.spent_usd or 0 for row in forwarded)
    assert total(metrics, "offramp_input_tokens_total") == sum(row.input_tokens for row in forwarded)
    assert total(metrics, "offramp_unpriced_requests_total") == sum(
        row.spent_usd is None or row.saved_usd is None for row in records
    )
