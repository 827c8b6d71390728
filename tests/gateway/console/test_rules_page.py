"""Links from figures to their rows, and the pages Rules and Discover."""

import html
import json
import re
import threading
import time
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from gateway.config.load import load_gateway
from gateway.contracts.store import ContractStore
from gateway.discover import finding
from gateway.ledger.call_store import CallStore, KeptCall
from gateway.ledger.report import WAYS
from gateway.ledger.store import SQLiteLedger
from gateway.protocols.json import encode
from gateway.record import Record
from tests.gateway.cli.conftest import Offramp, offramp
from tests.gateway.cli.test_contract import calls, folder, judged
from tests.gateway.console.conftest import opened
from tests.gateway.console.test_pages import browser, ledger
from tests.gateway.discover.logs import two_templates

__all__ = ["browser", "folder", "ledger", "offramp"]


@pytest.fixture
def console(folder: Path) -> TestClient:
    """Of a file with two contracts and a secret from the environment."""
    file = folder / "gateway.yaml"
    file.write_text(f'access_key: "${{SECRET_NAME:-}}"\n{file.read_text()}')
    return opened(load_gateway(file, {"SECRET_NAME": "secret-value"}, secrets=False))


def test_figures_link_to_just_their_rows(browser: TestClient, ledger: Path) -> None:
    def numbers(address: str) -> set[int]:
        return {int(one) for one in re.findall(r'<tr id="call-(\d+)"', browser.get(html.unescape(address)).text)}

    keys: dict[str, list[Any]] = {
        "decision": ["forward", "redact", "answer", "error", "judge"],
        "saved_reason": [None, "cheaper_route", "local_answer"],
        "abstentions": ["", "a:unsure", "a:unsure,b:late"],
        "rule": ["", "a"],
    }
    rows = [dict(zip(keys, values, strict=True)) for values in product(*keys.values())]
    rows.append({"decision": "block", "saved_reason": "block"})
    models = [{"requested_model": name, "classifier_s": timed} for name in ("", "m") for timed in (None, 0.1)]
    with closing(SQLiteLedger(ledger)) as store:
        for number, row in enumerate(rows):
            # every other one of the day before
            at = time.time() - number % 2 * 86400
            store.append([Record(request_id="r", at=at, endpoint="chat", **row, **models[number // 2 % 4])])
    every = set(range(1, len(rows) + 1))
    for by in WAYS:
        shown = browser.get("/today", params={"period": "7d", "by": by}).text
        parts = [numbers(link) for link in re.findall(r'<th scope="row"><a href="([^"]+)"', shown)]
        assert set.union(*parts) == every, by
        assert sum(map(len, parts)) == len(every), by
    counted = re.findall(r'<(?:li|dd)><a href="([^"]+)">(\d+)( of)?', shown)
    assert [len(numbers(link)) for link, *_ in counted] == [int(calls) for _, calls, _ in counted]
    forwarded = {number for number, row in enumerate(rows, 1) if row["decision"] in ("forward", "redact")}
    assert set.union(*(numbers(link) for link, _, why in counted if why)) == forwarded


async def test_rules_show_the_file_and_what_contract_show_prints(
    console: TestClient, folder: Path, offramp: Offramp
) -> None:
    assert "No call has met its contract yet" in console.get("/rules").text
    assert not (folder / "offramp.db").exists()
    await calls(folder, 60, agree=40)
    await judged(folder, 400, hours=1)
    shown = html.unescape(console.get("/rules").text)
    printed = offramp("contract", "show", folder / "gateway.yaml").stdout
    for line in printed[printed.index("hours for m") :].splitlines():
        assert line in shown
    file = enumerate((folder / "gateway.yaml").read_text().splitlines(), 1)
    assert "".join(f"{number:4d} {line}\n" for number, line in file) in re.sub(r"<[^>]+>", "", shown)
    assert "SECRET_NAME" in shown
    assert "secret-value" not in shown
    [contract, guard] = json.loads(offramp("contract", "show", folder / "gateway.yaml", "--json").stdout)
    with closing(ContractStore(folder / "offramp.db", read_only=True)) as store:
        [(_, checks, differ, bounds)], [(*_, sides)] = (store.days(row["key"]) for row in (contract, guard))
    assert [bounds, sides] == [[one["at_most"] for one in row["bounds"]] for row in (contract, guard)]
    assert (checks, differ) == (60, contract["results"]["ask: differs"]) == (60, 20)
    (folder / "gateway.yaml").write_text(f"access_key: written\n{(folder / 'gateway.yaml').read_text()[31:]}")
    assert "The file has changed" not in shown
    shown = console.get("/rules").text
    assert ("written" in shown, "must come from the environment" in shown) == (False, True)
    assert "The file has changed" in shown


def test_rules_pause_and_resume_as_the_commands_do(console: TestClient, folder: Path, offramp: Offramp) -> None:
    def paused() -> frozenset[str]:
        with closing(ContractStore(folder / "offramp.db")) as store:
            return store.paused()

    assert 'value="resume"' in console.post("/rules", data={"rule": "hours", "do": "pause"}).text
    assert paused() == {"hours"}
    offramp("contract", "resume", "hours", folder / "gateway.yaml")
    assert 'value="resume"' not in console.get("/rules").text
    offramp("contract", "pause", "safety", folder / "gateway.yaml")
    console.post("/rules", data={"rule": "safety", "do": "resume"})
    refused = console.post("/rules", data={"rule": "houts", "do": "pause"})
    assert (refused.status_code, "did you mean" in refused.text, paused()) == (404, True, frozenset())


def test_discover_finds_what_the_command_finds_and_writes_nothing(
    console: TestClient, folder: Path, prepared_dir: Path, offramp: Offramp, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, find = threading.Event(), finding.findings
    monkeypatch.setattr(finding, "findings", lambda *given, **more: gate.wait(60) and find(*given, **more))
    (folder / "models" / "encoders").symlink_to(prepared_dir / "encoders")
    assert "content: {keep: 30d, calls: true}" in console.get("/discover").text
    with closing(CallStore(folder / "offramp.db")) as store:
        for i, one in enumerate(two_templates(60)):
            bodies = {"request": encode(one.request), "answer": encode(one.response)}
            store.append([KeptCall(request_id=f"r{i}", at=float(one.at), model="gpt-4o", **bodies)])
        store.append([KeptCall(request_id="r", at=1.0, model="gpt-4o", request=b"{}", answer=bodies["answer"])])
    before = {*folder.rglob("*")}
    assert "It runs" in console.post("/discover", data={"bound": "5%"}).text
    # one at a time
    console.post("/discover", data={"bound": "1%"})
    gate.set()
    while "It runs" in (shown := html.unescape(console.get("/discover").text)):
        time.sleep(0.1)
    assert {*folder.rglob("*")} <= {*before, *(Path(f"{folder}/offramp.db{end}") for end in ("-wal", "-shm"))}
    command = ["discover", folder / "gateway.yaml", "--bound", "5%", "--json", "--write", folder / "made"]
    found = json.loads(offramp(*command).stdout)
    [(why, calls)] = found["skipped"].items()
    assert f"Left out: {calls} ({why})." in shown
    assert all(cell in shown for group in found["groups"] for cell in finding.cells(group))
    for name in found["written"]["files"]:
        assert (Path(name).read_text() in shown) == ("policies" in name and name.endswith(".yaml")), name
