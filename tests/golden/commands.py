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
WRONG = """\
version: 1
upstreams:
  paid: {kind: openai, base_url: "ftp://x", retry: 3}
models: {gpt-4o: payd, gpt-4o: paid}
rules:
  - {name: A, classifier: tickets, then: {greting: {anser: x}, refund: blok}, when_unsure: ask}
"""
WORDS = ("red", "small", "old", "cheap", "light", "broken", "new", "wet", "green", "big")
THINGS = ("shoes", "lamp", "chair", "kettle", "jacket", "phone")


def outputs(workspace: Workspace) -> list[dict[str, Any]]:
    """A record for each command. The ledgers are those that the gateways wrote before."""
    (workspace.folder / "wrong.yaml").write_text(WRONG, "utf-8")
    (workspace.folder / "calls.jsonl").write_text("".join(json.dumps(call) + "\n" for call in log()), "utf-8")
    for name in ("made", "guarded"):
        shutil.rmtree(workspace.folder / name, ignore_errors=True)
        (workspace.folder / name).mkdir()
    with ThreadPoolExecutor(2) as both:
        return list(both.map(lambda command: output(workspace, command), COMMANDS))


def output(workspace: Workspace, command: tuple[str, ...]) -> dict[str, Any]:
    done = workspace.run(*command)
    here = str(workspace.folder)
    try:
        told = masked(json.loads(done.stdout.replace(here, "HERE")))
    except ValueError:
        told = mask(done.stdout.replace(here, "HERE"))
    record = {"name": "offramp " + " ".join(command), "exit": done.returncode, "stdout": told}
    # where a command fails, why; else only what it is doing
    return record | ({"stderr": mask(done.stderr.replace(here, "HERE"))} if done.returncode else {})


def masked(value: Any, key: str = "") -> Any:
    """JSON without what differs from run to run or from processor to processor: fractions, times, sizes."""
    if isinstance(value, dict):
        return {name: masked(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [masked(one, key) for one in value]
    if isinstance(value, float):
        return round(value, 9) if key.endswith("usd") else "NUMBER"
    if isinstance(value, str):
        # of what belongs to a version of a classifier
        return "KEY" if key == "key" else mask(value)
    return value


def log() -> list[dict[str, Any]]:
    """Calls that ask a model for one of two labels, and some that ask for none."""
    calls = []
    for number, (word, thing) in enumerate((word, thing) for word in WORDS for thing in THINGS):
        for kind, text in (
            ("return", f"I want to send back the {word} {thing}"),
            ("stock", f"is the {word} {thing} in stock"),
        ):
            system = "Answer with one word: return or stock."
            turns = [{"role": "system", "content": system}, {"role": "user", "content": text}]
            usage = {"prompt_tokens": 30, "completion_tokens": 1, "total_tokens": 31}
            choice = {"index": 0, "message": {"role": "assistant", "content": kind}, "finish_reason": "stop"}
            answer = {
                "id": f"c{number}",
                "object": "chat.completion",
                "created": 1_700_000_000 + number * 600,
                "model": "gpt-4o",
            }
            calls.append(
                {
                    "request": {"model": "gpt-4o", "messages": turns},
                    "response": {**answer, "choices": [choice], "usage": usage},
                }
            )
    return calls
