"""The newest calls, one call with the reasons for its decision, and what a period's calls cost and saved."""

import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, get_args

from msgspec.structs import asdict
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from classifiers.policy import NONE
from classifiers.report.markup import bars
from gateway.console.data import ConsoleData, data_of, form
from gateway.console.render import at, dollars, ms, page, query
from gateway.ledger.report import FORWARDED, PERIODS, WAYS, as_csv, read, since_of, this_month, why_of
from gateway.ledger.store import LedgerError, NoLedger, RowFilters, StoredRow
from gateway.record import Decided, made_by
from gateway.review import alike

_MOST: Final = 100
_FILTERS: Final = ("decision", "rule", "label", "model", "endpoint", "reason", "abstentions")
"""Of the address: what rows are chosen by."""
_SHOWN: Final = (*_FILTERS, "since", "until")


def live(request: Request) -> Response:
    """The newest calls, or those before one. A page of the newest asks for itself every two seconds."""
    data, asked = data_of(request), request.query_params
    values = {name: asked[name] for name in _SHOWN if asked.get(name)}
    before, problem = _number(asked.get("before")), ""
    filters = RowFilters(
        **{name: values.get(name, "") for name in _FILTERS},
        since=_number(values.get("since")),
        until=_number(values.get("until")),
    )
    rows: list[StoredRow] = []
    try:
        with suppress(NoLedger), data.ledger() as store:
            rows = list(store.page(filters, before=before, most=_MOST))
    except LedgerError as error:
        problem = str(error)
    return page(
        request,
        "live.html.j2",
        filters=filters,
        values=values,
        rows=rows,
        why={row.id: _why(row) for row in rows},
        problem=problem,
        most=_MOST,
        newest=before is None,
        address=f"/{query(values)}",
        decisions=(*get_args(Decided), ",".join(FORWARDED)),
        rules=[rule.name for rule in data.loaded.settings.rules],
        base_url=data.base_url,
    )


def today(request: Request) -> Response:
    """The figures of a period as a page, or its lines as CSV."""
    data, asked, now = data_of(request), request.query_params, time.time()
    period, by = asked.get("period", "24h"), asked.get("by", "reason")
    period, by = (period if period in PERIODS else "24h"), (by if by in WAYS else "reason")
    # a whole second, as addresses have them
    since = int(since_of(period, now))
    made, month = None, None
    with suppress(NoLedger), data.ledger() as store:
        made = read(store, since, now + 1, prices=data.prices, routes=data.routes)
        month = this_month(store, made, now)
    if made is not None and request.url.path.endswith(".csv"):
        headers = {"content-disposition": f'attachment; filename="offramp-{period}-{by}.csv"'}
        return Response(as_csv(made.lines(by), by), media_type="text/csv", headers=headers)
    by_day = {line.name: line.figures.saved_usd for line in made.lines("day")} if made else {}
    return page(
        request,
        "today.html.j2",
        made=made,
        lines=() if made is None else made.lines(by),
        month=month,
        period=period,
        by=by,
        periods=PERIODS,
        ways=WAYS,
        since=since,
        forwarded=",".join(FORWARDED),
        chart=bars("Saved a day", by_day, dollars),
    )


async def call(request: Request) -> Response:
    """One call: what each rule made of it, its costs and times, and its text where that is kept. A posted label is the
    right one, and a row for training."""
    data, number = data_of(request), request.path_params["number"]
    row = await run_in_threadpool(_row, data, number)
    if row is None:
        why = "The ledger has no such call; it may have been deleted."
        return page(request, "problem.html.j2", status=404, what=f"No call {number}", why=why)
    facts = [(name, value) for name, value in _facts(row) if value not in ("", "–")]
    texts = await run_in_threadpool(data.texts, row.record.request_id)
    classifiers = {rule.name: rule.classifier for rule in data.loaded.settings.rules}
    read = {name: kept.text for kept in texts for name in kept.rules.split(",") if name in classifiers}
    given = await form(request) if request.method == "POST" else {}
    reviewing = await data.reviewing()
    async with data.deciding:
        rows = {name: await run_in_threadpool(reviewing.rows, classifiers[name]) for name in read}
        if (rule := given.get("rule", "")) in rows:
            if given.get("do") == "back":
                await run_in_threadpool(rows[rule].forget, read[rule])
            else:
                await run_in_threadpool(rows[rule].add, read[rule], given.get("label", ""))
            return RedirectResponse(f"/calls/{number}#read-{rule}", HTTPStatus.SEE_OTHER)
        decided = {name: one.keys.get(alike(read[name])) for name, one in rows.items()}
    labels = {name: [*sorted(one.labels), *([NONE] if one.none else [])] for name, one in rows.items()}
    shown: dict[str, Any] = {"facts": facts, "read": read, "labels": labels, "decided": decided, "why": _why(row)}
    made, used = made_by().findall(row.record.verdicts), {row.record.classifier: row.record.classifier_version}
    asked = {rule: name for rule, *_ in made if (name := classifiers.get(rule))}
    reports = {rule: await run_in_threadpool(data.report, name, used.get(name, "")) for rule, name in asked.items()}
    shown |= {"classifiers": classifiers, "verdicts": made, "reports": reports}
    return page(request, "call.html.j2", row=row, **shown)


def _why(row: StoredRow) -> str:
    """Why a call was forwarded; empty for any other."""
    return why_of(asdict(row.record) | {"reason": row.reason}) if row.record.decision in FORWARDED else ""


def _row(data: ConsoleData, number: int) -> StoredRow | None:
    with data.ledger() as store:
        return store.row(number)


def _facts(row: StoredRow) -> Iterator[tuple[str, str]]:
    one = row.record
    yield "Time", at(one.at)
    yield "Request", one.request_id
    yield "Endpoint", one.endpoint
    yield "Client", one.consumer
    yield "Model asked for", one.requested_model
    yield "Sent to", "/".join(filter(None, (one.upstream, one.upstream_model)))
    yield "Answered by", one.answered_model
    yield "Status", f"{one.status} {one.error}".strip()
    yield "Abstentions", one.abstentions
    yield "Flagged", one.flags
    yield "Service tier", one.service_tier
    yield "Judged", one.judged
    yield "Redacted", one.redacted
    yield "Classifier", f"{one.classifier} {one.classifier_version}".strip()
    yield "Tokens in", f"{one.input_tokens:,}" if one.input_tokens else ""
    yield "Tokens out", f"{one.output_tokens:,}" if one.output_tokens else ""
    notional = " (nobody was charged)" if one.notional else ""
    yield "Spent", dollars(one.spent_usd) + notional
    estimated = " (estimated)" if one.saved_estimated else ""
    yield "Would have cost" if one.decision == "block" else "Saved", dollars(one.saved_usd) + estimated + notional
    yield "Gateway, ms", ms(one.gateway_s)
    yield "Classifiers, ms", ms(one.classifier_s)
    yield "Provider, ms", ms(one.provider_s)
    yield "First token, ms", ms(one.first_token_s)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else None
