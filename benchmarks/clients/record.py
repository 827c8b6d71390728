"""python -m benchmarks.clients.record [client …]: writes tests/tables/clients.jsonl, what each client sends.

A line is a call, but for those that only ask whether a server is there (HEAD): the client with its version, the date,
the scenario, method, path, headers and body; the answer's status, its text, and its ids, to which later calls of a
scenario refer. Keys are left out of headers. Prompts and descriptions of the clients' makers are replaced by our own
words, ids by zeros, and long lists of tools are shortened.
"""

import argparse
import json
import re
import sys
import time
from typing import Any

from benchmarks.clients import model, roster

FILE = roster.ROOT / "tests/tables/clients.jsonl"
UNKEPT = {"authorization", "x-api-key", "api-key", "host", "content-length", "connection", "accept-encoding"}
OURS = (model.ANSWER, model.TOOL_ANSWER, model.GREETING, model.REFUSAL, model.ATTACK, "Hello there!", "on its way")
OURS += ("When does the blue lamp leave?", "Where is my order", "in the wrong colour", "Say it once more")
SHORT = 48
"""A text of at most so many characters is a name or a value, not a prompt."""
ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|/var/tmp/tmp\w+|\b[0-9a-f]{40,}\b")
TOOLS = 3
KEPT_TOOLS = {*model.CALLS, "StructuredOutput"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clients", nargs="*")
    asked = parser.parse_args().clients or [client.name for client in roster.CLIENTS]
    kept = [json.loads(line) for line in FILE.read_text("utf-8").splitlines()] if FILE.exists() else []
    lines = [line for line in kept if line["client"] not in asked]
    for client in roster.CLIENTS:
        if client.name in asked:
            lines += record(client)
    order = [client.name for client in roster.CLIENTS]
    lines.sort(key=lambda line: order.index(line["client"]))
    FILE.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")


def record(client: roster.Client) -> list[dict[str, Any]]:
    """A client's calls, scenario by scenario. A call that was recorded already, and is answered alike, is left out."""
    lines: list[dict[str, Any]] = []
    for scenario in roster.SCENARIOS:
        server = model.Model(plays_gateway=True)
        done = roster.run(client, f"http://127.0.0.1:{server.server_port}", sys.executable, [scenario], gateway=False)
        server.shutdown()
        server.server_close()
        version = next(line for line in done.stdout.splitlines() if line.strip())
        if done.returncode:
            raise SystemExit(f"{client.name}, {scenario}:\n{done.stdout}\n{done.stderr}")
        frame = {"client": client.name, "version": version, "date": time.strftime("%Y-%m-%d"), "scenario": scenario}
        lines += [frame | called(call) for call in server.calls if call.method != "HEAD"]
    print(f"{version}: {len(lines)} calls", flush=True)
    return lines


def called(call: model.Call) -> dict[str, Any]:
    headers = {name: masked(value) for name, value in call.headers.items() if name not in UNKEPT}
    line = {"method": call.method, "path": call.path, "headers": headers, "status": call.status, "ids": call.ids}
    line |= {"reply": call.reply} if call.reply else {}
    return line | ({"body": own_words(json.loads(call.body), "")} if call.body else {})


def own_words(value: Any, key: str) -> Any:
    """A body with our own words in the place of others'."""
    if isinstance(value, dict):
        return {name: own_words(part, name) for name, part in value.items()}
    if isinstance(value, list):
        few = [part for n, part in enumerate(value) if key != "tools" or n < TOOLS or named(part) & KEPT_TOOLS]
        return [own_words(part, key) for part in few]
    if not isinstance(value, str) or value in (model.SCRIPT, model.SHELL):
        return value
    if key == "description":
        return "Finds an order." if value else ""
    own = value if any(word in value for word in OURS) and len(value) < 200 else "Our own words."
    return masked(value) if len(value) <= SHORT else masked(own)


def named(tool: Any) -> set[str]:
    """The names of a tool, and of those inside it."""
    inner = [tool, tool.get("function") or {}, *(tool.get("tools") or ())]
    return {part["name"] for part in inner if "name" in part}


def masked(text: str) -> str:
    return ID.sub("0", text)


if __name__ == "__main__":
    main()
