"""Starts `offramp serve` with a coin that lies in a file: `python serve.py COIN_FILE serve gateway.yaml --port N`.

Whatever the gateway draws is the number in that file, so that audits come as a case wants them.
"""

import random
import runpy
import sys
from pathlib import Path

coin = Path(sys.argv.pop(1))
random.random = lambda: float(coin.read_text())
random.SystemRandom.random = lambda _: float(coin.read_text())
runpy.run_module("gateway", run_name="__main__", alter_sys=True)
