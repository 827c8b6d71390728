"""What a gateway process writes to stderr: a line a request, in either form, without a word of anybody's."""

import json
import os
import pty
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
version: 1
access_key: "${{OFFRAMP_KEY}}"
log: {log}
upstreams: {{one: {{kind: echo}}}}
models: {{gpt-4o: one}}
"""
KEY, CANARY = "the-access-key-7351", "canary-9157"
TO = "import sys; sys.stderr = open({!r}, 'w', buffering=1)"


def ask(running: Any, *, key: str = KEY, model: str = "gpt-4o") -> str:
    """Asks with the canary wherever a client can put words; the request's id."""
    body = {"model": model, "messages": [{"role": "user", "content": CANARY}], "user": CANARY, "stop": [CANARY]}
    request = urllib.request.Request(
        f"{running.url}/v1/chat/completions?{CANARY}",
        json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json", "x-note": CANARY},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.headers["x-request-id"])
    except urllib.error.HTTPError as error:
        return str(error.headers["x-request-id"])


@pytest.mark.parametrize(("form", "level"), [("text", "info"), ("json", "debug"), ("none", "error")])
def test_a_request_has_one_line_without_content(start_gateway, form: str, level: str) -> None:
    running = start_gateway(CONFIG.format(log=f"{{format: {form}, level: {level}}}"), OFFRAMP_KEY=KEY)
    ids = [ask(running), ask(running, key=f"wrong-{CANARY}"), ask(running, model=CANARY)]
    running.stop()
    log = running.log.read_text()
    assert "offramp serves http://" in log
    assert not [word for word in (CANARY, KEY, "\x1b") if word in log]
    for request, status, decision in zip(ids, (200, 401, 404), ("forward", "", "error"), strict=True):
        lines = [line for line in log.splitlines() if request in line]
        assert len(lines) == (form != "none")
        if form == "text":
            assert re.search(rf" POST /v1/chat/completions {status} {decision}.* {request}$", lines[0])
        if form == "json":
            line = {"decision": "", **json.loads(lines[0])}
            assert (line["status"], line["decision"], line["path"]) == (status, decision, "/v1/chat/completions")
    if form == "json":
        assert all(json.loads(line)["level"] for line in log.splitlines())


def test_a_terminal_shows_colours(start_gateway) -> None:
    shown, terminal = pty.openpty()
    running = start_gateway(CONFIG.format(log="{}"), patch=TO.format(os.ttyname(terminal)), OFFRAMP_KEY=KEY, TERM="x")
    request, seen = ask(running), b""
    while request.encode() not in seen:
        seen += os.read(shown, 4096)
    assert b"\x1b[32m200\x1b[0m \x1b[36mforward\x1b[0m" in seen
    os.close(terminal)
    os.close(shown)


def test_a_pipe_that_nobody_reads_holds_up_nobody(start_gateway, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)
    running = start_gateway(CONFIG.format(log="{}"), patch=TO.format(str(pipe)), OFFRAMP_KEY=KEY)
    # 64 KiB fit in
    for _ in range(800):
        assert ask(running)
    assert running.stop() == 0
    assert len(os.read(reader, 2**20)) >= 2**15
    os.close(reader)
