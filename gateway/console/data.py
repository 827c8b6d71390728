"""What pages read: the gateway's file and its stores, opened for each page and closed after it."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

from starlette.requests import Request

from gateway.config.load import Loaded
from gateway.config.prices import load_prices
from gateway.explain import Explainer
from gateway.ledger.call_store import CallStore, RecentStore, RecentText, TextStore
from gateway.ledger.store import SQLiteLedger
from gateway.review import Reviewing
from gateway.routes import Routes

_LONGEST_S: Final = 1.0


class ConsoleData:
    """loaded: the gateway's file, without secrets; base_url: where the gateway listens by it."""

    def __init__(self, loaded: Loaded, base_url: str) -> None:
        self.loaded, self.base_url = loaded, base_url
        self.prices, self.routes = load_prices(loaded.prices, os.environ), Routes(loaded.settings.models)
        self._explainer: Explainer | None = None
        self._reviewing: Reviewing | None = None
        self._opening = asyncio.Lock()
        self.deciding = asyncio.Lock()

    @contextmanager
    def ledger(self) -> Iterator[SQLiteLedger]:
        """The ledger, to read for a second at most. Raises LedgerError; NoLedger before a gateway has made it."""
        with closing(SQLiteLedger(self.loaded.ledger, read_only=True)) as store, store.at_most(_LONGEST_S):
            yield store

    def texts(self, request_id: str) -> list[RecentText]:
        """What rules read of a call, where that is kept. Raises LedgerError."""
        with closing(RecentStore(self.loaded.ledger, read_only=True)) as store:
            return store.of_call(request_id)

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
