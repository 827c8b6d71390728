import random
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.ledger import hours
from gateway.ledger.store import LedgerError, RowFilters, SQLiteLedger, StoredRow
from gateway.record import Record

MakeRecord = Callable[..., Record]
_CHOICES: dict[str, Sequence[Any]] = {
    "at": (0.0, 3599.9, 3600.0, 86_399.5, 86_400.0),
    "endpoint": ("chat.completions", "judge"),
    "requested_model": ("gpt-4o", "x/made-up"),
    "known_model": (None, None, "other"),
    "upstream_model": ("", "gpt-4o", "x/made-up"),
    "known_upstream_model": (None, "other"),
    "service_tier": ("", "flex", "free lunch", "another"),
    "rule": ("", "intent", "guard"),
    "label": ("", "refund", "unsure"),
    "decision": ("forward", "forward", "answer", "block", "redact", "error", "judge"),
    "abstentions": ("", "", "unsure", "intent:unsure", "guard:language,intent:audit"),
    "usage_source": ("reported", "estimated", "missing", "none"),
    "saved_reason": (None, None, "local_answer", "block", "judge"),
    "notional": (False, True),
    "saved_estimated": (False, True),
    "classifier_s": (None, 0.002),
    "spent_usd": (None, 0.0, 0.001, 12.5),
    "saved_usd": (None, 0.0, -0.25, 3e-7),
    "input_tokens": (0, 7, 10**9),
    "cached_input_tokens": (0, 5),
    "cache_write_tokens": (0, 3),
    "output_tokens": (0, 11, 10**9),
    "saved_input_tokens": (0, 13),
    "saved_output_tokens": (0, 17),
    "gateway_s": (0.0, 0.0005),
}


@pytest.fixture
def draw(make_record: MakeRecord) -> Callable[[int, int], list[Record]]:
    """draw(seed, count): random rows, in no order of time, with NULLs."""

    def records(seed: int, count: int) -> list[Record]:
        rng = random.Random(seed)
        return [make_record(**{name: rng.choice(values) for name, values in _CHOICES.items()}) for _ in range(count)]

    return records


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "l.db"


def written(file: Path, records: Sequence[Record], *, seed: int = 0) -> SQLiteLedger:
    """A ledger with the records, which come in batches of any size."""
    ledger, rng, begin = SQLiteLedger(file), random.Random(seed), 0
    while begin < len(records):
        end = begin + rng.choice((1, 7, 64, 130))
        ledger.append(records[begin:end])
        begin = end
    return ledger


def reason(record: Record) -> str:
    if record.saved_reason is not None or record.decision not in ("forward", "redact"):
        return record.saved_reason or ("answer_blocked" if record.decision == "block" else record.decision)
    if record.abstentions:
        return record.abstentions.split(",")[0].rpartition(":")[2]
    if not record.upstream_model:
        return "not_sent"
    return "rule" if record.rule else "no_rule" if record.classifier_s is None else "no_action"


def key_of(record: Record) -> tuple[Any, ...]:
    """As hours.KEYS has it."""
    tier = record.service_tier if record.service_tier in ("", "flex") else "other"
    model = record.known_model or record.requested_model
    sent_model = record.known_upstream_model or record.upstream_model
    parts = (record.rule, record.decision, reason(record), record.abstentions, int(record.notional), record.endpoint)
    return (int(record.at) // 3600 * 3600, sent_model, tier, model, *parts, record.label)


_PLAIN = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "saved_input_tokens")


def sums_of(records: Sequence[Record]) -> dict[str, Any]:
    """As hours.SUMS has them."""
    plain = (*_PLAIN, "saved_output_tokens", "gateway_s")
    return {name: sum(map(attrgetter(name), records)) for name in plain} | {
        "calls": len(records),
        "spent_unknown": sum(one.spent_usd is None for one in records),
        "saved_unknown": sum(one.saved_usd is None for one in records),
        "usage_reported": sum(one.usage_source == "reported" for one in records),
        "usage_missing": sum(one.usage_source == "missing" for one in records),
        "estimated": sum(one.saved_estimated for one in records),
        "spent_usd": sum(one.spent_usd or 0.0 for one in records),
        "saved_usd": sum(one.saved_usd or 0.0 for one in records),
        "output_tokens_squared": sum(float(one.output_tokens) ** 2 for one in records),
    }


def stored(file: Path) -> Iterator[dict[str, Any]]:
    with closing(sqlite3.connect(file)) as db:
        db.row_factory = sqlite3.Row
        yield from map(dict, db.execute("SELECT * FROM hourly"))


@pytest.mark.parametrize("seed", range(5))
def test_sums_are_those_of_the_rows(file: Path, draw: Callable[..., list[Record]], seed: int) -> None:
    records = draw(seed, 400)
    groups: dict[tuple[Any, ...], list[tuple[int, Record]]] = defaultdict(list)
    for number, record in enumerate(records, 1):
        groups[key_of(record)].append((number, record))
    with closing(written(file, records, seed=seed)) as ledger:
        assert ledger.verify() == []
    found = {tuple(row[name] for name in hours.KEYS): row for row in stored(file)}
    assert found.keys() == groups.keys()
    for key, group in groups.items():
        right = sums_of([record for _, record in group]) | {"first_id": group[0][0], "last_id": group[-1][0]}
        assert {name: found[key][name] for name in right} == pytest.approx(right, rel=1e-12)
    assert right.keys() | set(hours.KEYS) == found[key].keys()


def test_a_write_that_fails_leaves_no_sums(file: Path, draw: Callable[..., list[Record]]) -> None:
    records = draw(1, 100)
    with closing(written(file, records)) as ledger:
        before = list(stored(file))
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.append([*records, structs.replace(records[0], endpoint=None)])  # type: ignore[arg-type]
        assert list(stored(file)) == before
        ledger.append(records)
        assert ledger.verify() == []


def test_a_changed_row_is_found_and_mended(file: Path, draw: Callable[..., list[Record]]) -> None:
    records = [structs.replace(one, spent_usd=1.0, rule="intent") for one in draw(2, 50)]
    with closing(written(file, records)) as ledger, closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("UPDATE requests SET spent_usd = spent_usd + 0.00001 WHERE id = 9")
        (one,) = ledger.verify()
        assert (one.figure, one.key["model"]) == ("spent_usd", records[8].known_model or records[8].requested_model)
        assert one.counted == pytest.approx((one.stored or 0.0) + 0.00001)
        db.execute("UPDATE requests SET rule = 'guard' WHERE id = 11")
        assert {(one.figure, one.stored, one.counted) for one in ledger.verify()} >= {("calls", None, 1)}
        with closing(SQLiteLedger(file, read_only=True)) as reader:
            assert len(reader.verify()) > 1
        ledger.refill()
        assert ledger.verify() == []


def test_hours_whose_rows_are_deleted_keep_their_sums(file: Path, draw: Callable[..., list[Record]]) -> None:
    with closing(written(file, draw(3, 200))) as ledger, closing(sqlite3.connect(file, isolation_level=None)) as db:
        before = [row for row in stored(file) if row["hour"] < 86_400 - 3600]
        db.execute("DELETE FROM requests WHERE at < 86400 - 3600")
        assert ledger.verify() == []
        ledger.refill()
        assert before
        assert [row for row in stored(file) if row["hour"] < 86_400 - 3600] == before
        db.execute("DELETE FROM requests")
        ledger.append(draw(4, 1))
        # a number never comes again
        assert ledger.page(RowFilters())[0].id == 201


@pytest.mark.parametrize("seed", range(6))
def test_a_page_has_the_nearest_rows_that_fit(file: Path, draw: Callable[..., list[Record]], seed: int) -> None:
    records, rng = draw(seed, 300), random.Random(seed)
    keys: dict[str, Callable[[Record], Any]] = {
        name: (lambda record, place=place: key_of(record)[place])
        for place, name in enumerate(hours.KEYS)
        if name in RowFilters.__struct_fields__
    }
    written(file, records, seed=seed).close()
    with closing(SQLiteLedger(file, read_only=True)) as ledger:
        for _ in range(60):
            like, names = rng.choice(records), rng.sample(sorted(keys), rng.randrange(3))
            wanted = {name: keys[name](like) for name in names}
            since, until = rng.choice((None, 10.0, 3600.0)), rng.choice((None, 3600.0, 86_399.7))
            before = rng.choice((None, 40, 150, 290))
            fitting = [
                (number, record)
                for number, record in enumerate(records, 1)
                if all(not value or keys[name](record) == value for name, value in wanted.items())
                and (since is None or record.at >= since)
                and (until is None or record.at < until)
                and (before is None or number < before)
            ]
            filters = RowFilters(**wanted, since=since, until=until)
            found = [(row.id, row.record) for row in ledger.page(filters, before=before, most=20)]
            assert found == fitting[-20:][::-1], (filters, before)
        assert ledger.row(7) == StoredRow(7, records[6], keys["reason"](records[6]))
        assert ledger.row(301) is None
        assert ledger.page(RowFilters(model="made up by a client")) == []


def test_a_query_of_a_page_that_takes_too_long_ends(
    file: Path, draw: Callable[..., list[Record]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.ledger.store._LONGEST_S", 0.0)
    monkeypatch.setattr("gateway.ledger.store._INSTRUCTIONS", 10)
    with closing(written(file, draw(1, 200))) as ledger:
        with pytest.raises(LedgerError, match="interrupted"):
            ledger.page(RowFilters())
        assert ledger.verify() == []
