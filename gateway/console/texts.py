"""Texts that a person writes or decides on: what the gateway would do with one, and what it got wrong."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from classifiers.errors import ClassifierError
from classifiers.policy import NONE
from gateway.config.problems import ConfigError
from gateway.console.data import data_of, form
from gateway.console.render import page, query
from gateway.errors import ApiError
from gateway.ledger.store import LedgerError
from gateway.review import Reviewing, ReviewItem

_LIKELIEST: Final = 5
_LONGEST: Final = 2000
"""Characters of an address that name skipped texts."""
_PATHS: Final = ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/completions")


async def attempt(request: Request) -> Response:
    """What the gateway would do with a text or a request. Nothing is sent or recorded."""
    posted = await form(request) if request.method == "POST" else {}
    given = dict.fromkeys(("text", "system", "model", "path", "body"), "") | posted
    explanation, problem, snippet = None, "", ""
    if posted:
        try:
            explainer = await data_of(request).explainer()
            body = given["body"].strip().encode()
            written = explainer.written(given["text"], system=given["system"], model=given["model"])
            explanation = await explainer.explain(body or written, given["path"] if body else "")
            # as Python has it
            snippet = repr(json.loads(body or written)) if not body or given["path"] in ("", _PATHS[0]) else ""
        except ApiError as error:
            problem = error.message
        except (ClassifierError, LedgerError, ConfigError) as error:
            problem = str(error)
    names = data_of(request).routes.public
    return page(
        request,
        "try.html.j2",
        given=given,
        made=explanation,
        problem=problem,
        models=names,
        paths=_PATHS,
        base_url=data_of(request).base_url,
        snippet=snippet,
    )


async def review(request: Request) -> Response:
    """One text at a time, nearest its threshold first; a posted decision leads to the next."""
    data, given = data_of(request), await form(request) if request.method == "POST" else None
    explainer, reviewing = await data.explainer(), await data.reviewing()
    rule, skipped = request.query_params.get("rule", ""), request.query_params.get("skipped", "")
    async with data.deciding:
        items = await run_in_threadpool(reviewing.queue, rule or None, explainer.snapshot)
        if given is not None:
            await run_in_threadpool(_decided, reviewing, items, given)
            if given.get("do") == "skip":
                skipped = ",".join(filter(None, (skipped, given.get("id", ""))))
            address = query({"rule": rule, "skipped": skipped[-_LONGEST:]}).removesuffix("?")
            return RedirectResponse(f"/review{address}", HTTPStatus.SEE_OTHER)
        item = next((item for item in items if item.id not in skipped.split(",")), None)
        rows = None if item is None else await run_in_threadpool(reviewing.rows, item.classifier)
    scores = {} if item is None else dict(await explainer.scores(item.classifier, item.text))
    labels = sorted(rows.labels) if rows else []
    ranked = sorted(labels, key=lambda name: -scores.get(name, 0.0))
    return page(
        request,
        "review.html.j2",
        item=item,
        likeliest=[(name, scores.get(name)) for name in ranked[:_LIKELIEST]],
        labels=labels,
        no_label=NONE if rows and rows.none else "",
        waiting=len(items),
        address=f"/review{query({'rule': rule, 'skipped': skipped})}",
        rule=rule,
        rules=[one.name for one in data.loaded.settings.rules],
        kept=data.loaded.settings.content,
    )


def _decided(reviewing: Reviewing, items: Sequence[ReviewItem], given: Mapping[str, str]) -> None:
    """Takes the last decision back, or notes that on the text that is named, if it still waits."""
    item = next((one for one in items if one.id == given.get("id")), None)
    if given.get("do") == "undo":
        reviewing.undo()
    elif item is not None and given.get("label"):
        reviewing.decide(item, given["label"])
