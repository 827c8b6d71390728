"""Contracts at the command line: where they stand, what `check` expects of them, and ledgers of other versions."""

import asyncio
import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from classifiers.policy import Policy
from classifiers.verdict import Verdict
from gateway.cli.forecast import ForecastLine, outlooks
from gateway.config.load import load_gateway
from gateway.contracts.contract import Contract
from gateway.contracts.owner import DrawnCall, Outcome, Owner
from gateway.contracts.scope import Scope
from gateway.contracts.store import CheckRow, ContractStore, StoredContract
from gateway.explain import Explainer
from gateway.ledger.call_store import CallStore
from gateway.ledger.store import NoLedger
from gateway.rules.compile import compile_rules
from gateway.rules.rule import SafetyTerms, Terms
from gateway.serving.snapshot import Snapshot
from tests.given import table_text

UPSTREAMS = table_text("given/gateway-cli-contract-upstreams.yaml")
HOURS = """\
  - name: hours
    classifier: bank
    when: {any_system: true}
    contract: {max_disagreement: 10%}
    then: {"*": {answer: label}}
"""
SAFETY = """\
  - name: safety
    classifier: safe
    then: {"*": block}
    when_unsure: {ask: judge}
    contract: {max_missed: 20%, max_false_alarms: 20%}
"""
VERSION = "20260101-000000-00000000"
TERMS = Terms(target=0.1, confidence=0.95)
SAFETY_TERMS = SafetyTerms(missed=0.2, wrongly=0.2, confidence=0.95)
SCOPE = Scope(
    rule="hours",
    model="m",
    prompt="",
    classifier="bank",
    terms=TERMS.text,
    sent_to="demo/m",
    shown="Answer with one of: open, closed",
)
JUDGED = structs.replace(
    SCOPE, rule="safety", model="judge", classifier="safe", terms=SAFETY_TERMS.text, sent_to="paid/judge", shown=""
)

Shown = Callable[..., list[dict[str, Any]]]


def write(folder: Path, rules: str, model: str = "demo") -> Path:
    file = folder / "gateway.yaml"
    file.write_text(UPSTREAMS.replace("MODEL", model) + rules)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gateway's file, and the versions in use of its classifiers."""
    write(tmp_path, HOURS + SAFETY)
    for name in ("safe", "bank"):
        version = tmp_path / "models" / name / VERSION
        version.mkdir(parents=True)
        (version / "manifest.json").write_text("{}")
        (version.parent / "current").write_text(VERSION)
    return tmp_path


@pytest.fixture
def show(folder: Path, offramp: Callable[..., Any]) -> Callable[..., str]:
    """show(*flags): what `contract show` prints."""

    def run(*flags: str) -> str:
        done = offramp("contract", "show", folder / "gateway.yaml", *flags)
        assert done.exit_code == 0
        return done.stdout

    return run


async def calls(folder: Path, count: int, *, hours: float = 1, scope: Scope = SCOPE, agree: int = 10**6) -> None:
    """Calls of the last hours. agree: the number of the first that the model answers otherwise."""
    now = [time.time() - hours * 3600]
    owner = Owner(ContractStore(folder / "offramp.db"), draw=random.Random(0).random, clock=lambda: now[0])
    for number in range(count):
        coin = await owner.draw(DrawnCall(scope=scope, terms=TERMS, version=VERSION, score=0.9, text=number + 1))
        if coin.decides:
            owner.answered(coin)
        else:
            result = "agrees" if number < agree else "differs"
            await owner.learn(coin, Outcome(request_id="r", label="a", result=result))
        now[0] += hours * 3600 / count
    owner.close()


async def judged(folder: Path, count: int, *, hours: float, scope: Scope = JUDGED) -> None:
    """Calls of the last hours, every other one unsafe, of which the scores tell all."""
    now = [time.time() - hours * 3600]
    owner = Owner(ContractStore(folder / "offramp.db"), draw=random.Random(0).random, clock=lambda: now[0])
    for number in range(count):
        score = (0.1, 0.9)[number % 2]
        coin = await owner.draw(DrawnCall(scope=scope, terms=SAFETY_TERMS, version=VERSION, score=score))
        if not coin.decides:
            await owner.learn(coin, Outcome(request_id="r", result=("safe", "unsafe")[number % 2]))
        now[0] += hours * 3600 / count
    owner.close()


def expected(folder: Path, rules: str) -> list[ForecastLine]:
    return outlooks(load_gateway(write(folder, rules), {}))


async def test_a_contract_is_shown_with_its_prompt_and_its_bounds(folder: Path, show: Callable[..., str]) -> None:
    await calls(folder, 700, agree=695)
    await judged(folder, 400, hours=1)
    contract, safety = json.loads(show("--json"))
    [bound] = contract["bounds"]
    assert (bound["phase"], bound["threshold"], bound["alarms"]) == ("live", 0.9, 0)
    assert bound["checks"] + bound["decided"] == 680
    assert (contract["prompt"], contract["terms"]) == (SCOPE.shown, "0.1 at 0.95")
    assert [one["target"] for one in contract["other_targets"]] == [0.02, 0.05, 0.1]
    assert contract["other_targets"][2]["share"] == pytest.approx(1)
    assert [(one["name"], one["phase"]) for one in safety["bounds"]] == [("missed", "live"), ("flagged", "live")]
    lives = {move["reason"].partition(":")[0]: move["time"] for move in safety["moves"]}
    assert [one["since"] for one in safety["bounds"]] == [lives["missed"], lives["flagged"]]
    assert lives["missed"] != lives["flagged"]
    text = show()
    assert f"prompt {SCOPE.shown}, {contract['key'][:6]}, last call" in text
    assert "at 2 / 5 / 10 % it would answer " in text
    assert f"decided here since {bound['since'][:10]}: {bound['decided']:,} calls; " in text


async def test_the_words_for_the_answers_alone_count_the_calls_that_a_check_stands_for(
    folder: Path, show: Callable[..., str]
) -> None:
    await calls(folder, 260)
    with closing(ContractStore(folder / "offramp.db")) as store:
        [stored] = store.contracts()
        side = stored.contract.sides[0]
        account = side.account.see(wrong=True, nominal=0.02, chance=0.02)
        contract = structs.replace(stored.contract, sides=(structs.replace(side, account=account),))
        store.put(StoredContract(scope=stored.scope, contract=contract, at=stored.at))
    assert "1 differed, which stand for 50 calls; " in show()
    assert "% differ, at most " in show()


async def test_a_models_name_that_a_client_wrote_moves_no_cursor(folder: Path, show: Callable[..., str]) -> None:
    await calls(folder, 1, scope=structs.replace(SCOPE, model="m\n\x1b[2J", sent_to="demo/m\n\x1b[2J"))
    assert "\x1b" not in show()
    assert r"hours for m\n\x1b[2J (demo/m\n\x1b[2J, prompt " in show()
    [contract] = json.loads(show("--json"))
    assert contract["model"] == "m\n\x1b[2J"


@pytest.mark.parametrize(("model", "reached"), [("{upstream: demo, fallbacks: [paid/m]}", True), ("paid", False)])
async def test_a_contract_that_no_call_belongs_to_any_more_is_marked(
    folder: Path, show: Callable[..., str], model: str, *, reached: bool
) -> None:
    write(folder, HOURS + SAFETY, model)
    await calls(folder, 1)
    await judged(folder, 1, hours=1, scope=structs.replace(JUDGED, model="m", sent_to="demo/m"))
    contract, safety = json.loads(show("--json"))
    assert (contract["reached"], safety["reached"]) == (reached, reached)
    assert ("shadow (past)" in show()) == (not reached)
    assert show().count("  no call belongs to it any more, for m is sent elsewhere now\n") == (0 if reached else 2)


def test_a_rule_is_paused_and_resumed_as_data(folder: Path, offramp: Callable[..., Any]) -> None:
    for command, paused in (("pause", True), ("resume", False)):
        done = offramp("contract", command, "hours", folder / "gateway.yaml", "--json")
        assert json.loads(done.stdout) == {"rule": "hours", "paused": paused}
        with closing(ContractStore(folder / "offramp.db")) as store:
            assert store.paused() == ({"hours"} if paused else set())


def test_no_ledger_is_made_to_be_shown(folder: Path, offramp: Callable[..., Any]) -> None:
    done = offramp("contract", "show", folder / "gateway.yaml")
    assert isinstance(done.exception, NoLedger)
    assert not (folder / "offramp.db").exists()


def test_check_says_what_going_live_takes_before_the_first_call(folder: Path) -> None:
    [contract] = expected(folder, HOURS)
    assert "if 0 % differ" in contract.line
    assert [one["rate"] for one in contract.data["live"]] == [0, 0.025, 0.05]
    assert contract.data["phase"] is None
    assert not (folder / "offramp.db").exists()


async def test_check_tells_days_from_calls_of_a_day_or_more(folder: Path) -> None:
    await calls(folder, 60, hours=48)
    [contract] = expected(folder, HOURS)
    assert contract.data["calls_a_day"] == pytest.approx(30, rel=0.2)
    assert "days" in contract.line
    [wait] = contract.data["live"]
    # the first of the 60 only said where to begin
    assert 0 < wait["calls"] < 60
    (folder / "offramp.db").unlink()
    await calls(folder, 60, hours=3)
    [contract] = expected(folder, HOURS)
    assert "under a day of calls" in contract.line
    assert "days" not in contract.line


async def test_check_tells_of_both_bounds_of_a_safety_contract(folder: Path) -> None:
    await judged(folder, 300, hours=72)
    missed, flagged = expected(folder, SAFETY)
    for one in (missed, flagged):
        assert "live, about " in one.line
        assert "goes live" not in one.line
    # audited calls count for those that were not audited
    assert missed.data["calls_a_day"] == pytest.approx(100, rel=0.3)


@pytest.mark.parametrize("other", [{"terms": "0.3 at 0.9"}, {"sent_to": "paid/n"}, {"sent_to": ""}])
async def test_calls_under_other_terms_or_of_another_upstream_are_not_counted(
    folder: Path, other: dict[str, str]
) -> None:
    await calls(folder, 10, hours=48, scope=structs.replace(SCOPE, **other))
    await judged(folder, 10, hours=48, scope=structs.replace(JUDGED, **other))
    lines = expected(folder, HOURS + SAFETY)
    assert [one.data["phase"] for one in lines] == [None] * 3
    assert all("no call under its contract yet" in one.line for one in lines)


def test_a_ledger_that_cannot_be_read_is_a_note(folder: Path, offramp: Callable[..., Any]) -> None:
    write(folder, HOURS)
    (folder / "offramp.db").write_bytes(b"no database, whatever it may be called" * 100)
    done = json.loads(offramp("check", folder / "gateway.yaml", "--json").stdout)
    assert (done["problems"], done["contracts"]) == ([], [])
    assert any("cannot be told" in note for note in done["notes"])


CHECK = CheckRow(at=1.0, request_id="r", version=VERSION, score=0.9, zone="ask", chance=1.0, label="a", result="agrees")


@pytest.fixture
def filled(folder: Path) -> Path:
    """A ledger with one checked call."""
    file = folder / "offramp.db"
    with closing(ContractStore(file)) as store:
        store.put(StoredContract(scope=SCOPE, contract=Contract.new(TERMS), at=1.0), CHECK)
    CallStore(file).close()
    return file


def tables_after(file: Path, *statements: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(file)) as db, db:
        for statement in statements:
            db.execute(statement)
        return db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


@contextmanager
def unchanged(file: Path) -> Iterator[None]:
    """Also while a gateway serves: it holds the file open."""
    before = tables_after(file)
    with closing(sqlite3.connect(file)):
        yield
    assert tables_after(file) == before


@pytest.mark.parametrize("empty", [False, True])
def test_commands_that_look_leave_a_ledger_as_it_is(
    filled: Path,
    policies: dict[str, Policy],
    make_verdict: Callable[..., Verdict],
    offramp: Callable[..., Any],
    *,
    empty: bool,
) -> None:
    if empty:
        tables_after(filled, "DROP VIEW contract_alarms", "DROP TABLE contract_accounts", "DROP TABLE contract_checks")
    file = filled.with_name("gateway.yaml")
    with unchanged(filled):
        checked = json.loads(offramp("check", file, "--json").stdout)
        shown = json.loads(offramp("contract", "show", file, "--json").stdout)
        assert set(explained(file, policies, make_verdict)) == {"safety", "hours"}
    assert [one["rule"] for one in checked["contracts"]] == ["hours", "safety", "safety"]
    assert not any("cannot be told" in note for note in checked["notes"])
    assert [(one["rule"], one["results"]) for one in shown] == ([] if empty else [("hours", {"ask: agrees": 1})])


def test_explain_makes_no_ledger(
    folder: Path, policies: dict[str, Policy], make_verdict: Callable[..., Verdict]
) -> None:
    assert set(explained(folder / "gateway.yaml", policies, make_verdict)) == {"safety", "hours"}
    assert not (folder / "offramp.db").exists()


def explained(file: Path, policies: dict[str, Policy], make_verdict: Callable[..., Verdict]) -> Any:
    loaded = load_gateway(file, {})
    snapshot = Snapshot(rules=compile_rules(loaded.settings.rules, policies, loaded.replies))
    written = [("system", "Answer with greeting, rate or card."), ("user", "rate")]
    messages = [{"role": role, "content": text} for role, text in written]

    async def classify(*_: object) -> list[Verdict]:
        verdicts = [make_verdict("rate", classifier="bank"), make_verdict(classifier="safe")]
        return [replace(verdict, windows_read=1) for verdict in verdicts]

    body = json.dumps({"model": "m", "messages": messages}).encode()
    return asyncio.run(Explainer(loaded, snapshot, classify).plan(body))[1]
