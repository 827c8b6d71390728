from gateway.context import new_context, new_request_id


def test_ids_are_fresh_and_short() -> None:
    ids = {new_request_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {(len(one), one[:4]) for one in ids} == {(28, "req_")}


def test_a_context_starts_as_a_forward_that_cost_nothing() -> None:
    record = new_context("req_1", "chat.completions", "anonymous").record
    assert (record.decision, record.spent_usd, record.saved_usd, record.status) == ("forward", 0.0, 0.0, 200)
    assert record.at > 1_700_000_000
