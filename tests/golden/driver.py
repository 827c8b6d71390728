"""Runs the product from outside: a workspace with trained classifiers, gateway processes, requests over real ports.

Nothing of the gateway's code is imported here. `mask` says what is left out of a comparison, because it differs from
run to run (ids, times, dates, versions, ports, paths) or from processor to processor (confidences and scores).
"""

import http.client
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.golden.upstream import Upstream

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
GATEWAYS = ("proxy", "keyed", "rules", "broken", "contracts")
POLICIES = ("tickets", "harm", "private")
CHAT = "/v1/chat/completions"
MASKS = (
    (r"(req_|chatcmpl-|modr-|call_)[0-9a-f]{24}", r"\1ID"),
    (r"\b\d{8}-\d{6}-[0-9a-f]{8}\b", "VERSION"),
    (r'("created": ?)\d+', r"\1TIME"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)", "TIME"),
    (r'(\\*"(?:confidence|logprob|novelty)\\*": ?)-?\d[\d.e+-]*', r"\1NUMBER"),
    (r'("ledger_pending_rows": ?)\d+', r"\1SOME"),
    (r"127\.0\.0\.1:\d{2,5}", "HOST"),
)
SCORES = re.compile(r'(scores": ?\{)([^}]*)\}')
UNCOUNTED = re.compile(r"_(bucket|sum|created)(\{|$)|^(process|python)_|_seconds|(^|_)time|pending")
UNSEEN_HEADERS = {"date", "content-length", "x-request-id"}
UNSENT_HEADERS = {"host", "content-length"}
UNSTORED = {"id", "at", "request_id", "classifier_version"}
ROUGH = {"confidence", "gateway_s", "classifier_s", "provider_s", "first_token_s"}


def mask(text: str) -> str:
    """A text without what may differ."""
    for pattern, instead in MASKS:
        text = re.sub(pattern, instead, text)
    return SCORES.sub(lambda found: found[1] + re.sub(r": ?-?\d[\d.e+-]*", ":NUMBER", found[2]) + "}", text)


def environment(upstream: str) -> dict[str, str]:
    """The variables of a gateway process; the provider keys of whoever runs the tests are none of them."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "OFFRAMP_KEY"))}
    more = {"UPSTREAM": upstream, "PAID_KEY": "paid-key", "OFFRAMP_KEY": "the key", "PYTHONPATH": str(ROOT)}
    return {**kept, **more, "COLUMNS": "200", "NO_COLOR": "1", "TZ": "UTC"}


class Workspace:
    """A folder with the golden policies trained and the gateway files beside them."""

    def __init__(self, folder: Path, encoders: Path | None = None) -> None:
        self.folder = folder
        shutil.copytree(HERE / "gateways", folder, dirs_exist_ok=True)
        shutil.copytree(HERE / "policies", folder / "policies")
        (folder / "models").mkdir()
        (folder / "ledger").mkdir()
        if encoders is not None:
            (folder / "models" / "encoders").symlink_to(encoders)
        done = self.run("train", *(f"policies/{name}.yaml" for name in POLICIES))
        assert done.returncode == 0, done.stderr

    def run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """A command of `offramp`."""
        command = [sys.executable, "-m", "gateway", *arguments]
        env = environment("http://127.0.0.1:9/v1")
        return subprocess.run(
            command, cwd=self.folder, env=env, input=stdin, capture_output=True, text=True, check=False, timeout=120
        )


class Gateway:
    """A gateway process of a workspace, with an upstream of its own."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.name, self.upstream = name, Upstream()
        self.ledger = workspace.folder / "ledger" / f"{name}.db"
        self.coin = workspace.folder / f"{name}.coin"
        self.log = workspace.folder / f"{name}.log"
        self.port = 0
        self.toss(0.5)
        program = [sys.executable, str(HERE / "serve.py"), str(self.coin)]
        arguments = ["serve", f"{name}.yaml", "--port", "0"]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [*program, *arguments], cwd=workspace.folder, env=environment(self.upstream.url), stdout=out, stderr=out
            )

    def toss(self, coin: float) -> None:
        """From now on all coins fall like this."""
        whole = self.coin.with_suffix(".new")
        whole.write_text(str(coin))
        whole.replace(self.coin)

    def wait(self) -> None:
        """Returns when it is ready."""
        for _ in range(600):
            log = self.log.read_text()
            assert self.process.poll() is None, log
            # a port that was free before may be taken by now
            self.port = int((re.findall(r"serves http://127\.0\.0\.1:(\d+)", log) or [0])[0])
            try:
                if self.port and self.send("GET", "/ready", b"", {})[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of the answer; of a body that breaks off, what came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with closing(connection):
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            try:
                got = answer.read()
            except http.client.IncompleteRead as broken:
                got = broken.partial + b"<BROKEN OFF>"
            seen = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, seen, got.decode("utf-8", "backslashreplace")

    def kill(self) -> None:
        """Leaves nothing running."""
        self.process.kill()
        self.process.wait(10)
        self.upstream.shutdown()
        self.upstream.server_close()

    def stop(self) -> dict[str, list[dict[str, Any]]]:
        """Ends it, which writes all that is to be written; the ledger's rows by request id."""
        self.process.terminate()
        self.process.wait(30)
        found: dict[str, list[dict[str, Any]]] = {}
        with closing(sqlite3.connect(self.ledger)) as db:
            db.row_factory = sqlite3.Row
            for row in db.execute("SELECT * FROM requests ORDER BY rowid"):
                found.setdefault(row["request_id"], []).append(columns(dict(row)))
        return found


def columns(row: dict[str, Any]) -> dict[str, Any]:
    """A ledger row without empty columns; of measured times and confidences only that they are there."""
    kept = {name: "SOME" if name in ROUGH else value for name, value in row.items() if value not in (None, "", 0, 0.0)}
    if "verdicts" in kept:
        kept["verdicts"] = re.sub(r"\d\.\d{4}", "SOME", kept["verdicts"])
    kept |= {name: None for name, value in row.items() if value is None and name.endswith("_usd")}
    rounded = {name: round(value, 12) if isinstance(value, float) else value for name, value in kept.items()}
    return {name: value for name, value in rounded.items() if name not in UNSTORED | (ROUGH - {"confidence"})}


def cases(gateway: str) -> list[dict[str, Any]]:
    """The gateway's requests: a body as JSON, or `raw` as Latin-1; `times` it is sent, the `coin` that falls."""
    lines = (HERE / "requests.jsonl").read_text("utf-8").splitlines()
    return [case for case in map(json.loads, lines) if case["gateway"] == gateway]


def replay(gateway: Gateway) -> list[dict[str, Any]]:
    """Sends the gateway's cases; one record for each, and one with the counters of /metrics afterwards."""
    gateway.wait()
    records, ids = [], []
    for number, case in enumerate(cases(gateway.name)):
        gateway.toss(case.get("coin", 0.5))
        body = (
            case["raw"].encode("latin-1")
            if "raw" in case
            else json.dumps(case["body"]).encode()
            if "body" in case
            else b""
        )
        headers = {"content-type": "application/json", **case.get("headers", {})}
        before = len(gateway.upstream.calls)
        decisions: dict[str, int] = {}
        for _ in range(case.get("times", 1)):
            status, seen, answer = gateway.send(case.get("method", "POST"), case.get("path", CHAT), body, headers)
            decision = seen.get("x-offramp-decision", "none")
            decisions[decision] = decisions.get(decision, 0) + 1
        if case.get("settle"):
            gateway.upstream.settle()
        sent = gateway.upstream.calls[before:]
        record = {"name": f"{gateway.name} {number:03}: {case['name']}", "status": status}
        record["headers"] = {name: mask(value) for name, value in sorted(seen.items()) if name not in UNSEEN_HEADERS}
        if "x-offramp-confidence" in seen:
            record["headers"]["x-offramp-confidence"] = "NUMBER"
        record["body"] = mask(answer)
        if case.get("times", 1) > 1:
            record |= {"decisions": decisions, "calls": len(sent)}
        else:
            record["upstream"] = [sent_upstream(call, body) for call in sent]
        records.append(record)
        ids.append(seen.get("x-request-id", ""))
    counters = metrics(gateway.send("GET", "/metrics", b"", {"authorization": "Bearer the key"})[2])
    rows = gateway.stop()
    for record, request_id in zip(records, ids, strict=True):
        record["ledger"] = rows.pop(request_id, [])
    others = sum(len(of_one) for of_one in rows.values())
    return [*records, {"name": f"{gateway.name} afterwards", "metrics": counters, "other rows": others}]


def sent_upstream(call: tuple[str, dict[str, str], bytes], body: bytes) -> dict[str, Any]:
    """What the upstream was sent; `as it came` stands for the client's own bytes."""
    path, headers, sent = call
    kept = {name: mask(value) for name, value in sorted(headers.items()) if name not in UNSENT_HEADERS}
    text = "as it came" if sent == body else sent.decode("utf-8", "backslashreplace")
    return {"path": path, "headers": kept, "body": mask(text)}


def metrics(text: str) -> dict[str, float]:
    """All samples that count; of histograms that are no times the counts."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if not line.startswith("#") and not UNCOUNTED.search(name) and float(value):
            # sums of dollars are added up in batches
            found[mask(name)] = float(f"{float(value):.12g}")
    return found
