"""A contract for real: a gateway process, a paid model's server, kill -9, and the command line beside it."""

import itertools
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from benchmarks.stream.paid import Paid
from tests.given import table_text

from .conftest import until, user

GATEWAY = table_text("given/e2e-contract-gateway.yaml")
REPEATS = "from gateway.contracts import audit; audit.ASK_AGAIN = {}"
SYSTEM = "Name the intent: greeting, opening_hours or other. Answer with the intent only."
TEXTS = ("Hello there!", "What time do you open on Saturday?", "hi", "Are you open on Sundays?", "Good morning")


_SPACES = ("".join(each) for each in itertools.product(" \t\n", repeat=7))
"""To be added to texts: one that comes again within the hour is not checked."""
AFTER = ("shadow", "alarm")
"""Where a contract that is withdrawn comes to: by its account, or by its watch."""


def intent(text: str) -> str:
    return "opening_hours" if "open" in text else "greeting"


@pytest.fixture
def paid() -> Iterator[Paid]:
    server = Paid(intent)
    yield server
    server.close()


def decisions(url: str, count: int) -> list[str]:
    """Of calls with a text each."""
    with OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        found = []
        for number in range(count):
            messages = user(TEXTS[number % len(TEXTS)] + next(_SPACES), SYSTEM)
            raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=messages)
            assert raw.parse().choices[0].message.content in ("greeting", "opening_hours", "other")
            found.append(raw.headers["x-offramp-decision"])
        return found


def stored_calls(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "offramp.db")) as db:
        return int(db.execute("SELECT count(*) FROM contract_checks").fetchone()[0])


def test_live_killed_paused_and_withdrawn(
    start_gateway: Callable[..., Any], run_offramp: Callable[..., Any], workspace: Path, paid: Paid
) -> None:
    text = GATEWAY.format(models=workspace / "models", paid=paid.url)
    gateway = start_gateway(text, patch=REPEATS.format(0.0))
    file = gateway.folder / "gateway.yaml"
    seen = decisions(gateway.url, 400)
    assert seen[0] == "forward"
    assert seen[-40:].count("answer") > 10
    assert paid.calls == seen.count("forward") == stored_calls(gateway.folder)
    assert gateway.metric('offramp_contracts{phase="live",rule="intents"}') == 1

    gateway.process.kill()
    gateway.process.wait(10)
    gateway = start_gateway(file, patch=REPEATS.format(0.0))
    assert decisions(gateway.url, 40).count("answer") > 10
    [shown] = json.loads(run_offramp("contract", "show", str(file), "--json", cwd=gateway.folder).stdout)
    [bound] = shown["bounds"]
    assert (shown["rule"], bound["phase"], bound["alarms"]) == ("intents", "live", 0)
    assert shown["moves"][0]["phase"] == "live"
    # a kill counts a check as wrong that may have been under way
    assert bound["wrong"] <= 1
    assert shown["calls"] == stored_calls(gateway.folder) == paid.calls

    assert run_offramp("contract", "pause", "intents", str(file), cwd=gateway.folder).returncode == 0
    until(lambda: decisions(gateway.url, 8) == ["forward"] * 8)
    assert run_offramp("contract", "resume", "intents", str(file), cwd=gateway.folder).returncode == 0
    until(lambda: "answer" in decisions(gateway.url, 8))

    request = json.dumps({"model": "gpt-4o", "messages": user(TEXTS[0], SYSTEM)})
    explained = json.loads(run_offramp("explain", request, "--gateway", str(file), "--json", cwd=gateway.folder).stdout)
    assert explained["decision"] == "answer"
    assert ", live from " in explained["contracts"]["intents"]
    assert "is answered here, but for audits" in explained["contracts"]["intents"]
    paid.say = lambda text: "other"
    decisions(gateway.url, 300)
    assert decisions(gateway.url, 20) == ["forward"] * 20
    moved = [gateway.metric(f'offramp_contract_moves_total{{phase="{phase}",rule="intents"}}') for phase in AFTER]
    assert sum(moved) >= 1
    assert "contract of rule intents for 'gpt-4o': " in gateway.log.read_text()


FORMS: dict[str, Callable[[str], str]] = {
    "as a Python list": "['{}']".format,
    "in UPPER CASE only": str.upper,
    "in angle brackets": "<{}>".format,
}


def test_the_client_gets_the_form_that_it_asks_for(
    start_gateway: Callable[..., Any], workspace: Path, paid: Paid
) -> None:
    """Each of these once got the bare label. More are in test_audit.py."""
    text = GATEWAY.replace("10%, confidence: 80%", "20%, confidence: 60%")
    gateway = start_gateway(text.format(models=workspace / "models", paid=paid.url), patch=REPEATS.format(0.0))
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        for form, written in FORMS.items():
            paid.say = lambda asked, written=written: written(intent(asked))
            seen = []
            for text in TEXTS * 60:
                asked = text + next(_SPACES)
                messages = user(asked, f"{SYSTEM} Give it {form}.")
                raw = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=messages)
                assert raw.parse().choices[0].message.content == written(intent(asked))
                seen.append(raw.headers["x-offramp-decision"])
            assert seen[:20] == ["forward"] * 20
            assert seen.count("answer") > 10


def test_a_second_gateway_on_the_same_contracts_does_not_start(
    start_gateway: Callable[..., Any], run_offramp: Callable[..., Any], workspace: Path, paid: Paid
) -> None:
    """Each would write its own state over the other's."""
    gateway = start_gateway(GATEWAY.format(models=workspace / "models", paid=paid.url))
    file = gateway.folder / "gateway.yaml"
    done = run_offramp("serve", str(file), "--port", "0", cwd=gateway.folder)
    assert done.returncode == 5
    assert "is another gateway serving with this ledger?" in done.stderr
    gateway.process.kill()
    gateway.process.wait(10)
    start_gateway(file)


def test_a_model_that_contradicts_itself_is_refused(
    start_gateway: Callable[..., Any], run_offramp: Callable[..., Any], workspace: Path, paid: Paid
) -> None:
    """One answer in twenty is another one, so about one repeat in ten differs from the call before it."""
    chance = random.Random(0)
    paid.say = lambda text: "other" if chance.random() < 0.053 else intent(text)
    text = GATEWAY.replace("10%, confidence: 80%", "0.5%")
    gateway = start_gateway(text.format(models=workspace / "models", paid=paid.url), patch=REPEATS.format(1.0))
    file = str(gateway.folder / "gateway.yaml")
    assert decisions(gateway.url, 250) == ["forward"] * 250
    assert gateway.metric('offramp_contracts_refused{rule="intents"}') == 1
    assert gateway.metric('offramp_contract_repeats_total{result="differs",rule="intents"}') >= 4
    [shown] = json.loads(run_offramp("contract", "show", file, "--json", cwd=gateway.folder).stdout)
    assert [bound["phase"] for bound in shown["bounds"]] == ["shadow"]
    assert 0.02 < shown["repeats"]["differ"] / shown["repeats"]["asked"] < 0.4
    assert shown["refused"].startswith("the model contradicts itself: asked again")
    gateway.stop()
    report = json.loads(run_offramp("report", file, "--json", cwd=gateway.folder).stdout)
    assert report["total"]["calls"] == 250
    assert report["total"]["repeat_calls"] == paid.calls - 250
