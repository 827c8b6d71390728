"""Real clients with their defaults, but for URL and key, at a gateway that greets and blocks.

Their scripts are in benchmarks/clients/scripts. `make test-extras` tries those that `make clients` installs; `make
compat` tries all, and says which versions they are.
"""

import sys
from typing import Any

from benchmarks.clients.roster import INSTALLED, Client, run
from tests.e2e.conftest import Running


def test_a_client_does_all_that_it_can(required: Any, gateways: dict[str, Running], client: Client) -> None:
    required.program(str(INSTALLED / (client.agent or client.program)), "make every-client")
    done = run(client, gateways[client.speaks].url, sys.executable, gateway=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
