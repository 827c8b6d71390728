"""Commands that only look leave a ledger as it is, whatever version made it."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from classifiers.policy import Policy
from classifiers.verdict import Verdict
from gateway.cli.dry_run import dry_run
from gateway.cli.main import app
from gateway.config.load import load_gateway
from gateway.contracts.contract import Contract, Terms
from gateway.contracts.safety_store import SafetyStore
from gateway.contracts.scope import Scope
from gateway.contracts.store import ContractStore, PairRow, StoredContract
from gateway.ledger.call_store import CallStore
from gateway.rules.compile import compile_rules
from gateway.serving.snapshot import Snapshot
from gateway.upstreams.base import Routes

GATEWAY = """\
version: 1
ledger: offramp.db
upstreams:
  demo: {kind: echo}
  paid: {kind: openai, base_url: "http://127.0.0.1:9/v1"}
models:
  m: demo
  judge: {upstream: paid, internal: true}
rules:
  - name: safety
    classifier: safe
    then: {"*": block}
    when_unsure: {ask: judge}
    contract: {max_missed: 5%, max_false_alarms: 5%}
  - name: hours
    classifier: bank
    contract: {max_disagreement: 5%}
    then: {"*": {answer: label}}
"""
LACKS = {
    "a column": ("ALTER TABLE contract_pairs DROP COLUMN novelty",),
    "tables": (
        "DROP VIEW contract_withdrawals",
        *(f"DROP TABLE {name}" for name in ("contract_repeats", "contract_texts", "safety_pairs", "safety_contracts")),
    ),
    "all tables": ("DROP VIEW contract_withdrawals", "DROP TABLE contracts", "DROP TABLE contract_pairs"),
}
PAIR = PairRow(
    number=0, at=1.0, request_id="r", chosen=True, rate=1, attempt=0, threshold=None, confidence=1, label="a", result=""
)
STORED = StoredContract(
    scope=Scope(rule="hours", model="m", prompt="", labels=(), classifier="bank", version="v1", terms="t"),
    contract=Contract(terms=Terms(target=0.05, confidence=0.95)),
    at=1.0,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gateway's file and its ledger, with one pair."""
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    file = tmp_path / "offramp.db"
    with closing(ContractStore(file)) as store:
        store.put(replace(STORED, contract=replace(STORED.contract, pairs=1)), PAIR)
    for one in (SafetyStore(file), CallStore(file)):
        one.close()
    return tmp_path


def made(file: Path, *statements: str) -> list[tuple[str, ...]]:
    """Of what tables the file is made, after the statements."""
    with closing(sqlite3.connect(file)) as db, db:
        for statement in statements:
            db.execute(statement)
        return db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


@contextmanager
def unchanged(file: Path) -> Iterator[None]:
    """Also while an older gateway serves: it holds the file open, and writes by position."""
    before = made(file)
    with closing(sqlite3.connect(file)):
        yield
    assert made(file) == before


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("lacks", LACKS)
def test_check_and_show_leave_it_as_it_is(folder: Path, lacks: str) -> None:
    made(folder / "offramp.db", *LACKS[lacks])
    for name in ("safe", "bank"):
        trained = folder / "models" / name / "20260101-000000-00000000"
        trained.mkdir(parents=True)
        (trained / "manifest.json").write_text("{}")
    with unchanged(folder / "offramp.db"):
        told = json.loads(run("check", str(folder / "gateway.yaml"), "--json"))
        shown = json.loads(run("contract", "show", str(folder / "gateway.yaml"), "--json"))
    assert [one["rule"] for one in told["contracts"]] == ["hours", "safety", "safety"]
    assert not any("cannot be told" in note for note in told["notes"])
    assert [(one["rule"], one["pairs"]) for one in shown] == ([] if lacks == "all tables" else [("hours", 1)])


@pytest.mark.parametrize("lacks", [*LACKS, "everything"])
def test_explain_leaves_it_as_it_is(
    folder: Path, lacks: str, policies: dict[str, Policy], make_verdict: Callable[..., Verdict]
) -> None:
    file = folder / "offramp.db"
    if lacks == "everything":
        file.unlink()
    else:
        made(file, *LACKS[lacks])
    loaded = load_gateway(folder / "gateway.yaml", {})
    snapshot = Snapshot(rules=compile_rules(loaded.settings.rules, policies, loaded.replies))
    said = [("system", "Answer with greeting, rate or card."), ("user", "rate")]
    messages = [{"role": role, "content": text} for role, text in said]
    body = json.dumps({"model": "m", "messages": messages}).encode()
    verdicts = [make_verdict(classifier="safe"), make_verdict("rate", classifier="bank")]

    async def classify(*_: object) -> list[Verdict]:
        return [replace(verdict, windows_read=1) for verdict in verdicts]

    routes = Routes(loaded.settings.models)
    _, says = dry_run(file, routes, snapshot, classify, body)
    assert set(says) == {"safety", "hours"}
    if lacks == "everything":
        assert not file.exists()
    else:
        with unchanged(file):
            dry_run(file, routes, snapshot, classify, body)


def test_a_pause_brings_it_to_no_other_version(folder: Path) -> None:
    made(folder / "offramp.db", *LACKS["a column"], *LACKS["tables"])
    with unchanged(folder / "offramp.db"):
        run("contract", "pause", "hours", str(folder / "gateway.yaml"))
        run("contract", "pause", "safety", str(folder / "gateway.yaml"))
        run("contract", "resume", "hours", str(folder / "gateway.yaml"))
    with closing(ContractStore(folder / "offramp.db")) as store:
        assert store.paused() == {"safety"}
