"""What a table was measured on."""

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path


def machine() -> str:
    """Date, processor, cores and Python, in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    vnni = "avx512_vnni" if any("avx512_vnni" in line for line in lines) else "no avx512_vnni"
    day = datetime.now(UTC).date().isoformat()
    return f"{day}, {name}, {os.cpu_count()} cores, {vnni}, Python {platform.python_version()}"


def command(module: str) -> str:
    """How this program was called; of paths only the last part."""
    return shlex.join(["python", "-m", module, *(Path(each).name if "/" in each else each for each in sys.argv[1:])])


def versions(packages: Sequence[str]) -> str:
    """The packages' versions, in one line."""
    return ", ".join(f"{name} {metadata.version(name)}" for name in packages)
