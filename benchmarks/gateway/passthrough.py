"""Pass-through at 64 connections on one core: processor time per request, ledger and metrics on, no rules.

python -m benchmarks.gateway.passthrough [--seconds 8] [--repeat 3]

The gateway is alone on the first core; nginx (the provider) and wrk (the clients) share the second.
"""

import argparse
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

from benchmarks.gateway.processes import cpu_seconds, gateway, need, provider, rss_mib
from benchmarks.machine import machine, versions

_CONFIG = """\
version: 1
listen: 127.0.0.1:8080
models_dir: models
ledger: offramp.db
upstreams:
  provider:
    kind: openai
    base_url: {base_url}
models:
  gpt-4o: provider
"""
_BODY = (
    '{"model":"gpt-4o","temperature":0.2,"messages":[{"role":"system","content":"You are a helpful assistant."},'
    '{"role":"user","content":"' + "some words of text " * 38 + '"}]}'
)
_SCRIPT = 'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [==[{body}]==]\n'


def measure(seconds: int, connections: int) -> dict[str, float]:
    """One run: requests, microseconds of the gateway's processor time for each, requests a second, errors, memory."""
    with tempfile.TemporaryDirectory() as folder, provider(core=1) as base_url:
        config = Path(folder, "gateway.yaml")
        config.write_text(_CONFIG.format(base_url=base_url))
        script = Path(folder, "post.lua")
        script.write_text(_SCRIPT.format(body=_BODY))
        with gateway(config, core=0) as (pid, _, address):
            command = ["taskset", "-c", "1", need("wrk", "wrk"), "-t1", f"-c{connections}", "-s", str(script)]
            url = f"{address}/v1/chat/completions"
            subprocess.run([*command, "-d2s", url], check=True, capture_output=True)
            before = cpu_seconds(pid)
            out = subprocess.run([*command, f"-d{seconds}s", url], check=True, capture_output=True, text=True).stdout
            used = cpu_seconds(pid) - before
            requests = int(re.search(r"(\d+) requests in", out)[1])  # type: ignore[index]
            failed = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
            return {
                "requests": requests,
                "cpu_us": used / requests * 1e6,
                "per_second": requests / seconds,
                "failed": int(failed[1]) if failed else 0,
                "rss_mib": rss_mib(pid),
            }


def main() -> None:
    """Prints a table of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    runs = [measure(arguments.seconds, arguments.connections) for _ in range(arguments.repeat)]
    median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    print(f"{machine()}; {versions(['uvicorn', 'uvloop', 'httptools', 'aiohttp', 'msgspec'])}")
    print(f"{arguments.connections} connections, request {len(_BODY)} bytes, medians of {arguments.repeat}")
    print("| CPU µs / request | requests/s, one core | failed | RSS MiB |\n|---|---|---|---|")
    print(f"| {median['cpu_us']:.0f} | {median['per_second']:.0f} | {median['failed']:.0f} | {median['rss_mib']:.0f} |")


if __name__ == "__main__":
    main()
