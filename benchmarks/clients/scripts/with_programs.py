"""Coding agents, run as their users run them: with_programs.py URL PROGRAM [scenario …].

Their second turn follows a block: their system prompts are their own, so that nothing else is answered for them.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import scenario as s

program = Path(sys.argv.pop(2))
home = tempfile.mkdtemp(dir="/var/tmp")
os.environ |= {"HOME": home, "CODEX_API_KEY": "unused", "PATH": f"{program.parent}:{os.environ['PATH']}"}
os.chdir(home)
Path(".codex").mkdir()
FORM = json.dumps({**s.Routed.model_json_schema(), "additionalProperties": False})
Path("form.json").write_text(FORM)


def execute(*command: str) -> str:
    done = subprocess.run(
        [program, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=100
    )
    return (done.stdout if done.returncode == 0 else done.stdout + done.stderr).strip()


def codex(text: str, *more: str) -> Any:
    return execute("exec", "--skip-git-repo-check", "-c", f'openai_base_url="{s.V1}"', *more, text)


def claude(text: str, *more: str) -> Any:
    return execute("-p", text, *more)


def aider(text: str, *more: str) -> Any:
    shown = execute("--model", f"openai/{s.GPT}", "--no-git", "--yes-always", "--message", text, *more)
    return " ".join(line for line in (s.ANSWER, s.REFUSAL) if line in shown) or shown


def codex_form() -> Any:
    return json.loads(codex(s.ASK, "--output-schema", "form.json"))["intent"]


def claude_form() -> Any:
    return json.loads(claude(s.ASK, "--output-format", "json", "--json-schema", FORM))["structured_output"]["intent"]


def followed(first: str, second: str) -> Any:
    return s.EXPECTED["second"] if (first, second) == (s.REFUSAL, s.ANSWER) else (first, second)


print(execute("--version").splitlines()[-1])
s.run(
    {
        "codex": {
            "ask": codex,
            "stream": lambda: codex(s.ASK, "-m", s.GPT),
            "tools": lambda: s.same([codex(s.FIND), codex(s.FIND, "-m", s.GPT)]),
            "structured": codex_form,
            "second": lambda: followed(codex(s.ATTACK), codex(s.ASK, "resume", "--last")),
            "block": lambda: codex(s.ATTACK),
        },
        "claude": {
            "ask": claude,
            "stream": lambda: claude(s.ASK, "--model", s.CLAUDE),
            "tools": lambda: claude(s.FIND),
            "structured": claude_form,
            "second": lambda: followed(claude(s.ATTACK), claude(s.ASK, "--continue")),
            "block": lambda: claude(s.ATTACK),
        },
        "aider": {
            "ask": lambda text: aider(text, "--no-stream"),
            "stream": lambda: aider(s.ASK),
            "second": lambda: followed(aider(s.ATTACK), aider(s.ASK, "--restore-chat-history")),
            "block": lambda: aider(s.ATTACK),
        },
    }[program.name]
)
