"""Pages over a ledger's rows."""

import csv
import json
import random
import re
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from starlette.testclient import TestClient
from typer.testing import CliRunner

from gateway.cli.main import app as cli
from gateway.config.load import load_gateway
from gateway.console.render import HERE, dollars, visible
from gateway.ledger.call_store import RecentStore, RecentText
from gateway.ledger.report import WAYS
from gateway.ledger.store import SQLiteLedger
from gateway.record import Record
from tests.gateway.console.conftest import KEY, URL, opened
from tests.given import table_text

PAYLOADS = table_text("given/console-payloads.txt").split("\n")
FILE = "version: 1\nlisten: 127.0.0.1:1\nupstreams: {e: {kind: echo}}\nmodels: {m: e}\n"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    (tmp_path / "gateway.yaml").write_text(FILE)
    return tmp_path / "offramp.db"


@pytest.fixture
def browser(ledger: Path) -> TestClient:
    return opened(load_gateway(ledger.parent / "gateway.yaml", {}, secrets=False))


def fill(ledger: Path, *rows: dict[str, Any]) -> None:
    store = SQLiteLedger(ledger)
    store.append([Record(request_id=f"r{i}", at=1e9 + i, endpoint="chat", **row) for i, row in enumerate(rows)])
    store.close()


def test_the_key_is_exchanged_for_a_cookie_and_stays_in_no_address(browser: TestClient) -> None:
    assert browser.get("/login", params={"key": KEY.key}).url == f"{URL}/"
    assert "not the key" in browser.get("/login", params={"key": "x"}).text
    wrong = browser.post("/login", data={"key": "x"})
    assert (wrong.status_code, wrong.headers.get("set-cookie")) == (403, None)
    right = browser.post("/login", data={"key": KEY.key}, follow_redirects=False)
    assert (right.status_code, right.headers["location"]) == (303, "/")


def test_an_empty_ledger_says_how_to_send_a_call(browser: TestClient, ledger: Path) -> None:
    assert 'base_url="http://gate/v1"' in browser.get("/").text.replace("&#34;", '"')
    ledger.write_bytes(b"no database" * 100)
    broken = browser.get("/").text
    assert "cannot be" in broken
    assert browser.get("/calls/1").status_code == 503


def test_pages_hold_a_hundred_rows_by_number_and_filters_stay_in_the_address(browser: TestClient, ledger: Path) -> None:
    fill(ledger, *({"rule": "ab"[i % 2], "decision": "block"} for i in range(250)))
    first = browser.get("/", params={"rule": "a"}).text
    assert first.count('<tr id="call-') == 100
    assert 'hx-get="/?rule=a"' in first
    assert 'href="/?rule=a&amp;before=51"' in first
    second = browser.get("/", params={"rule": "a", "before": "51"}).text
    assert second.count('<tr id="call-') == 25
    assert "hx-get" not in second
    assert "No call matches" in browser.get("/", params={"decision": "answer"}).text
    assert browser.get("/", params={"before": "²"}).status_code == 200


@pytest.mark.parametrize("text", PAYLOADS)
def test_foreign_text_is_shown_and_never_markup(browser: TestClient, ledger: Path, text: str) -> None:
    fill(ledger, {"requested_model": text, "label": text, "rule": text, "error": text})
    for page in (browser.get("/", params={"label": text}), browser.get("/calls/1")):
        assert str(escape(visible(text))) in page.text
        assert text not in page.text or escape(text) == text


def test_a_call_that_is_not_there_is_not_found(browser: TestClient, ledger: Path) -> None:
    fill(ledger, {})
    for path in ("/calls/2", f"/calls/{2**63 - 1}", f"/calls/{9**30}", "/nowhere"):
        assert browser.get(path).status_code == 404


def test_invisible_signs_are_written_out() -> None:
    assert visible("a\u200bb\n\tc\u202e\x00") == "a⟨U+200B⟩b\n\tc⟨U+202E⟩⟨U+0000⟩"


def test_templates_leave_escaping_on_and_quote_all_attributes() -> None:
    for file in (HERE / "templates").glob("*.j2"):
        text = file.read_text()
        assert "|safe" not in text.replace(" ", ""), file
        assert "Markup" not in text
        assert not re.search(r"<[^>]*\s(style|on\w+|hx-on[^=]*)=", text), file
        assert not re.search(r"=\{\{", text), file


def test_today_has_what_the_report_has_and_its_lines_as_csv(browser: TestClient, ledger: Path) -> None:
    assert "No call in this time" in browser.get("/today").text
    rows = ({"decision": "answer", "rule": "=r", "saved_reason": "local_answer", "saved_usd": 1.5}, {"spent_usd": None})
    store = SQLiteLedger(ledger)
    store.append([Record(request_id="r", at=time.time(), endpoint="chat", **row) for row in rows])
    store.close()
    shown = browser.get("/today", params={"by": "rule", "period": "nothing"}).text
    assert "$1.50" in shown
    assert "1 calls of unknown cost" in shown
    lines = browser.get("/today.csv", params={"by": "rule"}).text.splitlines()
    assert lines[0].startswith("rule,calls,saved_calls")
    assert {line.partition(",")[0] for line in lines[1:]} == {"", "'=r"}


@pytest.mark.parametrize("seed", range(5))
def test_today_is_the_report_is_the_sum_of_its_rows(browser: TestClient, ledger: Path, seed: int) -> None:
    rng, now = random.Random(seed), time.time()
    kinds = [
        ("forward", None),
        ("answer", "local_answer"),
        ("block", "block"),
        ("judge", "judge"),
        ("repeat", "repeat"),
    ]
    dollars_of = (None, 0.0, 0.001, 12.5, 3e-7)
    rows = []
    for number in range(400):
        decision, reason = rng.choice(kinds)
        money = {"spent_usd": rng.choice(dollars_of), "saved_usd": rng.choice(dollars_of) if reason else 0.0}
        of = {"rule": rng.choice(("", "a", "b")), "requested_model": rng.choice(("m", "n")), "decision": decision}
        of |= {"notional": rng.random() < 0.2, "abstentions": rng.choice(("", "a:unsure")), "saved_reason": reason}
        rows.append(Record(request_id=f"r{number}", at=now - rng.random() * 86000, endpoint="chat", **of, **money))
    with closing(SQLiteLedger(ledger)) as store:
        store.append(rows)
    blocks, others = [row for row in rows if row.decision == "block"], [row for row in rows if row.decision != "block"]
    sums = {
        "calls": sum(row.decision not in ("judge", "repeat") for row in rows),
        "blocked_calls": len(blocks),
        "forwarded_calls": sum(row.decision == "forward" for row in rows),
        "spent_usd": sum(row.spent_usd or 0 for row in rows),
        "saved_usd": sum(row.saved_usd or 0 for row in others),
        "blocked_usd": sum(row.saved_usd or 0 for row in blocks),
        "unknown_spent_calls": sum(row.spent_usd is None for row in rows),
        "unknown_saved_calls": sum(row.saved_usd is None for row in others),
    }
    given = ["report", str(ledger.parent / "gateway.yaml"), "--since", "24h", "--format", "json", "--by"]
    for way in WAYS:
        made = json.loads(CliRunner().invoke(cli, [*given, way]).stdout)
        page = browser.get("/today", params={"by": way}).text
        csv_rows = list(csv.DictReader(browser.get("/today.csv", params={"by": way}).text.splitlines()))
        for name, value in sums.items():
            assert made["total"][name] == pytest.approx(value)
            assert sum(line[name] for line in made["lines"]) == pytest.approx(value)
            assert sum(float(row[name]) for row in csv_rows) == pytest.approx(value)
            assert (dollars(value) if name.endswith("usd") else f"{value:,}") in page or name == "blocked_usd"
        assert sum(one["calls"] for one in made["why_forwarded"]) == sums["forwarded_calls"]


def test_a_form_that_is_too_large_is_refused(browser: TestClient) -> None:
    answer = browser.post("/try", data={"text": "x" * 1_100_000})
    assert answer.status_code == 413


def test_a_request_that_cannot_be_read_is_a_problem_on_the_page(browser: TestClient) -> None:
    for given in ({"body": "no json"}, {"text": "hello", "model": "none"}, {"body": "{}", "path": "/v1/nothing"}):
        answer = browser.post("/try", data=given)
        assert (answer.status_code, 'role="alert"' in answer.text) == (200, True)


def test_a_page_makes_no_ledger(browser: TestClient, ledger: Path) -> None:
    assert [browser.get(path).status_code for path in ("/", "/today", "/review", "/calls/1")] == [200, 200, 503, 503]
    assert not ledger.exists()


def test_a_prompt_keeps_its_line_ends(browser: TestClient) -> None:
    shown = browser.post("/try", data={"text": "a\r\nb", "system": "one\r\ntwo"}).text
    assert ">a\nb</textarea>" in shown
    assert ">one\ntwo</textarea>" in shown
    assert r"one\ntwo" in shown


def test_a_right_label_is_a_row_for_training_once(browser: TestClient, ledger: Path) -> None:
    rule = '{name: r, classifier: shop, when: {any_system: true}, then: {"*": flag}}'
    (ledger.parent / "gateway.yaml").write_text(f"{FILE}rules: [{rule}]\n")
    (ledger.parent / "policies").mkdir()
    policy = "version: 1\nname: shop\nkind: intent\nabout: x\nlabels: {a: {means: a}, b: {means: b}}\nother: c\n"
    (ledger.parent / "policies" / "shop.yaml").write_text(policy)
    fill(ledger, {"verdicts": "r:a/b, c: d:0.7000,r:other:0.9000:unsure,r:!model"})
    texts = RecentStore(ledger)
    texts.append([RecentText(request_id="r0", at=1e9, rules="r", text="hello\nthere")])
    texts.close()
    client = opened(load_gateway(ledger.parent / "gateway.yaml", {}, secrets=False))
    assert "acts" not in client.get("/calls/1").text
    version = ledger.parent / "models" / "shop" / "20260101-000000-fc540e06"
    version.mkdir(parents=True)
    limits = {"a/b, c: d": {"act": 0.8, "unsure": 0.6}, "other": {"act": 0.5, "unsure": 0.5}}
    for name in ("manifest", "report"):
        (version / f"{name}.json").write_text(json.dumps({"thresholds": limits}))
    (version.parent / "current").write_text(version.name)
    shown = client.get("/calls/1").text
    assert "0.7000; acts now from 0.8, unsure from 0.6; other acts now from 0.5 (" in shown
    assert "0.9000, unsure; acts now from 0.5<" in shown
    assert "hello\nthere" in shown
    assert re.findall('/classifiers/[^"]+', shown) == ["/classifiers/shop/a%2Fb%2C%20c%3A%20d?threshold=0.7000"]
    assert [text in shown for text in ("a/b, c: d, 0.7000", "other, 0.9000, unsure", "<code>when: model")] == [True] * 3
    rows = ledger.parent / "policies" / "shop.reviewed.jsonl"
    for given in ({"rule": "r", "label": "unknown"}, {"rule": "none", "label": "a"}):
        client.post("/calls/1", data=given)
    assert not rows.exists()
    # a changed mind takes the place of what was decided
    for label in "ba":
        done = client.post("/calls/1", data={"rule": "r", "label": label})
        assert f"it is <b>{label}</b>" in done.text
        [row] = rows.read_text().splitlines()
        assert (json.loads(row)["text"], json.loads(row)["label"]) == ("hello\nthere", label)
    assert "Decided" not in client.post("/calls/1", data={"rule": "r", "do": "back"}).text
    assert rows.read_text() == ""
