"""The console in a real browser: ten minutes of a person after `make demo`, and what hostile text may not do."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Required
from tests.e2e.conftest import Running, clean_environment, free_port, start, user

PAGES = ("/", "/calls/1", "/today", "/today?period=30d&by=rule", "/try", "/review", "/train", "/classifiers")
PAYLOADS = [
    "<script>window.ran=1</script>",
    "\"><img src=x onerror='window.ran=1'>",
    "' autofocus onfocus='window.ran=1",
    "</textarea><svg onload=window.ran=1>",
    "</pre><iframe srcdoc='<script>parent.ran=1</script>'>",
    "javascript:window.ran=1",
    "{{ 7*191 }}",
    "<a href='//evil.example'>x</a>",
    "\u202e\u200b<hx-partial hx-get='//evil.example'>",
]


@pytest.fixture(scope="module")
def folder(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A starter of its own that keeps what a person may see."""
    made = Path(shutil.copytree(workspace, tmp_path_factory.mktemp("console") / "made", symlinks=True))
    file = made / "config" / "gateway.yaml"
    kept = "content: {recent: 1h, blocked: 1d, unsure: 1d}"
    file.write_text(re.sub(r"(?m)^content:\n(  .*\n)+", f"{kept}\n", file.read_text()))
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
        for model in ("gpt-4o", text):
            body = json.dumps({"model": model, "messages": user(text)}).encode()
            running.post("/v1/chat/completions", body, content_type="application/json")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def console(folder: Path, gateway: Running) -> Iterator[str]:
    """The link that the console prints."""
    command = [sys.executable, "-m", "gateway", "console", "config/gateway.yaml", "--port", str(free_port())]
    with subprocess.Popen(command, cwd=folder, env=clean_environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        yield next(match[1] for line in process.stderr if (match := re.search(r"console (http\S+)", line)))
        process.terminate()


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
        self.page.goto(self.base + path)
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
    page.click("text=Try it again")
    assert "answer by rule intents, label greeting" in page.inner_text("main")
    assert '"finish_reason":"stop"' in page.inner_text("main")
    # correct it, without a mouse
    person.open("/review")
    waiting = int(page.inner_text("#item").split()[0])
    shown = page.inner_text("#item pre")
    page.keyboard.press("1")
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
    page.click(f"text=Train {name}")
    page.click("text=Cancel")
    page.wait_for_selector(f"h2:text('{name}: ended with')", timeout=20_000)
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
    for path in PAGES:
        assert person.open(path).inner_text("h1")


def test_hostile_text_is_shown_and_never_run(chromium: Any, console: str) -> None:
    person = Person(chromium, console)
    for path in ("/", "/today?by=model", "/today?by=rule", "/review", *(f"/calls/{number}" for number in range(9, 27))):
        page = person.open(path)
        page.wait_for_timeout(50)
        assert page.evaluate("window.ran") is None, path
        assert page.evaluate("document.querySelectorAll('iframe, main img, main script, a[href*=evil]').length") == 0
    page = person.open("/try")
    for payload in PAYLOADS:
        page.fill("#text", payload)
        page.fill("#system", payload)
        page.click("button.main")
        assert page.evaluate("window.ran") is None
        assert page.input_value("#text") == payload.replace("\n", "")
    assert person.faults == []


def test_other_origins_and_names_reach_nothing(chromium: Any, console: str, gateway: Running) -> None:
    person = Person(chromium, console)
    evil = person.context.new_page()
    evil.goto(f"{gateway.url}/health")
    for path in ("/review", "/try", "/login", "/calls/1"):
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
