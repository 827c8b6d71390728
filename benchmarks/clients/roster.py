"""The clients that scripts/ has a script for, and how each is run."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "scripts"
INSTALLED = ROOT / ".clients"
SCENARIOS = ("chat", "stream", "tools", "structured", "second", "block", "error", "retry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """name: the program's or the package's. script: its file's name. program: what runs it, in `.clients`; empty for
    the project's own Python, which runs an `agent` as its users do. speaks: the kind of upstream for the models that it
    names by itself. every: whether `make clients` leaves it out."""

    name: str
    script: str
    program: str
    agent: str = ""
    speaks: str = "openai"
    every: bool = True


CLIENTS = (
    Client(name="openai", script="with_openai.py", program="openai/bin/python"),
    Client(name="anthropic", script="with_anthropic.py", program="anthropic/bin/python", every=False),
    Client(name="openai-agents", script="with_openai_agents.py", program="openai-agents/bin/python", every=False),
    Client(name="pydantic-ai", script="with_pydantic_ai.py", program="pydantic-ai/bin/python", every=False),
    Client(name="langchain", script="with_langchain.py", program="langchain-openai/bin/python", every=False),
    Client(name="instructor", script="with_instructor.py", program="instructor/bin/python", every=False),
    Client(name="llm", script="with_llm.py", program="llm/bin/python", every=False),
    Client(name="llama-index", script="with_llama_index.py", program="llama-index/bin/python"),
    Client(name="litellm", script="with_litellm.py", program="litellm/bin/python"),
    Client(name="openai-node", script="with_openai_node.mjs", program="agents/node_modules/.bin/node"),
    Client(name="ai-sdk", script="with_ai_sdk.mjs", program="agents/node_modules/.bin/node"),
    Client(name="aider", script="with_programs.py", program="", agent="aider/bin/aider"),
    Client(name="codex", script="with_programs.py", program="", agent="agents/node_modules/.bin/codex"),
    Client(
        name="claude",
        script="with_programs.py",
        program="",
        agent="agents/node_modules/.bin/claude",
        speaks="anthropic",
    ),
)


def run(
    client: Client, url: str, python: str, scenarios: Sequence[str] = (), *, gateway: bool
) -> "subprocess.CompletedProcess[str]":
    """Runs a client's script. python: the project's. gateway: whether a gateway is at the URL, not the model alone."""
    folder = SCRIPTS
    if client.script.endswith(".mjs"):  # Node looks for packages from the script's folder upwards
        folder = INSTALLED / "node/compat"
        shutil.copytree(SCRIPTS, folder, dirs_exist_ok=True)
    command = [str(INSTALLED / client.program) if client.program else python, str(folder / client.script), url]
    if client.agent:
        command.append(str(INSTALLED / client.agent))
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "TERM")
    env = {name: os.environ[name] for name in kept if name in os.environ} | ({"GATEWAY": "1"} if gateway else {})
    env["PATH"] = f"{INSTALLED / 'agents/node_modules/.bin'}:{env['PATH']}"
    return subprocess.run([*command, *scenarios], capture_output=True, text=True, check=False, timeout=600, env=env)
