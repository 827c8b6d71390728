"""What pages read: the gateway's file and its stores, opened for each page and closed after it; and posted forms."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

from classifiers.errors import ArtifactError
from classifiers.model.artifact import report_in
from classifiers.model.registry import Registry
from gateway.config.load import Loaded
from gateway.config.prices import load_prices
from gateway.explain import Explainer
from gateway.ledger.call_store import CallStore, RecentStore, RecentText, TextStore
from gateway.ledger.store import SQLiteLedger
from gateway.review import Reviewing
from gateway.routes import Routes

_LARGEST: Final = 1024 * 1024
_LONGEST_S: Final = 1.0


class ConsoleData:
    """loaded: the gateway's file, without secrets; base_url: where the gateway listens by it."""

    def __init__(self, loaded: Loaded, base_url: str) -> None:
        self.loaded, self.base_url, self._written = loaded, base_url, loaded.file.read_bytes()
        self.prices, self.routes = load_prices(loaded.prices, os.environ), Routes(loaded.settings.models)
        self._explainer: Explainer | None = None
        self._reviewing: Reviewing | None = None
        self._opening = asyncio.Lock()
        self.deciding = asyncio.Lock()

    @property
    def classifiers(self) -> list[str]:
        """The names of those that rules use."""
        return sorted({name for rule in self.loaded.settings.rules for _, name in rule.bindings})

    @property
    def changed(self) -> bool:
        """Whether the gateway's file is another than at the start. Raises OSError."""
        return self.loaded.file.read_bytes() != self._written

    @contextmanager
    def ledger(self) -> Iterator[SQLiteLedger]:
        """The ledger, to read for a second at most. Raises LedgerError; NoLedger before a gateway has made it."""
        with closing(SQLiteLedger(self.loaded.ledger, read_only=True)) as store, store.at_most(_LONGEST_S):
            yield store

    def texts(self, request_id: str) -> list[RecentText]:
        """What rules read of a call, where that is kept. Raises LedgerError."""
        with closing(RecentStore(self.loaded.ledger, read_only=True)) as store:
            return store.of_call(request_id)

    def report(self, name: str, version: str) -> Mapping[str, Any]:
        """What training measured of a version, of the one in use where none is given; empty where it is not there."""
        with suppress(ArtifactError):
            return report_in(Registry(self.loaded.models_dir).resolve(name, version))
        return {}

    async def explainer(self) -> Explainer:
        """Of the versions in use. Raises as `Explainer.load`."""
        async with self._opening:
            self._explainer = await asyncio.to_thread(self._current, self._explainer)
            return self._explainer

    def _current(self, before: Explainer | None) -> Explainer:
        return Explainer.load(self.loaded, before) if before is None or before.outdated else before

    async def reviewing(self) -> Reviewing:
        """The decisions of this process, for one request at a time: `deciding` is held. Raises LedgerError; NoLedger
        before a gateway has made the tables, which a page does not."""
        async with self._opening:
            if self._reviewing is None:
                with self.ledger():
                    pass
                texts, calls = TextStore(self.loaded.ledger), CallStore(self.loaded.ledger, read_only=True)
                self._reviewing = Reviewing(loaded=self.loaded, texts=texts, calls=calls)
            return self._reviewing


def data_of(request: Request) -> ConsoleData:
    """What a request's page may read."""
    data: ConsoleData = request.app.state.data
    return data


async def form(request: Request) -> dict[str, str]:
    """The fields of a posted form, the last of equal names, with line ends as they were: browsers send CR and LF.
    Raises HTTPException (413) for one over 1 MiB."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a form has at most {_LARGEST:,} bytes")
    fields = parse_qs(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=1000)
    return {name: values[-1].replace("\r\n", "\n") for name, values in fields.items()}
