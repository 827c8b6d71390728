"""llm: its command line, with a model of its extra-openai-models.yaml."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import scenario as s

os.environ["LLM_USER_PATH"] = tempfile.mkdtemp()
settings = {"model_id": "shop", "model_name": s.GPT, "api_base": s.V1, "supports_tools": True, "supports_schema": True}
Path(os.environ["LLM_USER_PATH"], "extra-openai-models.yaml").write_text(json.dumps([settings]))
FUNCTION = 'def find_order(number: str) -> str:\n    "Finds an order."\n    return number + " is on its way"'


def ask(*arguments: str) -> Any:
    command = [str(Path(sys.executable).parent / "llm"), "-m", "shop", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip() if done.returncode == 0 else done.stderr


def chat() -> Any:
    return ask(s.ASK, "--no-stream")


def stream() -> Any:
    return ask(s.ASK)


def tools() -> Any:
    return ask(s.FIND, "--functions", FUNCTION)


def structured() -> Any:
    return json.loads(ask(s.ASK, "--schema", json.dumps(s.Routed.model_json_schema())))["intent"]


def second() -> Any:
    return ask(s.HELLO), ask(s.ASK, "--continue")


def block() -> Any:
    blocked = ask(s.ATTACK)
    assert ask(s.ASK, "--continue") == s.ANSWER
    return blocked


s.run(globals(), "llm")
