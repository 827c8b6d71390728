"""A browser that has given the console's key."""

from typing import Final

from starlette.testclient import TestClient

from gateway.config.load import Loaded
from gateway.console.access import ConsoleKey
from gateway.console.app import create_console
from gateway.console.data import ConsoleData

URL: Final = "http://127.0.0.1:8081"
KEY: Final = ConsoleKey(key="k" * 32, url=URL)


def opened(loaded: Loaded) -> TestClient:
    """Of the console of a gateway's file; its posts come from the console's own pages."""
    client = TestClient(create_console(ConsoleData(loaded, "http://gate"), KEY), base_url=URL)
    client.get("/login", params={"key": KEY.key})
    client.headers["origin"] = URL
    return client
