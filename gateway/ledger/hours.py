"""The table `hourly`: sums of the ledger's rows by hour and by what they have in common, so that a report, and a search
that finds nothing, need not read all rows. One SELECT of the rows fills it, checks it, and can fill it anew."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
_REASON: Final = """CASE WHEN saved_reason IS NOT NULL THEN saved_reason
    WHEN decision = 'block' THEN 'answer_blocked' WHEN decision NOT IN ('forward', 'redact') THEN decision
    WHEN abstentions <> '' THEN substr(abstentions, instr(abstentions, ':') + 1,
                                       instr(abstentions || ',', ',') - instr(abstentions, ':') - 1)
    WHEN upstream_model = '' THEN 'not_sent' WHEN rule <> '' THEN 'rule'
    WHEN classifier_s IS NULL THEN 'no_rule' ELSE 'no_action' END"""
_TIERS: Final = "'', 'auto', 'default', 'standard', 'on_demand', 'flex', 'priority', 'scale', 'batch'"
KEYS: Final = {
    "hour": f"CAST(at AS INTEGER) / {HOUR_S} * {HOUR_S}",
    "sent_model": "coalesce(known_upstream_model, upstream_model)",
    "service_tier": f"iif(service_tier IN ({_TIERS}), service_tier, 'other')",
    "model": "coalesce(known_model, requested_model)",
    "rule": "rule",
    "decision": "decision",
    "reason": _REASON,
    "abstentions": "abstentions",
    "notional": "notional",
    "endpoint": "endpoint",
    "label": "label",
}
"""What the rows of a sum have in common, each with how a row says it. None is NULL: NULLs never conflict, and each row
would begin a sum of its own."""
_GROUP: Final = (
    *("abstentions", "label", KEYS["model"], KEYS["sent_model"], "rule", "decision", "saved_reason", "service_tier"),
    *("endpoint", "notional", "classifier_s IS NULL", f"CAST(at AS INTEGER) / {HOUR_S}"),
)
"""The keys as SQLite sorts rows by them: what most often differs first, each as cheap as it can be."""
Wanted = Mapping[str, Sequence[str]]
"""By key, the values that rows may have."""
_NUMBERS: Final = frozenset({"hour", "notional"})
SUMS: Final = {
    "calls": "count(*)",
    "input_tokens": "sum(input_tokens)",
    "cached_input_tokens": "sum(cached_input_tokens)",
    "cache_write_tokens": "sum(cache_write_tokens)",
    "output_tokens": "sum(output_tokens)",
    "saved_input_tokens": "sum(saved_input_tokens)",
    "saved_output_tokens": "sum(saved_output_tokens)",
    "spent_unknown": "sum(spent_usd IS NULL)",
    "saved_unknown": "sum(saved_usd IS NULL)",
    "usage_reported": "sum(usage_source = 'reported')",
    "usage_missing": "sum(usage_source = 'missing')",
    "estimated": "sum(saved_estimated)",
    "spent_usd": "total(spent_usd)",
    "saved_usd": "total(saved_usd)",
    "gateway_s": "total(gateway_s)",
    "output_tokens_squared": "total(output_tokens * 1.0 * output_tokens)",
}
"""Sums, each with how rows make it. spent_unknown: rows without a cost; saved_unknown: without a saving. Of the
audits of a rule, whose abstentions have `rule:audit`, usage_reported, output_tokens and output_tokens_squared are n, Σ
and Σ² of what the model wrote."""
_REAL: Final = frozenset({"spent_usd", "saved_usd", "gateway_s", "output_tokens_squared"})
_ENDS: Final = {"first_id": "min(id)", "last_id": "max(id)"}
"""The rows of a sum have numbers from one to the other, others' rows among them."""
_FIGURES: Final = (*SUMS, *_ENDS)
_ALL: Final = ", ".join((*KEYS, *_FIGURES))
_TOLERANCE: Final = 1e-6
_RELATIVE: Final = 1e-9


def _columns() -> Iterator[str]:
    yield from (f"{name} {'INTEGER' if name in _NUMBERS else 'TEXT'} NOT NULL" for name in KEYS)
    yield from (f"{name} {'REAL' if name in _REAL else 'INTEGER'} NOT NULL" for name in _FIGURES)


# all statements are made of the constants above
_MADE: Final = ", ".join(f"{made} AS {name}" for name, made in (KEYS | SUMS | _ENDS).items())
_SELECT: Final = f"SELECT {_MADE} FROM requests NOT INDEXED WHERE id > ? AND id <= ? GROUP BY {', '.join(_GROUP)}"  # noqa: S608
BETWEEN: Final = f"SELECT {_MADE} FROM requests WHERE at >= ? AND at < ? GROUP BY {', '.join(_GROUP)}"  # noqa: S608
"""The sums of the rows between two times, as those of a part of an hour."""
_DAILY: Final = tuple(KEYS)[1:9]
_SUMMED: Final = f"{', '.join(_DAILY)}, {', '.join(f'sum({name}) AS {name}' for name in SUMS)} FROM"
DAILY: Final = (
    f"SELECT hour / {DAY_S} * {DAY_S} AS hour, {_SUMMED} (SELECT hour, {_SUMMED} hourly WHERE hour >= ? AND hour < ? "
    f"GROUP BY hour, {', '.join(_DAILY)}) GROUP BY 1, {' || char(31) || '.join(_DAILY)}"
)
"""The sums of days. Those of hours come in the table's order, unsorted; one text sorts in half the time of eight."""
DAYS: Final = """
SELECT hour / 86400 * 86400 AS hour, total(spent_usd) AS spent_usd
FROM hourly WHERE hour >= ? AND hour < ? GROUP BY 1
"""
AUDITS: Final = """
SELECT model, abstentions, sum(usage_reported) AS calls, sum(output_tokens) AS tokens,
       total(output_tokens_squared) AS squares
FROM hourly
WHERE hour > ? AND hour < ? AND abstentions LIKE '%:audit%' AND reason <> 'cheaper_route' AND decision = 'forward'
GROUP BY model, abstentions
"""
"""What the model wrote in audited calls."""
NAMES: Final = """
WITH latest AS (
    SELECT DISTINCT hour FROM hourly
    WHERE hour > ? AND hour < ? AND 'other' IN (model, sent_model) AND spent_unknown + saved_unknown > usage_missing
    ORDER BY hour DESC LIMIT 24)
SELECT iif(known_upstream_model = 'other', upstream_model, requested_model) AS name, count(*) AS calls
FROM latest JOIN requests ON at >= hour AND at < hour + 3600
WHERE 'other' IN (known_model, known_upstream_model) AND usage_source <> 'missing'
      AND (spent_usd IS NULL OR saved_usd IS NULL)
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10
"""
"""The names behind the model `other` in the latest hours in which its cost or saving is not known."""
_AGAIN: Final = ", ".join(f"{name} = {name} + excluded.{name}" for name in SUMS)
_TABLE: Final = f"({', '.join(_columns())}, PRIMARY KEY ({', '.join(KEYS)})) STRICT, WITHOUT ROWID"
CREATE: Final = f"CREATE TABLE IF NOT EXISTS hourly {_TABLE}"
CREATE_RECOUNT: Final = f"CREATE TEMP TABLE recount {_TABLE}"


def add(table: str) -> str:
    """The statement that adds the rows with a number above one and up to another to such a table. It sorts them: a part
    of all rows at a time takes a third of the time."""
    return (
        f"INSERT INTO {table} ({_ALL}) {_SELECT} ON CONFLICT DO UPDATE SET {_AGAIN}, "
        "first_id = min(first_id, excluded.first_id), last_id = max(last_id, excluded.last_id)"
    )


ADD: Final = add("hourly")
FIRST_HOUR: Final = f"SELECT {KEYS['hour'].replace('at', 'min(at)', 1)} FROM requests"  # noqa: S608
"""Rows of earlier hours are deleted; their sums stay."""
DIFFERING: Final = tuple(
    f"SELECT {_ALL} FROM {a} WHERE hour >= ({FIRST_HOUR}) EXCEPT SELECT {_ALL} FROM {b} ORDER BY {', '.join(KEYS)}"  # noqa: S608
    for a, b in (("hourly", "recount"), ("recount", "hourly"))
)
"""The rows of `hourly`, and those of a recount, that are not just so in the other; in an order that sorts nothing."""


def spans(wanted: Wanted) -> str:
    """The query for hours that have rows below a number and between two times, with the first and last number of
    theirs; the highest numbers first. wanted: keys with the values that fit."""
    keys = "".join(f" AND {name} IN ({_marks(values)})" for name, values in wanted.items())
    return (
        "SELECT hour, min(first_id), max(last_id) FROM hourly WHERE first_id < ? AND hour > ? AND hour < ?"  # noqa: S608
        f"{keys} GROUP BY hour ORDER BY max(last_id) DESC"
    )


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def rows(wanted: Wanted) -> str:
    """The query for the highest rows between two numbers, with the values of keys wanted, between two times."""
    keys = [f"{KEYS[name]} IN ({_marks(values)})" for name, values in wanted.items()]
    where = " AND ".join(("id > ? AND id < ?", *keys, "at >= ? AND at < ?"))
    return f"SELECT *, {_REASON} AS reason FROM requests NOT INDEXED WHERE {where} ORDER BY id DESC LIMIT ?"  # noqa: S608


class Difference(Struct, frozen=True, kw_only=True):
    """A figure of `hourly` that is not the sum of its rows; None where there is no such sum, or no such row."""

    key: Mapping[str, Any]
    figure: str
    stored: float | None
    counted: float | None


def differences(stored: Iterable[Sequence[Any]], counted: Iterable[Sequence[Any]]) -> Iterator[Difference]:
    """What differs between the rows of `hourly` and of a recount."""
    size, nothing = len(KEYS), [None] * len(_FIGURES)
    own, right = ({tuple(row[:size]): row[size:] for row in rows} for rows in (stored, counted))
    for key in sorted(own.keys() | right.keys()):
        for figure, one, other in zip(_FIGURES, own.get(key, nothing), right.get(key, nothing), strict=True):
            if not _same(one, other):
                yield Difference(key=dict(zip(KEYS, key, strict=True)), figure=figure, stored=one, counted=other)


def _same(one: float | None, other: float | None) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_RELATIVE, abs_tol=_TOLERANCE)
    return one == other
