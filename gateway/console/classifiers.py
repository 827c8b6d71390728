"""The classifiers that rules use: their versions, which one is in use, and what training measured of each."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from classifiers.errors import ArtifactError
from classifiers.model.artifact import made_at, report_in
from classifiers.model.registry import Registry
from classifiers.report.figures import headline
from classifiers.report.pages import PAGE_FILE
from gateway.console.data import data_of, form
from gateway.console.render import page

_MOST: Final = 20
"""Of each classifier, the newest versions that are listed."""
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
        with suppress(ArtifactError, LookupError, TypeError):
            report = report_in(registry.resolve(name, version))
            labels = sorted(report["thresholds"])
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


def report(request: Request) -> Response:
    """The page that training made of a version, to be shown in a frame."""
    name, version = request.path_params["name"], request.path_params["version"]
    registry = Registry(data_of(request).loaded.models_dir)
    file = registry.resolve(name, version) / PAGE_FILE
    return HTMLResponse(file.read_bytes(), headers={"content-security-policy": _REPORT_POLICY})
