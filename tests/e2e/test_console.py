"""The console in a real browser: ten minutes of a person after `make demo`, and what hostile text may not do."""

import html
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts.contract import Contract
from gateway.contracts.scope import Scope
from gateway.contracts.store import CheckRow, ContractStore, StoredContract
from gateway.ledger.call_store import CallStore, KeptCall, RecentStore, RecentText
from gateway.ledger.report import WAYS
from gateway.ledger.store import SQLiteLedger
from gateway.protocols.json import encode
from gateway.record import Record
from gateway.rules.rule import Terms
from tests.conftest import Required
from tests.e2e.conftest import Running, clean_environment, free_port, start, user
from tests.given import table_text

PAYLOADS = table_text("given/console-payloads.txt").split("\n")
ELSEWHERE = """[...document.querySelectorAll("a, form, link, [hx-get]")].filter(
    one => new URL(one.getAttribute("hx-get") ?? one.href ?? one.action, location).host !== location.host).length"""
PAGES = ("/", "/calls/1", "/today", "/today?period=30d&by=rule", "/try", "/review", "/train", "/classifiers")
PAGES += ("/classifiers/shop-intents/greeting?threshold=0.6", "/classifiers/support-safety/violence")
PAGES += ("/rules", "/discover")
SORT = '  - {name: s, classifier: shop-intents, when: {system: Sort.}, then: {"*": {answer: label}}, contract: true}\n'


@pytest.fixture(scope="module")
def folder(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A starter of its own that keeps what a person may see."""
    named = tmp_path_factory.mktemp("console") / PAYLOADS[1]
    made = Path(shutil.copytree(workspace, named, symlinks=True))
    file = made / "config" / "gateway.yaml"
    kept = "content: {keep: 1d, calls: true, recent: 1h, blocked: 1d, unsure: 1d}"
    file.write_text(re.sub(r"(?m)^content:\n(  .*\n)+", f"{kept}\n", file.read_text()) + SORT)
    assert kept in file.read_text()
    return made


@pytest.fixture(scope="module")
def gateway(folder: Path) -> Iterator[Running]:
    running = start(folder / "config" / "gateway.yaml")
    texts = [
        "Hello there!",
        "What time do you open on Saturday?",
        "Where is my parcel, and who pays?",
        "I want to hurt you.",
    ]
    for text in [*texts, *PAYLOADS]:
        body = json.dumps({"model": text if text in PAYLOADS else "gpt-4o", "messages": user(text)}).encode()
        running.post("/v1/chat/completions", body, content_type="application/json")
    hostile(folder)
    yield running
    running.stop()


def hostile(folder: Path) -> None:
    """Each payload in all columns of a row, as a kept text, and as an answer under a contract."""
    [ledger] = folder.rglob("offramp.db")
    scope = Scope(rule="intents", model="m", prompt="p", classifier="shop-intents", terms="t")
    state = StoredContract(scope=scope, contract=Contract.new(Terms(target=0.1, confidence=0.95)), at=time.time())
    with (
        closing(SQLiteLedger(ledger)) as rows,
        closing(CallStore(ledger)) as calls,
        closing(RecentStore(ledger)) as recent,
        closing(ContractStore(ledger)) as contracts,
    ):
        for number, text in enumerate(PAYLOADS):
            of = {"request_id": f"hostile{number}", "at": time.time()}
            columns = {
                name: text
                for name in Record.__struct_fields__
                if Record.__annotations__[name] is str and name not in of
            }
            rows.append([Record(**of, **columns | {"verdicts": f"{text}:{text}:0.5"}, decision="block")])
            recent.append([RecentText(**of, rules=text, text=text)])
            answer = {"choices": [{"message": {"role": "assistant", "content": text}}]}
            body = {"model": "gpt-4o", "messages": user(f"{text} {'x' * number}")}
            calls.append([KeptCall(**of, model=text, request=encode(body), answer=encode(answer))])
            check = {"version": "v", "score": 0.9, "zone": "ask", "chance": 1.0, "label": text, "result": "differs"}
            contracts.put(state, CheckRow(**of, **check))


@contextmanager
def opened(folder: Path, file: str = "config/gateway.yaml", **environment: str) -> Iterator[str]:
    """The link that a console prints."""
    command = [sys.executable, "-m", "gateway", "console", file, "--port", str(free_port())]
    settings = {"cwd": folder, "env": {**clean_environment(), **environment}}
    with subprocess.Popen(command, **settings, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield next(match[1] for line in process.stderr if (match := re.search(r"console (http\S+)", line)))
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def console(folder: Path, gateway: Running) -> Iterator[str]:
    with opened(folder) as link:
        yield link


@pytest.fixture(scope="module")
def chromium(required: Required) -> Iterator[Any]:
    mend = "make extras; apt-get install -y --no-install-recommends chromium"
    program = required.program("chromium", mend)
    with required.module("playwright.sync_api", mend).sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Person:
    """Somebody in front of a browser. faults: what the browser complained of."""

    def __init__(self, chromium: Any, link: str, **settings: Any) -> None:
        self.context = chromium.new_context(**settings)
        self.page = self.context.new_page()
        self.base, self.faults = link.partition("/login")[0], list[str]()
        self.page.on("console", lambda one: self.faults.append(one.text) if one.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(link)

    def open(self, path: str) -> Any:
        assert self.page.goto(self.base + path).ok, path
        return self.page


def test_ten_minutes(chromium: Any, console: str, folder: Path) -> None:
    person = Person(chromium, console)
    page = person.page
    assert "key" not in page.url
    # what happened
    page.select_option("select[name=decision]", "answer")
    page.click("text=Show")
    page.click("#rows tbody tr:last-child a")
    assert "greeting" in page.inner_text("main")
    assert "Hello there!" in page.inner_text("main pre")
    # why, and what would happen
    page.click("text=Try this text alone")
    assert "answer by rule intents, label greeting" in page.inner_text("main")
    assert '"finish_reason":"stop"' in page.inner_text("main")
    # correct it, without a mouse
    person.open("/review")
    waiting = int(page.inner_text("#item").split()[0])
    shown = page.inner_text("#item pre")
    page.keyboard.press("n")
    page.wait_for_function("text => document.querySelector('#item pre')?.innerText !== text", arg=shown)
    page.keyboard.press("u")
    page.wait_for_function("text => document.querySelector('#item pre')?.innerText === text", arg=shown)
    page.keyboard.press("1")
    page.wait_for_function("text => document.querySelector('#item pre')?.innerText !== text", arg=shown)
    [rows] = (folder / "config" / "policies").glob("*.reviewed.jsonl")
    [row] = rows.read_text().splitlines()
    assert json.loads(row)["text"] == shown
    assert page.inner_text("#item").startswith(f"{waiting - 1} left")
    # what it saved
    person.open("/today")
    assert "Answered here" in page.inner_text("main")
    page.get_by_role("link", name="rule", exact=True).click()
    page.get_by_role("link", name="intents", exact=True).click()
    assert page.locator("#rows tbody tr").count() == 2
    # the correction is learned
    name = rows.name.removesuffix(".reviewed.jsonl")
    before = {file.name for file in (folder / "models" / name).iterdir()}
    person.open("/train")
    page.click(f"text=Train {name}")
    page.wait_for_selector(f"h2:text('{name}: done')", timeout=90_000)
    assert {file.name for file in (folder / "models" / name).iterdir()} > before
    assert re.search(r"Of 1 reviewed texts . were right before and . are now; still wrong", page.inner_text("#run"))
    page.click(f"text=Train {name}")
    page.click("text=Cancel")
    page.wait_for_selector(f"h2:text('{name}: ended with')", timeout=20_000)
    assert person.faults == []


def test_a_version_and_a_threshold_by_keys_alone(chromium: Any, console: str, folder: Path) -> None:
    person = Person(chromium, console)
    page = person.open("/classifiers")
    page.get_by_role("link", name="Report").first.press("Enter")
    assert page.frame_locator("iframe").locator("h1").inner_text() in page.inner_text("#report")
    back = page.get_by_role("button", name=re.compile("Roll .* back"))
    name = back.inner_text().split()[1]
    current = folder / "models" / name / "current"
    used = current.read_text()
    back.press("Enter")
    page.wait_for_url("**/classifiers")
    assert current.read_text() != used
    page = person.open("/classifiers/shop-intents/greeting?threshold=0.6")
    page.get_by_label("Threshold").press("ArrowLeft")
    page.wait_for_selector("h2:text('At 0.590')")
    assert "goal: {max_error:" in page.inner_text("pre")
    assert person.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_pages_are_for_everybody(chromium: Any, console: str, required: Required, scheme: str, width: int) -> None:
    axe = required.module("axe_playwright_python.sync_playwright", "make extras").Axe()
    person = Person(chromium, console, color_scheme=scheme, viewport={"width": width, "height": 800})
    for path in PAGES:
        found = axe.run(person.open(path)).response["violations"]
        assert [(path, one["id"]) for one in found if one["impact"] in ("serious", "critical")] == []
        assert person.page.evaluate("document.documentElement.scrollWidth") <= width, path
    assert person.faults == []


def test_pages_work_without_javascript(chromium: Any, console: str) -> None:
    person = Person(chromium, console, java_script_enabled=False)
    page = person.open("/review")
    before = page.inner_text("#item pre")
    page.click("text=s skip")
    assert page.inner_text("#item pre") != before
    page = person.open("/try")
    page.fill("#text", "hello")
    page.click("button.main")
    assert "label greeting" in page.inner_text("main")
    page = person.open("/rules")
    for name in ("Pause s", "Resume s", "Pause s"):
        page.get_by_role("button", name=name, exact=True).press("Enter")
    assert "Paused" in page.inner_text("main")
    person.open("/discover").get_by_role("button", name="Look for groups").press("Enter")
    while (again := page.get_by_role("link", name="Look again")).count():
        again.press("Enter")
    assert "calls, at 2%" in page.inner_text("#run")
    for path in PAGES:
        assert person.open(path).inner_text("h1")


def test_hostile_text_is_shown_and_never_run(chromium: Any, console: str) -> None:
    person = Person(chromium, console)
    page, waits = person.page, 0

    def harmless(path: str) -> None:
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate("window.ran") is None, path
        assert page.evaluate("document.querySelectorAll('main :is(iframe, img, script, object, base)').length") == 0
        assert page.evaluate(ELSEWHERE) == 0, path

    calls = [f"/calls/{number}" for number in range(5, 5 + 2 * len(PAYLOADS))]
    for path in ("/", *(f"/today?by={way}" for way in WAYS), *calls, "/train", "/rules", "/discover"):
        person.open(path)
        harmless(path)
    person.open("/review?rule=intents")
    while page.locator("#item pre").count():
        harmless("/review")
        waits, item = waits + 1, page.input_value("#decide [name=id]")
        page.keyboard.press("s")
        page.wait_for_function("id => document.querySelector('#decide [name=id]')?.value !== id", arg=item)
    assert waits >= len(PAYLOADS)
    person.open("/try")
    for payload in PAYLOADS:
        page.fill("#text", payload)
        page.fill("#system", payload)
        page.click("button.main")
        harmless("/try")
        assert page.input_value("#text") == payload
    assert person.faults == []


def test_secrets_and_texts_that_are_not_kept_are_in_no_byte(tmp_path: Path) -> None:
    keys = {name: f"canary{name.lower()}" for name in ("PROVIDER", "CLIENT", "CONSOLE")}
    (tmp_path / "gateway.yaml").write_text(table_text("given/console-secretive.yaml"))
    running = start(tmp_path / "gateway.yaml", **keys)
    body = {"messages": [{"role": "system", "content": "canary1"}, *user("canary2")], "user": "canary3"}
    for model in ("echo", "paid"):
        sent = json.dumps({"model": model, **body, "metadata": {"a": "canary4"}}).encode()
        headers = {"authorization": f"Bearer {keys['CLIENT']}", "x_other": "canary5", "cookie": "canary6=1"}
        running.post("/v1/chat/completions", sent, content_type="application/json", **headers)
    running.stop()
    with opened(tmp_path, "gateway.yaml", **keys) as address:
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        base = address.rstrip("/")
        seen, found = [f"/login?key={keys['CONSOLE']}", "/calls/1", "/calls/2"], []
        for path in seen:
            with browser.open(base + path) as answer:
                text = f"{answer.headers}{answer.read().decode()}"
            seen += {html.unescape(link) for link in re.findall(r'(?:href|action|src)="(/[^"]*)"', text)} - {*seen}
            found += [path] if "canary" in text else []
    assert len(seen) > 12
    assert found == []


def test_other_origins_and_names_reach_nothing(chromium: Any, console: str, gateway: Running) -> None:
    person = Person(chromium, console)
    evil = person.context.new_page()
    evil.goto(f"{gateway.url}/health")
    for path in ("/review", "/try", "/login", "/calls/1", "/classifiers", "/train", "/rules", "/discover"):
        evil.set_content(f"<form method=post action='{person.base}{path}'><button>go</button></form>")
        with evil.expect_response(lambda answer: answer.request.method == "POST") as got:
            evil.click("button")
        assert got.value.status == 403, path
        evil.goto(f"{gateway.url}/health")
    port = person.base.rpartition(":")[2]
    rebound = chromium.browser_type.launch(
        executable_path=shutil.which("chromium"),
        args=["--no-sandbox", "--host-resolver-rules=MAP evil.example 127.0.0.1"],
    )
    answer = rebound.new_page().goto(f"http://evil.example:{port}/")
    assert answer.status == 403
    rebound.close()
