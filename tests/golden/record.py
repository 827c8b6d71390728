"""Records what the code does now: `python -m tests.golden.record [replies|commands …]`, all by default.

Where a difference is meant, record again, and read the difference of the files before it is committed.
"""

import json
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.golden import commands, driver

HERE = Path(__file__).parent
KINDS = ("replies", "commands")


def replies(workspace: driver.Workspace) -> list[dict[str, Any]]:
    """The records of all gateways, which start together."""
    gateways = [driver.Gateway(workspace, name) for name in driver.GATEWAYS]
    try:
        with ThreadPoolExecutor(len(gateways)) as together:
            return [record for records in together.map(driver.replay, gateways) for record in records]
    finally:
        for gateway in gateways:
            gateway.kill()


def write(kind: str, records: Iterable[dict[str, Any]]) -> None:
    lines = (json.dumps(one, ensure_ascii=True, sort_keys=True) + "\n" for one in records)
    (HERE / f"{kind}.jsonl").write_text("".join(lines), "utf-8")


def main(kinds: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if "replies" in kinds or "commands" in kinds:
            (Path(folder) / "work").mkdir()
            workspace = driver.Workspace(Path(folder) / "work")
            # the commands show the ledgers that the requests leave
            found = replies(workspace)
            if "replies" in kinds:
                write("replies", found)
            if "commands" in kinds:
                write("commands", commands.outputs(workspace))


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or KINDS)
