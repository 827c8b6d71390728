"""From starting the process to ready, with the two starter classifiers; bytecode compiled, as on any second start.

python -m benchmarks.gateway.startup [--repeat 5]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.gateway.processes import cpu_seconds, gateway, rss_mib
from benchmarks.machine import machine


def starter(folder: Path, tree: Path | None = None) -> Path:
    """`offramp init` and `offramp train` in a folder; the gateway's file. tree: whose commands, by default these."""
    environment = {**os.environ, **({"PYTHONPATH": str(tree)} if tree else {})}
    for arguments in (["init"], ["train", "config/policies/shop-intents.yaml", "config/policies/support-safety.yaml"]):
        subprocess.run(
            [sys.executable, "-m", "gateway", *arguments], cwd=folder, env=environment, check=True, capture_output=True
        )
    return folder / "config" / "gateway.yaml"


def main() -> None:
    """Prints a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = starter(Path(folder))
        runs = []
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        subprocess.run(
            [sys.executable, "-m", "compileall", "-q", "gateway", "classifiers"], env=environment, check=False
        )
        for _ in range(arguments.repeat + 1):
            with gateway(config) as (pid, ready_s, _):
                runs.append((ready_s, cpu_seconds(pid), rss_mib(pid)))
        ready, cpu, memory = (statistics.median(values) for values in zip(*runs[1:], strict=True))
    print(f"{machine()}; medians of {arguments.repeat} after one warm-up")
    print("| start to ready, s | CPU until then, s | RSS MiB |\n|---|---|---|")
    print(f"| {ready:.2f} | {cpu:.2f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
