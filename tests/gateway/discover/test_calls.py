"""A gateway's own ledger as a log."""

import json
from pathlib import Path

import pytest

from gateway.config.prices import PriceTable
from gateway.discover.calls import Log, is_ledger, read_ledger
from gateway.discover.finding import look
from gateway.ledger.call_store import CallStore, KeptCall
from gateway.ledger.store import LedgerError
from tests.gateway.discover.logs import stream, two_templates


def _ledger(file: Path) -> Log:
    log = Log()
    read_ledger(file, log, lambda _: None)
    return log


def store(file: Path, *calls: KeptCall) -> None:
    opened = CallStore(file)
    opened.append(calls)
    opened.close()


def test_calls_that_a_gateway_kept_are_found_by_their_templates(tmp_path: Path) -> None:
    file = tmp_path / "offramp.db"
    pairs = two_templates(60)
    store(
        file,
        *(
            KeptCall(
                request_id=f"r{number}",
                at=1000.0 + number,
                model="gpt-4o",
                request=json.dumps(pair.request).encode(),
                answer=json.dumps(pair.response).encode(),
                input_tokens=20,
                output_tokens=2,
                spent_usd=0.25,
            )
            for number, pair in enumerate(pairs)
        ),
    )
    log = _ledger(file)
    assert (len(log.calls), dict(log.skipped), log.problems) == (120, {}, [])
    first = log.calls[0]
    assert (first.place, first.at, first.model, first.spent_usd) == (f"{file}:r0", 1000.0, "gpt-4o", 0.25)
    found = look(log.calls, PriceTable(as_of="2026-11-25", models={}))
    assert sorted(one.calls for one in found) == [60, 60]


def test_a_streamed_answer_is_joined_and_a_broken_one_named(tmp_path: Path) -> None:
    file = tmp_path / "offramp.db"
    events = stream("Shop").encode()
    request = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}]}).encode()
    store(
        file,
        KeptCall(request_id="a", at=1.0, model="m", request=request, answer=events),
        KeptCall(request_id="o", at=1.5, model="m", request=request, answer=b": OPENROUTER PROCESSING\n\n" + events),
        KeptCall(request_id="b", at=2.0, model="m", request=request, answer=b"<html>"),
        KeptCall(request_id="d", at=2.5, model="m", request=b"[" * 100_000, answer=events),
        KeptCall(request_id="c", at=3.0, model="m", request=request, answer=b'{"choices": []}'),
    )
    log = _ledger(file)
    assert [call.completion.content for call in log.calls] == ["Shop", "Shop"]
    assert [problem.partition(": ")[0] for problem in log.problems] == [f"{file}:b", f"{file}:d"]
    assert sum(log.skipped.values()) == 1


def test_a_database_is_told_from_a_log(tmp_path: Path) -> None:
    file = tmp_path / "offramp.db"
    store(file)
    assert is_ledger(file)
    other = tmp_path / "log.jsonl"
    other.write_text("{}")
    assert not is_ledger(other)
    with pytest.raises(LedgerError, match="cannot be used"):
        _ledger(other)
