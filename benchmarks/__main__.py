"""All benchmarks, one after the other: python -m benchmarks [--data ../shared/data]."""

import argparse
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Runs each in a process of its own, so that none warms another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the folder with banking77/, snips/")
    data: Path = parser.parse_args().data
    runs = [
        ["benchmarks.starters", "--data", str(data)],
        ["benchmarks.robustness", "--data", str(data)],
        ["benchmarks.language", "--data", str(data)],
        ["benchmarks.personal_data"],
        ["benchmarks.gateway.startup"],
        ["benchmarks.gateway.passthrough"],
    ]
    for name, module, option in (
        ("snips", "snips", []),
        ("hwu64", "banking77", ["--data"]),
        ("banking77", "banking77", ["--data"]),
    ):
        if (data / name).is_dir():
            runs.insert(0, [f"benchmarks.{module}", *option, str(data / name)])
        else:
            print(f"{data / name} is not there, so that is not measured; --data names the folder", flush=True)
    failed = [run[0] for run in runs if subprocess.run([sys.executable, "-m", *run], check=False).returncode]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
