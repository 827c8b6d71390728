"""Pass-through at 64 connections on one core: processor time per request, ledger and metrics on, no rules.

python -m benchmarks.gateway.passthrough [--seconds 3] [--repeat 7] [--tree ../parent]

What is measured is alone on the first core; nginx (the provider) and wrk (the clients) share the second. Time is the
scheduler's, bytecode is compiled. `--tree`: a checkout whose gateway is measured in the same run.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from benchmarks.gateway.processes import (
    ANSWER,
    cpu_seconds,
    free_port,
    gateway,
    need,
    nginx_version,
    provider,
    proxy,
    rss_mib,
    running,
)
from benchmarks.machine import machine, versions

_CONFIG = """\
version: 1
listen: 127.0.0.1:8080
models_dir: models
ledger: offramp.db
upstreams:
  provider:
    kind: openai
    base_url: {base_url}{more}
models:
  gpt-4o: provider
"""
_LITELLM = """\
model_list:
  - model_name: gpt-4o
    litellm_params: {{model: openai/gpt-4o, api_base: "{base_url}/v1", api_key: none}}
"""
_BODY = (
    '{"model":"gpt-4o","temperature":0.2,"messages":[{"role":"system","content":"You are a helpful assistant."},'
    '{"role":"user","content":"' + "some words of text " * 38 + '"}]}'
)
SCRIPT = 'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = [==[{body}]==]\n'


Stack = Callable[[str, str], AbstractContextManager[tuple[int, str]]]


def gateway_of(tree: Path | None = None, more: str = "") -> Stack:
    """The gateway of a checkout. more: lines behind its upstream's address."""

    @contextmanager
    def started(folder: str, base_url: str) -> Iterator[tuple[int, str]]:
        config = Path(folder, "gateway.yaml")
        config.write_text(_CONFIG.format(base_url=base_url, more=more))
        with gateway(config, core=0, tree=tree) as (pid, _, address):
            yield pid, address

    return started


def _bare(client: str) -> Stack:
    @contextmanager
    def started(_folder: str, base_url: str) -> Iterator[tuple[int, str]]:
        address = f"http://127.0.0.1:{(port := free_port())}"
        command = [sys.executable, "-m", "benchmarks.gateway.bare"]
        with running(command, address, core=0, PROVIDER=base_url, PORT=str(port), CLIENT=client) as (pid, _):
            yield pid, address

    return started


def _litellm(program: Path) -> Stack:
    """LiteLLM's proxy. program: its `litellm`, of an environment of its own."""

    @contextmanager
    def started(folder: str, base_url: str) -> Iterator[tuple[int, str]]:
        config = Path(folder, "litellm.yaml")
        config.write_text(_LITELLM.format(base_url=base_url))
        address = f"http://127.0.0.1:{(port := free_port())}"
        command = [str(program), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
        # its prices are those it came with; as the gateway, it serves this machine without a key
        settings = {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        }
        with running(command, f"{address}/health/liveliness", core=0, **settings) as (pid, _):
            yield pid, address

    return started


STACKS: Mapping[str, Stack] = {
    "gateway": gateway_of(),
    "gateway, client: aiohttp": gateway_of(more="\n    client: aiohttp"),
    "bare uvicorn + aiohttp": _bare("aiohttp"),
    "bare uvicorn + own client": _bare("own"),
    "nginx": lambda _, base_url: proxy(base_url, core=0),
}


def measure(stack: Stack, seconds: int, connections: int, *, tls: bool = False) -> dict[str, float]:
    """One run: requests, microseconds of the process's processor time for each, requests a second, errors, memory."""
    with tempfile.TemporaryDirectory() as folder, provider(core=1, tls=tls) as base_url:
        script = Path(folder, "post.lua")
        script.write_text(SCRIPT.format(body=_BODY))
        with stack(folder, base_url) as (pid, address):
            command = ["taskset", "-c", "1", need("wrk", "wrk"), "-t1", f"-c{connections}", "-s", str(script)]
            url = f"{address}/v1/chat/completions"
            subprocess.run([*command, "-d1s", url], check=True, capture_output=True)
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
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--tree", type=Path, action="append", default=[], help="another checkout; may be repeated")
    parser.add_argument("--output", type=Path, help="a file for the table")
    parser.add_argument("--tls", action="store_true", help="between what is measured and the provider")
    parser.add_argument("--litellm", type=Path, help="a `litellm` program, whose proxy is measured once")
    arguments = parser.parse_args()
    stacks = {f"gateway of {tree.name}": gateway_of(tree.resolve()) for tree in arguments.tree} | dict(STACKS)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in stacks}
    for _ in range(arguments.repeat):
        for name, stack in stacks.items():
            runs[name].append(measure(stack, arguments.seconds, arguments.connections, tls=arguments.tls))
    if arguments.litellm:
        runs["LiteLLM's proxy, once"] = [measure(_litellm(arguments.litellm), 10, arguments.connections)]
    lines = [
        f"{machine()}; {nginx_version()}, {versions(['uvicorn', 'uvloop', 'httptools', 'aiohttp', 'msgspec'])}",
        "",
        "TLS to the provider." if arguments.tls else "Plain HTTP.",
        f"{arguments.connections} connections, request {len(_BODY)} bytes, answer {len(ANSWER)} bytes.",
        f"The stacks in turn, medians of {arguments.repeat} (lowest and highest).",
        "",
        "| stack | CPU µs / request | requests/s, one core | failed | RSS MiB |",
        "|---|---|---|---|---|",
        *(_line(stack, done) for stack, done in runs.items()),
    ]
    print("\n".join(lines))
    if arguments.output:
        arguments.output.write_text("# Pass-through\n\n" + "\n".join(lines) + "\n")


def _line(stack: str, runs: list[dict[str, float]]) -> str:
    median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    cpu = [run["cpu_us"] for run in runs]
    return (
        f"| {stack} | {median['cpu_us']:.0f} ({min(cpu):.0f}-{max(cpu):.0f}) | {median['per_second']:.0f} "
        f"| {median['failed']:.0f} | {median['rss_mib']:.0f} |"
    )


if __name__ == "__main__":
    main()
