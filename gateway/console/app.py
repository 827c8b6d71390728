"""The console as an application: its addresses, behind its key."""

from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from gateway.console import live
from gateway.console.access import ConsoleKey, Guarded
from gateway.console.data import ConsoleData
from gateway.console.render import HERE, page
from gateway.ledger.store import LedgerError

_LARGEST: Final = 256 * 1024
"""Bytes of a form."""


def create_console(data: ConsoleData, key: ConsoleKey) -> ASGIApp:
    """The whole console."""

    async def login(request: Request) -> Response:
        """Exchanges the key for a cookie: of the printed link, or of the form."""
        given = request.query_params.get("key", "")
        if request.method == "POST":
            given = (await form(request)).get("key", "")
        if key.opens(given):
            # so that the key stays in no address
            return RedirectResponse("/", HTTPStatus.SEE_OTHER, headers={"set-cookie": key.cookie()})
        status = HTTPStatus.FORBIDDEN if given else HTTPStatus.OK
        return page(request, "login.html.j2", status=status, wrong=bool(given))

    app = Starlette(
        routes=[
            Route("/", live.live),
            Route("/calls/{number:int}", live.call),
            Route("/login", login, methods=["GET", "POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={LedgerError: _unreadable, HTTPException: _refused},
    )
    app.state.data = data
    return Guarded(app=GZipMiddleware(app, minimum_size=1000), key=key)


async def form(request: Request) -> dict[str, str]:
    """The fields of a posted form, the last of equal names. Raises HTTPException (413) for one that is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a form has at most {_LARGEST:,} bytes")
    fields = parse_qs(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=1000)
    return {name: values[-1] for name, values in fields.items()}


def _unreadable(request: Request, error: Exception) -> Response:
    return page(request, "problem.html.j2", status=503, what="The ledger cannot be read", why=str(error))


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = "No such page" if error.status_code == HTTPStatus.NOT_FOUND else "Refused"
    return page(request, "problem.html.j2", status=error.status_code, what=what, why=str(error.detail))
