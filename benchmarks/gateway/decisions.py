"""Calls that the starter's two rules read: processor time of the gateway's process for each, this tree beside another.

python -m benchmarks.gateway.decisions [--parent PATH] [--seconds 5] [--repeat 3]

Texts that were read before, answered here or forwarded, and new short ones, which are forwarded. nginx is the provider
and wrk the clients. Each tree trains its own starter; the trees take turns.
"""

import argparse
import os
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks.gateway.passthrough import SCRIPT
from benchmarks.gateway.processes import cpu_seconds, gateway, need, provider
from benchmarks.gateway.startup import starter
from benchmarks.machine import machine

_HERE = Path(__file__).resolve().parents[2]
_BODY = '{{"model":"gpt-4o","temperature":0.2,"messages":[{{"role":"user","content":"{}"}}]}}'
_NEW = "Which shelf holds order {} of the green garden chairs, and who painted them?"
_KINDS = {
    "seen, answered": _BODY.format("What are your opening hours?"),
    "seen, forwarded": _BODY.format(_NEW.format(4)),
    "new, forwarded": _BODY.format(_NEW),
}
_EACH_NEW = """number = 0
function request()
  number = number + 1
  return wrk.format(nil, nil, nil, (string.gsub(wrk.body, "{{}}", "{first}" .. number)))
end
"""


def measure(tree: Path, config: Path, kind: str, seconds: int, connections: int) -> float:
    """Microseconds of processor time a request, in one run of a tree's gateway.

    Raises SystemExit where a request fails, or an answer is not from where it should be.
    """
    with gateway(config, core=0, tree=tree) as (pid, _, address), tempfile.TemporaryDirectory() as folder:
        url, scripts = f"{address}/v1/chat/completions", [Path(folder, name) for name in ("warm.lua", "timed.lua")]
        for number, script in enumerate(scripts):
            each = _EACH_NEW.format(first=number) if kind.startswith("new") else ""
            script.write_text(SCRIPT.format(body=_KINDS[kind]) + each)
        command = ["taskset", "-c", "1", need("wrk", "wrk"), "-t1", f"-c{connections}"]
        subprocess.run([*command, "-s", str(scripts[0]), "-d2s", url], check=True, capture_output=True)
        before = cpu_seconds(pid)
        timed = [*command, "-s", str(scripts[1]), f"-d{seconds}s", url]
        out = subprocess.run(timed, check=True, capture_output=True, text=True).stdout
        if "Non-2xx" in out:
            raise SystemExit(f"{kind}: {out}")
        return (cpu_seconds(pid) - before) / int(re.search(r"(\d+) requests in", out)[1]) * 1e6  # type: ignore[index]


def main() -> None:
    """Prints a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parent", type=Path, help="another checkout to measure in turn")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = "none"
    trees = [_HERE, *([arguments.parent.resolve()] if arguments.parent else [])]
    runs: dict[tuple[str, Path], list[float]] = {(kind, tree): [] for kind in _KINDS for tree in trees}
    with tempfile.TemporaryDirectory() as name, provider(core=1) as base_url:
        configs = {tree: _starter(Path(name, str(place)), tree, base_url) for place, tree in enumerate(trees)}
        for _ in range(arguments.repeat):
            for (kind, tree), done in runs.items():
                done.append(measure(tree, configs[tree], kind, arguments.seconds, arguments.connections))
    print(f"{machine()}; {arguments.connections} connections, medians of {arguments.repeat} (lowest and highest)\n")
    print("| calls | tree | CPU µs / request |\n|---|---|---|")
    for (kind, tree), done in runs.items():
        print(f"| {kind} | {tree} | {statistics.median(done):.0f} ({min(done):.0f}-{max(done):.0f}) |")


def _starter(folder: Path, tree: Path, base_url: str) -> Path:
    """A tree's starter, trained, in front of a provider; the gateway's file."""
    folder.mkdir()
    config = starter(folder, tree)
    config.write_text(config.read_text().replace("https://api.openai.com/v1", base_url))
    return config


if __name__ == "__main__":
    main()
