"""`offramp contract show` over a stored contract."""

import json
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.contract.owner import Owner
from gateway.contract.scope import Scope
from gateway.contract.state import Terms
from gateway.contract.store import ContractStore
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


async def calls(folder: Path, result_of: Callable[[int], str], count: int) -> None:
    clock = iter(range(10**6))
    store = ContractStore(folder / "offramp.db")
    owner = Owner(store, draw=random.Random(0).random, clock=lambda: 1.7e9 + 60 * next(clock))
    scope = Scope(
        rule="hours", model="m", prompt="", labels=(), classifier="shop", version="v1", terms="t", sent_to="paid/large"
    )
    for number in range(count):
        flipped = owner.flip(scope, Terms(target=0.05, confidence=0.95), notice_s=7 * 86400)
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


async def test_without_a_certificate_there_is_no_drift(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    await calls(tmp_path, lambda _: "differs", 50)
    [contract] = json.loads(shown(tmp_path, "--json"))
    assert contract["drift"] is None
    assert "moved" not in shown(tmp_path)


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
