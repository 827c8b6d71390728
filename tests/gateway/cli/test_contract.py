"""`offramp contract show` over a stored contract."""

import json
import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.contracts.contract import Terms
from gateway.contracts.owner import Owner
from gateway.contracts.safety_contract import SafetyTerms
from gateway.contracts.safety_owner import SafetyOwner
from gateway.contracts.safety_store import SafetyStore
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore
from gateway.ledger.store import NoLedger

GATEWAY = """\
version: 1
ledger: offramp.db
upstreams:
  demo: {kind: echo}
rules:
  - name: hours
    classifier: shop
    contract: {max_disagreement: 5%}
    then: {"*": {answer: label}}
"""


SCOPE = Scope(
    rule="hours", model="m", prompt="", labels=(), classifier="shop", version="v1", terms="t", sent_to="paid/large"
)


async def calls(folder: Path, result_of: Callable[[int], str], count: int, *, of: Scope = SCOPE) -> None:
    clock = iter(range(10**6))
    store = ContractStore(folder / "offramp.db")
    owner = Owner(store, draw=random.Random(0).random, clock=lambda: 1.7e9 + 60 * next(clock))
    for number in range(count):
        flipped = owner.flip(of, Terms(target=0.05, confidence=0.95), notice_s=7 * 86400)
        if not flipped.answers(0.9):
            result = result_of(number)
            await owner.learn(flipped, request_id="r", label="a", confidence=0.9, result=result, novelty=0.1)
    owner.close()


def shown(folder: Path, *flags: str) -> str:
    done = CliRunner().invoke(app, ["contract", "show", str(folder / "gateway.yaml"), *flags], env={"COLUMNS": "160"})
    assert done.exit_code == 0
    return done.stdout


async def test_drift_is_shown_against_the_certified_period(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    await calls(tmp_path, lambda number: "agrees" if number < 900 else "differs", 1500)
    [contract] = json.loads(shown(tmp_path, "--json"))
    drift = contract["drift"]
    assert contract["phase"] == "demoted"
    assert drift["certified"]["disagree"]["share"] == 0
    assert drift["latest"][0]["disagree"]["share"] > drift["latest"][1]["disagree"]["share"] > 0
    assert drift["moved"] == [one for one in drift["moved"] if one.startswith("disagree")] != []
    text = shown(tmp_path)
    assert "moved since the certificate: disagree" in text
    assert f"hours for m (paid/large, {contract['key'][:6]}, last pair" in text
    assert "hours: moved since it was certified: disagree 0.0% → " in text
    assert "│ certified " in text
    assert "█" in text


async def test_a_models_name_that_a_client_wrote_moves_no_cursor(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    await calls(tmp_path, lambda _: "agrees", 1, of=replace(SCOPE, model="m\n\x1b[2J", sent_to="demo/m\n\x1b[2J"))
    said = shown(tmp_path)
    assert "\x1b" not in said
    assert r"hours for m\n\x1b[2J (demo/m\n\x1b[2J, " in said
    [contract] = json.loads(shown(tmp_path, "--json"))
    assert contract["model"] == "m\n\x1b[2J"


JUDGED = """\
  - name: safety
    classifier: safe
    then: {"*": block}
    when_unsure: {ask: m}
    contract: {max_missed: 5%, max_false_alarms: 5%}
"""


@pytest.mark.parametrize(
    ("models", "reached"),
    [
        ("{m: {upstream: paid, model: large}}", True),
        ("{m: {upstream: paid, model: large, fallbacks: [demo/m]}}", True),
        ("{m: {upstream: paid, model: small}}", False),
        ("{m: {upstream: other, model: large}}", False),
    ],
)
async def test_what_no_call_belongs_to_any_more_is_marked(tmp_path: Path, models: str, *, reached: bool) -> None:
    paid = '  paid: {kind: openai, base_url: "http://127.0.0.1:9/v1"}\n'
    upstreams = paid + paid.replace("paid", "other")
    text = GATEWAY.replace("rules:", f"{upstreams}models: {models}\nrules:") + JUDGED
    (tmp_path / "gateway.yaml").write_text(text)
    await calls(tmp_path, lambda _: "agrees", 900)
    terms = SafetyTerms(missed=0.05, wrongly=0.05, confidence=0.95)
    with closing(SafetyOwner(SafetyStore(tmp_path / "offramp.db"))) as owner:
        placed = owner.place(replace(SCOPE, rule="safety", classifier="safe"), terms, 0.5)
        await owner.learn(placed, request_id="r", unsafe=False)
    contract, judged = json.loads(shown(tmp_path, "--json"))
    assert (contract["phase"], contract["reached"], judged["reached"]) == ("live", reached, reached)
    said = shown(tmp_path)
    assert ("live (past)" in said, "shadow (past)" in said) == (not reached, not reached)
    assert said.count("; no call belongs to it any more, for m is sent elsewhere now\n") == (0 if reached else 3)


def test_a_rule_is_paused_and_resumed_as_data(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    for command, paused in (("pause", True), ("resume", False)):
        done = CliRunner().invoke(app, ["contract", command, "hours", str(tmp_path / "gateway.yaml"), "--json"])
        assert json.loads(done.stdout) == {"rule": "hours", "paused": paused}
        with closing(ContractStore(tmp_path / "offramp.db")) as store:
            assert store.paused() == ({"hours"} if paused else set())


def test_where_there_is_no_ledger_none_is_made(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    done = CliRunner().invoke(app, ["contract", "show", str(tmp_path / "gateway.yaml")])
    assert isinstance(done.exception, NoLedger)
    assert not (tmp_path / "offramp.db").exists()
