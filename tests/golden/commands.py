"""The command line's `--json` on fixed inputs: what it prints, what it exits with. Nothing of its code is imported."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.golden.driver import Workspace, mask

TEXTS = (
    "where is my refund",
    "write a poem about the sea",
    "hello",
    "Guten Morgen, wann haben Sie am Sonntag geöffnet?",
)
PRIVATE = ("my card is 4111 1111 1111 1111", "write to joe@example.com", "nothing here")
INSTALLED = {"python", "sqlite", "onnxruntime", "tokenizers", "fastapi", "uvicorn", "aiohttp"} | {
    f"extra {name}" for name in ("train", "finetune", "providers")
}
"""Checks of `offramp doctor` whose details depend on what is installed."""
CALL = json.dumps({"model": "labels", "messages": [{"role": "user", "content": "where is my refund"}]})
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("init", "made", "--json"),
    ("init", "guarded", "--template", "guard", "--json"),
    ("check", "rules.yaml", "contracts.yaml", "policies/tickets.yaml", "--json"),
    ("check", "wrong.yaml", "--json"),
    ("explain", CALL, "--gateway", "rules.yaml", "--json"),
    ("explain", "I will kill you", "--gateway", "rules.yaml", "--model", "blocks", "--json"),
    ("explain", "write to joe@example.com", "--gateway", "rules.yaml", "--model", "restores", "--json"),
    ("explain", "where is my refund", "--gateway", "contracts.yaml", "--model", "quick", "--json"),
    ("classify", "tickets", *TEXTS, "--json"),
    ("classify", "private", *PRIVATE, "--json"),
    ("classify", "nobody", "hello", "--json"),
    ("models", "list", "--json"),
    ("contract", "show", "contracts.yaml", "--json"),
    ("report", "contracts.yaml", "--json"),
    ("report", "rules.yaml", "--json"),
    ("report", "nothing.yaml", "--json"),
    ("doctor", "rules.yaml", "--json"),
    ("discover", "calls.jsonl", "--bound", "10%", "--json"),
)


def outputs(workspace: Workspace) -> list[dict[str, Any]]:
    """A record for each command. The ledgers are those that the gateways wrote before."""
    for name in ("made", "guarded"):
        shutil.rmtree(workspace.folder / name, ignore_errors=True)
        (workspace.folder / name).mkdir()
    with ThreadPoolExecutor(2) as both:
        return list(both.map(lambda command: output(workspace, command), COMMANDS))


def output(workspace: Workspace, command: tuple[str, ...]) -> dict[str, Any]:
    done = workspace.run(*command)
    here = str(workspace.folder)
    try:
        printed = masked(json.loads(done.stdout.replace(here, "HERE")))
    except ValueError:
        printed = mask(done.stdout.replace(here, "HERE"))
    record = {"name": "offramp " + " ".join(command), "exit": done.returncode, "stdout": printed}
    # where a command fails, why; else only what it is doing
    return record | ({"stderr": mask(done.stderr.replace(here, "HERE"))} if done.returncode else {})


def masked(value: Any, key: str = "") -> Any:
    """JSON without what differs from run to run or from processor to processor: fractions, times, sizes."""
    if isinstance(value, dict) and {"check", "detail"} <= value.keys() and value["check"] in INSTALLED:
        return {**value, "detail": "INSTALLED"}
    if isinstance(value, dict):
        return {name: masked(one, name) for name, one in value.items()}
    if key == "nearest":
        # which of two is nearer may differ
        return len(value)
    if isinstance(value, list):
        return [masked(one, key) for one in value]
    if isinstance(value, float):
        return round(value, 9) if key.endswith("usd") else "NUMBER"
    if isinstance(value, str):
        # of what belongs to a version of a classifier
        return "KEY" if key == "key" else mask(value)
    return value
