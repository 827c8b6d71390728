"""The classifiers that rules use: their versions, which one is in use, and what training measured of each."""

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from classifiers.errors import ArtifactError
from classifiers.model.artifact import made_at, report_in
from classifiers.model.registry import CURRENT, Registry
from classifiers.policy import OTHER
from classifiers.report.figures import headline
from classifiers.report.pages import PAGE_FILE
from classifiers.runtime.classifier import Classifier
from classifiers.runtime.thresholds import EVEN
from classifiers.training.data import reviewed_file
from classifiers.training.thresholds import goal_lines, shares_at
from gateway.config.load import policy_file
from gateway.console.data import ConsoleData, data_of, form
from gateway.console.render import page
from gateway.discover.draft import scalar
from gateway.ledger.call_store import TextStore
from gateway.ledger.replay import ReplayedLabel, replay
from gateway.ledger.store import NoLedger
from gateway.review import alike, reviewed_rows
from gateway.rules.rule import Rule
from gateway.serving.snapshot import Snapshot

_MOST: Final = 20
"""Of each classifier, the newest versions that are listed."""
_REPLAYED: Final = 100_000
_LOWEST: Final = 0.05
_REPORT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
"""A report has its styles in it, and may come from elsewhere, with its classifier: nothing in it may run or be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedVersion:
    """A version of a classifier. made: when, in Unix seconds. figures: value and interval, by name; empty where
    nothing was measured. labels: that are learned."""

    version: str
    made: float
    figures: Mapping[str, tuple[str, str]]
    labels: Sequence[str]

    @classmethod
    def read(cls, registry: Registry, name: str, version: str) -> "ListedVersion":
        figures, labels, made = [], [], made_at(version)
        # the report of another Offramp's training may lack some
        with suppress(ArtifactError, LookupError, TypeError, AttributeError, ValueError):
            report = report_in(registry.resolve(name, version))
            labels = sorted(report["thresholds"].keys() - {OTHER})
            figures = headline(report["held_out"], report["settings"].get("slots")) if labels else []
        return cls(
            version=version,
            made=made.timestamp() if made else 0.0,
            figures={title: (value, interval) for title, value, interval in figures},
            labels=labels,
        )


async def versions(request: Request) -> Response:
    """All classifiers with their versions, the newest first. A posted version is put in use, `rollback` puts the one
    before in use, as `offramp models` does. A running gateway notices it."""
    data, problem = data_of(request), ""
    registry = Registry(data.loaded.models_dir)
    if request.method == "POST":
        given = await form(request)
        try:
            await run_in_threadpool(_put_in_use, registry, data.classifiers, given)
            return RedirectResponse("/classifiers", HTTPStatus.SEE_OTHER)
        except ArtifactError as error:
            problem = str(error)
    listed = {name: await run_in_threadpool(_listed, registry, name) for name in data.classifiers}
    shown = request.query_params.get("name", ""), request.query_params.get("version", "")
    there = any(shown == (name, each.version) for name, several in listed.items() for each in several)
    return page(
        request,
        "classifiers.html.j2",
        listed=listed,
        used={name: registry.named(name) for name in listed},
        shown=shown if there else None,
        problem=problem,
    )


def _put_in_use(registry: Registry, names: Sequence[str], given: Mapping[str, str]) -> None:
    name, version = given.get("name", ""), given.get("version", "")
    if name not in names:
        raise ArtifactError(f"no rule uses a classifier {name!r}")
    if given.get("do") == "rollback":
        registry.rollback(name)
    else:
        registry.promote(name, version)


def _listed(registry: Registry, name: str) -> Sequence[ListedVersion]:
    there, used = registry.versions(name), registry.named(name)
    newest = [version for place, version in enumerate(there[::-1]) if place < _MOST or version == used]
    return [ListedVersion.read(registry, name, version) for version in newest]


async def label(request: Request) -> Response:
    """What another threshold of a label would change: of held-out texts, and of the latest calls. Changes nothing."""
    explainer = await data_of(request).explainer()
    return await run_in_threadpool(_label, request, explainer.snapshot)


def _label(request: Request, snapshot: Snapshot) -> Response:
    data, name, label = data_of(request), request.path_params["name"], request.path_params["label"]
    known = snapshot.runtime.classifiers.get(name) if snapshot.runtime else None
    if known is None or label not in known.model.policy.learned:
        why = "No classifier in use learns such a label."
        return page(request, "problem.html.j2", status=404, what=f"No label {label} of {name}", why=why)
    model, several = known.model, known.model.policy.multi_label
    # as rows hold scores
    limits = {each: round(model.last.thresholds.get(each, EVEN).act, 4) for each in (*model.policy.learned, OTHER)}
    # from one half on, the one label of a text is always the likeliest
    least = _LOWEST if several else EVEN.act
    threshold, now = _threshold(request, limits[label], least), limits[label]
    report = data.report(name, known.version)
    shares = {at: shares_at(report, label, at) for at in (now, threshold)}
    held = shares[threshold]
    return page(
        request,
        "label.html.j2",
        name=name,
        label=label,
        policy=model.policy,
        now=now,
        least=least,
        threshold=threshold,
        most=_REPLAYED,
        replays=_replays(data, snapshot, known, threshold, limits),
        shares=shares,
        goal=goal_lines(model.policy, held, scalar(label)) if held and held["done"] else "",
    )


def _replays(
    data: ConsoleData, snapshot: Snapshot, known: Classifier, threshold: float, limits: Mapping[str, float]
) -> Sequence[tuple[Rule, Mapping[str, ReplayedLabel]]]:
    """What each rule of the classifier would have done with the latest calls; nothing before a gateway has made the
    ledger."""
    file = reviewed_file(policy_file(data.loaded, known.name).parent, known.name)
    rows = {alike(text): labels for text, labels in reviewed_rows(file)}
    since, replays = (data.loaded.models_dir / known.name / CURRENT).stat().st_mtime, []
    with suppress(NoLedger), closing(TextStore(data.loaded.ledger, read_only=True)) as texts:
        for rule in snapshot.rules:
            if rule.classifier == known.name:
                reviewed = {
                    call: rows[key] for call, text in texts.reviewed(rule.name).items() if (key := alike(text)) in rows
                }
                with data.ledger() as store:
                    calls = store.judged(rule.name, _REPLAYED)
                replays.append((rule, replay(calls, rule, threshold, now=limits, reviewed=reviewed, since=since)))
    return replays


def _threshold(request: Request, now: float, least: float) -> float:
    """The one that is asked for; by default the one in use."""
    with suppress(ValueError):
        # in this order, so that no number is the least
        return round(min(1.0, max(least, float(request.query_params.get("threshold", "")))), 4)
    return min(now, 1.0)


def report(request: Request) -> Response:
    """The page that training made of a version, to be shown in a frame."""
    name, version = request.path_params["name"], request.path_params["version"]
    registry = Registry(data_of(request).loaded.models_dir)
    try:
        made = (registry.resolve(name, version) / PAGE_FILE).read_bytes()
    except (ArtifactError, FileNotFoundError) as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error
    return HTMLResponse(made, headers={"content-security-policy": _REPORT_POLICY})
