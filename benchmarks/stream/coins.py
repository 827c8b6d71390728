"""python -m benchmarks.stream.coins COIN serve …: the gateway's command, with a replay's coins.

A contract draws the numbers of a generator with a known seed, one for each call that has a label; the replay draws one
for each call. No call is asked a second time.
"""

import random
import sys
from types import SimpleNamespace

from gateway.cli.main import main
from gateway.contracts import audit, owner

if __name__ == "__main__":
    coin = sys.argv.pop(1)
    vars(owner)["random"] = SimpleNamespace(SystemRandom=lambda: random.Random(coin))
    vars(audit)["ASK_AGAIN"] = 0.0
    main()
