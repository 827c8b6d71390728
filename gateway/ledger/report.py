"""What was spent and saved in a period, from sums of the ledger's rows. Pure, but for `read`.

Lines hold the same figures as the total and sum to it, whichever way calls are grouped. Days are UTC.
"""

import csv
import io
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, Literal, get_args

from gateway.config.prices import STANDARD, PriceTable
from gateway.ledger.hours import DAY_S
from gateway.ledger.store import WITHOUT, SQLiteLedger
from gateway.record import ASIDE
from gateway.routes import Routes

By = Literal["day", "rule", "model", "reason", "why"]
WAYS: Final[tuple[By, ...]] = get_args(By)
_PLAIN: Final = re.compile(r"\w(?:[\w./:@-]*\w)?")
"""A name that YAML takes without quotes."""
PERIODS: Final = {"24h": DAY_S, "7d": 7 * DAY_S, "30d": 30 * DAY_S, "month": None}
NO_USAGE: Final = "no usage was reported"
_LEAST_AUDITS: Final = 20
_LEAST_DAYS: Final = 3
_AUDIT_S: Final = 30 * DAY_S
_SAVED: Final = {
    ("answer", "local_answer"): "answered here",
    ("block", "block"): "blocked",
    ("forward", "cheaper_route"): "forwarded to another model",
    ("redact", "cheaper_route"): "forwarded redacted to another model",
}
_WHAT: Final = {
    "answer": "asked a classifier directly",
    "block": "blocked after the model's answer",
    "forward": "forwarded",
    "redact": "forwarded redacted",
    "error": "failed",
    "judge": "asked a judge",
    "repeat": "asked a second time",
}
_WHY: Final = {
    "no_rule": "no rule read it",
    "no_action": "rules read it and had nothing to do",
    "not_sent": "it was sent nowhere",
}
_COUNTERFACTUAL: Final = frozenset({"local_answer", "block", "cheaper_route"})
FORWARDED: Final = ("forward", "redact")
"""The decisions after which a client's call goes on."""
Sums = Mapping[str, Any]
"""A row of SQLiteLedger.sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Sums. calls: of clients, without those to judges and those sent a second time, whose cost is in spent_usd and
    taken off saved_usd. A block is no saved call: its money is in blocked_usd alone. notional_*: the part for which
    nobody was charged. unknown_*: calls whose cost or saving is not known, and is in no dollar figure."""

    calls: int = 0
    saved_calls: int = 0
    blocked_calls: int = 0
    forwarded_calls: int = 0
    saved_tokens: int = 0
    spent_usd: float = 0.0
    saved_usd: float = 0.0
    blocked_usd: float = 0.0
    unknown_spent_calls: int = 0
    unknown_saved_calls: int = 0
    unknown_blocked_calls: int = 0
    usage_missing_calls: int = 0
    estimated_calls: int = 0
    notional_calls: int = 0
    notional_spent_usd: float = 0.0
    notional_saved_usd: float = 0.0
    judge_calls: int = 0
    judge_usd: float = 0.0
    repeat_calls: int = 0
    repeat_usd: float = 0.0

    def notes(self) -> Iterator[str]:
        """What a reader of the figures must know."""
        figures = asdict(self)
        for names, note in _NOTES.items():
            if any(figures[name] for name in names.split()):
                yield note.format(**figures)


_NOTES: Final = {
    "notional_calls": "{notional_calls:,} of {calls:,} calls went to the echo upstream or were answered in front of it",
    "notional_spent_usd notional_saved_usd": "${notional_spent_usd:.6f} of the dollars spent and "
    "${notional_saved_usd:.6f} of the dollars saved are notional: nobody was charged",
    "estimated_calls": "tokens of {estimated_calls:,} calls that were not made are estimates",
    "blocked_calls": "{blocked_calls:,} blocked calls would have cost ${blocked_usd:.6f}; blocks are not counted as "
    "savings",
    "unknown_blocked_calls": "what {unknown_blocked_calls:,} of the blocked calls would have cost is not known",
    "usage_missing_calls": "{usage_missing_calls:,} calls were cut off, or came back without usage",
    "judge_calls": "judges were asked {judge_calls:,} times, for ${judge_usd:.6f}, which is spent and taken off what "
    "was saved",
    "repeat_calls": "{repeat_calls:,} calls under contracts were sent a second time, for ${repeat_usd:.6f}, which is "
    "spent and taken off what was saved",
}
"""Each note, by the figures of which one must not be 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The figures of calls that have `name` in common: a day, a rule, a model… filters: of RowFilters, which choose its
    rows within the period, and no others."""

    name: str
    figures: Figures
    filters: Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Calls whose cost or saving is not known. lines: what prices.yaml must have under `models:`, amounts to be filled
    in; none where no price would help. model: `other` for names that are neither configured nor priced; then the lines
    are those of the latest."""

    model: str
    tier: str
    calls: int
    why: str
    lines: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """What was saved, in dollars, with a chance of 95 %, by the output tokens of audited calls. calls: local answers
    that it rests on. rest: those with fewer than 20 audits, which count as booked: from our own text, rather low."""

    low_usd: float
    high_usd: float
    calls: int
    rest: int


@dataclass(frozen=True, kw_only=True)
class Report:
    """A period [since, until), in Unix seconds. rows: its sums. audits: (calls, output tokens, their squares) of the
    audited calls of each rule and model, of 30 days at least. others: the latest names behind the model `other`."""

    since: float
    until: float
    rows: Sequence[Sums]
    audits: Mapping[tuple[str, str], tuple[int, float, float]]
    others: Sequence[str]
    prices: PriceTable
    routes: Routes

    @cached_property
    def figures(self) -> Sequence[Figures]:
        """Of each row."""
        return [_figures(row) for row in self.rows]

    @cached_property
    def total(self) -> Figures:
        """All lines together."""
        return _summed(self.figures)

    def lines(self, by: By) -> Sequence[Line]:
        """Grouped one way: days in order, of the others those with most calls first."""
        groups: dict[str, list[tuple[Sums, Figures]]] = defaultdict(list)
        for row, figures in zip(self.rows, self.figures, strict=True):
            groups[_name(row, by)].append((row, figures))
        lines = [
            Line(name=name, figures=_summed(one for _, one in pairs), filters=_filters([row for row, _ in pairs], by))
            for name, pairs in groups.items()
        ]
        return sorted(lines, key=lambda one: (0 if by == "day" else -_all_calls(one.figures), one.name))

    @cached_property
    def unknown(self) -> Sequence[Unknown]:
        """What is not known, and the lines of prices.yaml that would mend it; the most calls first."""
        calls: Counter[tuple[str, str, str]] = Counter()
        for row in self.rows:
            sent, priced = row["sent_model"], row["spent_unknown"] - row["usage_missing"]
            calls[sent, row["service_tier"], NO_USAGE] += row["usage_missing"]
            calls[sent, row["service_tier"], "no price" if sent else "passed on unread"] += priced
            if row["reason"] in _COUNTERFACTUAL:
                # a cheaper route whose own cost is unknown is counted already
                asked = self._sent_as(row["model"])
                calls[asked, "", "no price"] += max(0, row["saved_unknown"] - row["spent_unknown"])
        made = [
            Unknown(model=model, tier=tier, calls=count, why=why, lines=self._lines(model, tier, why))
            for (model, tier, why), count in calls.items()
            if count > 0
        ]
        return sorted(made, key=lambda one: (-one.calls, one.model, one.tier, one.why))

    def _lines(self, model: str, tier: str, why: str) -> Sequence[str]:
        if why != "no price":
            return ()
        names = [name for name in self.others if self.prices.find(name) is None] if model == "other" else [model]
        keys = [name if _PLAIN.fullmatch(name) else json.dumps(name) for name in names]
        missing, price = "input: $?, output: $?", self.prices.find(model)
        if tier in STANDARD or price is None:
            return [f"{key}: {{{missing}}}" for key in keys]
        known = f"input: ${price.input_usd:g}, output: ${price.output_usd:g}"
        return [f"{key}: {{{known}, tiers: {{{tier}: {{{missing}}}}}}}" for key in keys]

    def _sent_as(self, model: str) -> str:
        return self.routes.sent_as(model) or model

    @cached_property
    def interval(self) -> Interval | None:
        """None where no rule has audits enough."""
        groups: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for row in self.rows:
            if row["reason"] == "local_answer":
                group = groups[row["rule"], row["model"]]
                group[0] += row["calls"] - row["saved_unknown"]
                group[1] += row["saved_output_tokens"]
        shift = width = 0.0
        calls = rest = 0
        for key, (count, booked) in groups.items():
            price, seen = self.prices.find(self._sent_as(key[1])), self.audits.get(key, (0, 0.0, 0.0))
            if price is None or not count or seen[0] < _LEAST_AUDITS:
                rest += round(count)
                continue
            mean, half = unseen_sum(round(count), *seen)
            calls += round(count)
            shift += (mean - booked) * price.output_usd / 1e6
            width = math.hypot(width, half * price.output_usd / 1e6)
        middle = self.total.saved_usd + shift
        return Interval(low_usd=middle - width, high_usd=middle + width, calls=calls, rest=rest) if calls else None

    @cached_property
    def why_forwarded(self) -> Sequence[tuple[str, int, Mapping[str, str | int]]]:
        """Why calls of clients were forwarded, how many for each reason, and filters as of Line; the most first."""
        groups: dict[str, list[Sums]] = defaultdict(list)
        for row in self.rows:
            if row["decision"] in FORWARDED:
                groups[why_of(row)].append(row)
        lines = [(why, sum(row["calls"] for row in rows), _filters(rows, "why")) for why, rows in groups.items()]
        return sorted(lines, key=lambda one: (-one[1], one[0]))

    def as_dict(self, by: By) -> dict[str, Any]:
        """For JSON."""
        return {
            "since": self.since,
            "until": self.until,
            "timezone": "UTC",
            "total": asdict(self.total),
            "saved_95": None if self.interval is None else asdict(self.interval),
            "unknown": [asdict(one) for one in self.unknown],
            "by": by,
            "lines": [{"name": line.name, **asdict(line.figures)} for line in self.lines(by)],
            "why_forwarded": [{"why": why, "calls": calls} for why, calls, _ in self.why_forwarded],
        }


def read(store: SQLiteLedger, since: float, until: float, *, prices: PriceTable, routes: Routes) -> Report:
    """The report of Unix seconds [since, until). Raises LedgerError."""
    audits: dict[tuple[str, str], tuple[int, float, float]] = defaultdict(lambda: (0, 0.0, 0.0))
    for row in store.audits(min(since, until - _AUDIT_S), until):
        for rule in _of(row["abstentions"], "audit"):
            key = rule, row["model"]
            calls, tokens, squares = audits[key]
            audits[key] = calls + row["calls"], tokens + row["tokens"], squares + row["squares"]
    rows = store.sums(since, until)
    other = any("other" in (row["model"], row["sent_model"]) for row in rows)
    others = store.unpriced_names(since, until) if other else ()
    return Report(since=since, until=until, rows=rows, audits=dict(audits), others=others, prices=prices, routes=routes)


def as_csv(lines: Sequence[Line], by: str) -> str:
    """The lines with all their figures."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow((by, *FIGURES))
    for line in lines:
        # a spreadsheet takes a name that begins so for a formula
        name = f"'{line.name}" if line.name[:1] in ("=", "+", "-", "@", "\t", "\r") else line.name
        out.writerow((name, *(round(figure, 9) for figure in asdict(line.figures).values())))
    return text.getvalue()


def since_of(period: str, now: float) -> float:
    """Where one of PERIODS begins that ends now: so many seconds ago, or with the month, in UTC."""
    back_s = PERIODS[period]
    return now - back_s if back_s else _month(now).timestamp()


def this_month(store: SQLiteLedger, made: Report, now: float) -> tuple[float, float] | None:
    """`month_range` of the ledger's days. made: a report that ends now, which has some of them. Raises LedgerError."""
    since, whole = min(_month(now).timestamp(), now - 29 * DAY_S), math.ceil(made.since / DAY_S) * DAY_S
    days: dict[str, float] = defaultdict(float)
    for row in (*store.days(since // DAY_S * DAY_S, whole), *(row for row in made.rows if row["hour"] >= whole)):
        days[_name(row, "day")] += row["spent_usd"]
    return month_range(days, now)


def unseen_sum(unseen: float, seen: int, total: float, squares: float) -> tuple[float, float]:
    """The sum of so many unseen values, and half the width of its 95 % interval, from values that were seen: the output
    tokens of calls that were not made from those of audits, say. total, squares: sums of the values seen, and of their
    squares. It holds for the sum itself, not for its expectation alone."""
    mean = total / seen
    variance = max(0.0, squares - total * mean) / (seen - 1)
    return unseen * mean, _student(seen - 1) * math.sqrt(variance * (unseen + unseen**2 / seen))


def month_range(days: Mapping[str, float], now: float) -> tuple[float, float] | None:
    """What the month of `now` will have cost at its end, at least and at most with a chance of 95 %, if days go on as
    those of the last four weeks. days: dollars by day, of which the first may not be whole. None before three more."""
    today = datetime.fromtimestamp(now, UTC)
    start = _month(now)
    end = (start + timedelta(days=32)).replace(day=1)
    past = [(today - timedelta(days=back)).date().isoformat() for back in range(1, 29)]
    first = min(days, default="9999")
    seen = [days.get(day, 0.0) for day in past if day > first]
    if len(seen) < _LEAST_DAYS:
        return None
    left = (end - today).total_seconds() / DAY_S
    so_far = sum(usd for day, usd in days.items() if day >= start.date().isoformat())
    more, half = unseen_sum(left, len(seen), sum(seen), sum(usd**2 for usd in seen))
    return so_far + max(0.0, more - half), so_far + more + half


def _month(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _student(degrees: int) -> float:
    """The 97.5 % quantile of Student's t, to 3 % from two degrees on (Cornish, Fisher 1960)."""
    z = 1.959964
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3


def _figures(row: Sums) -> Figures:
    reason, calls, block = row["reason"], row["calls"], row["reason"] == "block"
    aside = row["decision"] in ASIDE
    own = 0 if aside else calls
    spent, saved = row["spent_usd"], row["saved_usd"]
    return Figures(
        calls=own,
        saved_calls=calls if reason == "local_answer" else 0,
        blocked_calls=calls if block else 0,
        forwarded_calls=calls if row["decision"] in FORWARDED else 0,
        saved_tokens=0 if block else row["saved_input_tokens"] + row["saved_output_tokens"],
        spent_usd=spent,
        saved_usd=0.0 if block else saved,
        blocked_usd=saved if block else 0.0,
        unknown_spent_calls=row["spent_unknown"],
        unknown_saved_calls=0 if block else row["saved_unknown"],
        unknown_blocked_calls=row["saved_unknown"] if block else 0,
        usage_missing_calls=row["usage_missing"],
        estimated_calls=row["estimated"],
        notional_calls=own if row["notional"] else 0,
        notional_spent_usd=spent if row["notional"] else 0.0,
        notional_saved_usd=saved if row["notional"] and not block else 0.0,
        judge_calls=calls if row["decision"] == "judge" else 0,
        judge_usd=spent if row["decision"] == "judge" else 0.0,
        repeat_calls=calls if row["decision"] == "repeat" else 0,
        repeat_usd=spent if row["decision"] == "repeat" else 0.0,
    )


FIGURES: Final = tuple(field.name for field in fields(Figures))


def _summed(several: Iterable[Figures]) -> Figures:
    each = list(several)
    return Figures(**{name: sum([getattr(one, name) for one in each]) for name in FIGURES}) if each else Figures()


def _all_calls(figures: Figures) -> int:
    return figures.calls + figures.judge_calls + figures.repeat_calls


def _name(row: Sums, by: By) -> str:
    if by == "day":
        return datetime.fromtimestamp(row["hour"], UTC).date().isoformat()
    if by in ("rule", "model"):
        return str(row[by])
    what = _SAVED.get((row["decision"], row["reason"])) or _WHAT[row["decision"]]
    return f"{what}: {why_of(row)}" if by == "why" and row["decision"] in FORWARDED else str(what)


def why_of(row: Sums) -> str:
    """Why a call went on: what kept its rules from deciding, or the rule that sends it on."""
    kept = ", ".join(each.replace(":", " ") for each in row["abstentions"].split(",") if each)
    return kept or _WHY.get(row["reason"]) or f"{row['rule']} sends it on"


def _filters(rows: Sequence[Sums], by: By) -> Mapping[str, str | int]:
    """By what the rows of a line are found."""
    first = rows[0]
    if by == "day":
        day = first["hour"] // DAY_S * DAY_S
        return {"since": day, "until": day + DAY_S}
    if by in ("rule", "model"):
        return {by: first[by] or WITHOUT}
    found = {name: ",".join(sorted({row[name] for row in rows})) for name in ("decision", "reason")}
    if by == "why" and first["decision"] in FORWARDED:
        found["abstentions"] = first["abstentions"] or WITHOUT
        if not first["abstentions"] and first["reason"] not in _WHY:
            found["rule"] = first["rule"] or WITHOUT
    return found


def _of(abstentions: str, why: str) -> list[str]:
    """The rules that abstained for this reason."""
    pairs = (each.partition(":") for each in abstentions.split(","))
    return [rule for rule, _, reason in pairs if reason == why]
