"""What pages read: the gateway's file and its stores, opened for each page and closed after it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from starlette.requests import Request

from gateway.config.load import Loaded
from gateway.ledger.call_store import RecentStore
from gateway.ledger.store import SQLiteLedger


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleData:
    """loaded: the gateway's file, without secrets; base_url: where the gateway listens by it."""

    loaded: Loaded
    base_url: str

    @contextmanager
    def ledger(self) -> Iterator[SQLiteLedger]:
        """The ledger, to read. Raises LedgerError; NoLedger before the first call."""
        with closing(SQLiteLedger(self.loaded.ledger, read_only=True)) as store:
            yield store

    def texts(self, request_id: str) -> list[str]:
        """What rules read of a call, where that is kept. Raises LedgerError."""
        with closing(RecentStore(self.loaded.ledger, read_only=True)) as store:
            return [kept.text for kept in store.of_call(request_id)]


def data_of(request: Request) -> ConsoleData:
    """What a request's page may read."""
    data: ConsoleData = request.app.state.data
    return data
