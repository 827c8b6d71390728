"""What was spent and saved in a period, and why calls were forwarded."""

import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from classifiers.report.markup import bars
from gateway.console.data import data_of
from gateway.console.render import page
from gateway.ledger.report import PERIODS, WAYS, as_csv, read, since_of, this_month
from gateway.ledger.store import NoLedger

_LINKED: Final = {"rule": "rule", "model": "model"}
"""Ways of grouping whose lines are filters of the newest calls."""


def today(request: Request) -> Response:
    """The figures of a period as a page, or its lines as CSV."""
    data, asked, now = data_of(request), request.query_params, time.time()
    period, by = asked.get("period", "24h"), asked.get("by", "reason")
    period, by = (period if period in PERIODS else "24h"), (by if by in WAYS else "reason")
    since = since_of(period, now)
    try:
        with data.ledger() as store:
            made = read(store, since, now + 1, prices=data.prices, routes=data.routes)
            month = this_month(store, now)
    except NoLedger:
        made, month = None, None
    if made is not None and request.url.path.endswith(".csv"):
        headers = {"content-disposition": f'attachment; filename="offramp-{period}-{by}.csv"'}
        return Response(as_csv(made.lines(by), by), media_type="text/csv", headers=headers)
    by_day = () if made is None else made.lines("day")
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
        since=int(since),
        linked=_LINKED.get(by),
        chart=bars("Saved a day, in dollars", [(line.name, line.figures.saved_usd) for line in by_day]),
    )
