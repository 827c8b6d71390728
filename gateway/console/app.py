"""The console as an application: its addresses, behind its key."""

from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from classifiers.errors import ClassifierError
from gateway.config.problems import ConfigError
from gateway.console import classifiers, live, rules, texts
from gateway.console.access import ConsoleKey, Guarded
from gateway.console.data import ConsoleData, form
from gateway.console.render import HERE, page
from gateway.console.training import Trainings
from gateway.ledger.store import LedgerError


def create_console(data: ConsoleData, key: ConsoleKey) -> ASGIApp:
    """The whole console."""

    async def login(request: Request) -> Response:
        """Exchanges the key, of the printed link or of the form, for a cookie, so that it stays in no address."""
        asked = await form(request) if request.method == "POST" else request.query_params
        if key.opens(given := asked.get("key", "")):
            return RedirectResponse("/", HTTPStatus.SEE_OTHER, headers={"set-cookie": key.cookie()})
        status = HTTPStatus.FORBIDDEN if given else HTTPStatus.OK
        return page(request, "login.html.j2", status=status, wrong=bool(given))

    app = Starlette(
        routes=[
            Route("/", live.live),
            Route("/calls/{number:int}", live.call, methods=["GET", "POST"]),
            Route("/today", live.today),
            Route("/today.csv", live.today),
            Route("/try", texts.attempt, methods=["GET", "POST"]),
            Route("/review", texts.review, methods=["GET", "POST"]),
            Route("/train", Trainings().show, methods=["GET", "POST"]),
            Route("/classifiers", classifiers.versions, methods=["GET", "POST"]),
            Route("/classifiers/{name}/{version}/report", classifiers.report),
            Route("/classifiers/{name}/{label:path}", classifiers.label),
            Route("/rules", rules.rules, methods=["GET", "POST"]),
            Route("/discover", rules.Discoveries().show, methods=["GET", "POST"]),
            Route("/login", login, methods=["GET", "POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={
            HTTPException: _refused,
            **dict.fromkeys((LedgerError, ClassifierError, ConfigError, OSError), _unreadable),
        },
    )
    app.state.data = data
    return Guarded(app=GZipMiddleware(app, minimum_size=1000), key=key)


def _unreadable(request: Request, error: Exception) -> Response:
    return page(request, "problem.html.j2", status=503, what="This cannot be shown", why=str(error))


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = "No such page" if error.status_code == HTTPStatus.NOT_FOUND else "Refused"
    return page(request, "problem.html.j2", status=error.status_code, what=what, why=str(error.detail))
