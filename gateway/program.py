"""How to start this very program once more."""

import sys
from pathlib import Path


def this_program() -> list[str]:
    """The command without its arguments; it finds this Offramp, not a module of the same name in the folder that it is
    started in."""
    here = Path(__file__).resolve().parents[1] == Path.cwd().resolve()
    return [sys.executable, *([] if here else ["-P"]), "-m", "gateway"]
