"""Texts kept for review, listed, decided on and made rows of."""

import json
import time
from contextlib import closing
from pathlib import Path

import pytest

from classifiers.training.clean import clean
from classifiers.training.data import read_rows
from gateway.config.load import load_policy
from gateway.ledger.call_store import KeptAs, KeptText, TextStore
from gateway.ledger.store import NoLedger, SQLiteLedger
from tests.given import table_text

from .conftest import Offramp

GATEWAY = """\
version: 1
ledger: offramp.db
upstreams: {echo: {kind: echo}}
content: {blocked: 30d, unsure: 30d}
"""
THREAT = "I will\n\x1b[31mhurt you"
POLICY = table_text("given/gateway-cli-review-policy.yaml")


def kept(
    text: str, *, rule: str = "safety", kept_as: KeptAs = "blocked", classifier: str = "safe", judged: str | None = None
) -> KeptText:
    now = time.time()
    return KeptText(
        request_id="req_1",
        at=now,
        latest=now,
        kept_as=kept_as,
        rule=rule,
        label="violence",
        confidence=0.83,
        classifier=classifier,
        version="v1",
        text=text,
        judged=judged,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A gateway's file whose ledger has three texts, one of them both blocked and in doubt."""
    file = tmp_path / "gateway.yaml"
    file.write_text(GATEWAY)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "safe.yaml").write_text(POLICY)
    ledger = tmp_path / "offramp.db"
    SQLiteLedger(ledger).close()
    with closing(TextStore(ledger)) as store:
        store.append([kept(THREAT), kept("kill the process")])
        store.append([kept("so what", kept_as="unsure"), kept("kill the process", kept_as="unsure", rule="other")])
    return file


def listed(offramp: Offramp, config: Path, *more: str) -> list[dict[str, object]]:
    done = offramp("blocked", config, "--json", *more)
    assert done.exit_code == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def test_blocked_lists_what_is_kept(offramp: Offramp, config: Path) -> None:
    rows = listed(offramp, config)
    assert [row["text"] for row in rows] == [THREAT, "kill the process"]
    assert {name: rows[0][name] for name in ("request_id", "rule", "label", "confidence", "version", "review")} == {
        "request_id": "req_1",
        "rule": "safety",
        "label": "violence",
        "confidence": 0.83,
        "version": "v1",
        "review": None,
    }
    assert [row["text"] for row in listed(offramp, config, "--unsure", "--rule", "safety")] == ["so what"]
    shown = offramp("blocked", config).stdout
    assert r"I will\n\x1b[31mhurt" in shown
    assert "   safety: violence 83.0%, 1 time\n  I will" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "none in this time" in offramp("blocked", config, "--since", "0s").stdout


def test_a_rule_that_nobody_knows_is_an_error(offramp: Offramp, config: Path) -> None:
    """One whose texts are kept is known though the gateway has it no longer, and one that has none yet, too."""
    for command in (("blocked",), ("review", "--from", config)):
        done = offramp(*command, config, "--rule", "savety")
        assert (done.exit_code, 'names a rule savety; did you mean "safety"?' in done.stderr) == (2, True)
    config.write_text(GATEWAY + "rules: [{name: new, classifier: safe, then: {violence: block}}]\n")
    assert listed(offramp, config, "--rule", "new") == []
    assert "(known: new, other, safety)" in offramp("blocked", config, "--rule", "zzz").stderr


def test_a_file_of_decisions_makes_rows_that_training_reads(offramp: Offramp, config: Path) -> None:
    """A text that was blocked by one rule and in doubt of another is decided on once. Nothing is shown twice."""
    ids = {row["text"]: row["id"] for row in (*listed(offramp, config), *listed(offramp, config, "--unsure"))}
    decisions = config.with_name("decisions")
    decisions.write_text(f"{ids[THREAT]} harmful\n\n{ids['kill the process']} harmless\n")
    done = offramp("review", config, "--from", decisions, "--json")
    file = config.parent / "policies" / "safe.reviewed.jsonl"
    assert json.loads(done.stdout) == {"harmful": 1, "harmless": 1, "left": 1, "rows": {str(file): 2}}
    rows = read_rows(load_policy(config.parent / "policies" / "safe.yaml", {}), [file])
    # what a guard picked is not measured on
    assert [(row.text, row.labels, row.probe) for row in rows] == [
        (THREAT, ("violence",), False),
        ("kill the process", (), False),
    ]
    again = json.loads(offramp("review", config, "--from", decisions, "--json").stdout)
    assert again == {"harmful": 0, "harmless": 0, "left": 1, "rows": {}}
    assert [row["review"] for row in listed(offramp, config)] == ["harmful", "harmless"]
    report = json.loads(offramp("report", config, "--json").stdout)
    assert report["reviews"] == [
        {"kept_as": "blocked", "rule": "safety", "kept": 2, "harmful": 1, "harmless": 1},
        {"kept_as": "unsure", "rule": "other", "kept": 1, "harmful": 0, "harmless": 1},
        {"kept_as": "unsure", "rule": "safety", "kept": 1, "harmful": 0, "harmless": 0},
    ]
    assert "2 texts kept, 2 reviewed, 1 of them wrongly blocked" in offramp("report", config).stdout


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{id} maybe", ":2: write `id LABEL` of its policy, `id none`, `id harmful` or `id harmless`"),
        ("nothing harmful", ":2: no text with the id nothing is kept"),
        ("{id} harmless", ":2: {id} was called otherwise before"),
    ],
)
def test_a_file_that_is_not_understood_decides_nothing(offramp: Offramp, config: Path, line: str, problem: str) -> None:
    name = str(listed(offramp, config)[0]["id"])
    decisions = config.with_name("decisions")
    decisions.write_text(f"{name} harmful\n{line.format(id=name)}\n")
    done = offramp("review", config, "--from", decisions)
    assert (done.exit_code, problem.format(id=name) in done.stderr) == (2, True)
    assert [row["review"] for row in listed(offramp, config)] == [None, None]


def test_without_decisions_or_with_rows_of_two_classifiers_it_says_what_to_do(offramp: Offramp, config: Path) -> None:
    done = offramp("review", config)
    assert (done.exit_code, "--judged" in done.stderr, "--from" in done.stderr) == (2, True, True)
    with closing(TextStore(config.with_name("offramp.db"))) as store:
        store.append([kept("out", rule="second", classifier="other")])
    done = offramp("review", config, "--from", config, "--rows", "rows.jsonl")
    assert (done.exit_code, "not of other, safe; name a --rule" in done.stderr) == (2, True)


def test_verdicts_of_judges_become_rows_until_somebody_reviews_the_text(offramp: Offramp, config: Path) -> None:
    file, policy = config.parent / "policies" / "safe.reviewed.jsonl", config.parent / "policies" / "safe.yaml"

    def judged(text: str, verdict: str | None, rule: str = "safety") -> KeptText:
        return kept(text, kept_as="unsure", rule=rule, judged=verdict)

    def made(*texts: KeptText, more: tuple[str, ...] = ()) -> dict[str, object]:
        with closing(TextStore(config.with_name("offramp.db"))) as store:
            store.append(texts)
        done = offramp("review", config, "--judged", "--json", *more)
        assert done.exit_code == 0, done.stderr
        value: dict[str, object] = json.loads(done.stdout)
        return value

    def rows() -> list[tuple[str, tuple[str, ...]]]:
        return [(row.text, row.labels) for row in read_rows(load_policy(policy, {}), [file])]

    assert made(judged("fine", "none", rule="other"), more=("--rule", "other"))["rows"] == {str(file): 1}
    # as an editor may leave it
    file.write_bytes(file.read_bytes().rstrip())
    first = made(judged("a blow", "gone|violence"), judged("so", "gone"))
    assert first == {"harmful": 2, "harmless": 1, "left": 3, "rows": {str(file): 1}}
    assert rows() == [("fine", ()), ("a blow", ("violence",))]
    assert [row["judged"] for row in listed(offramp, config, "--unsure")][-2:] == ["gone|violence", "gone"]
    assert "violence 83.0%, the judge: gone|violence, 1 time" in offramp("blocked", config, "--unsure").stdout
    # a verdict stays where a later question brings none; where two judges differ, a person is to decide
    again = made(judged("fine", None, rule="other"), judged("new", "none"), judged("new", "violence", rule="other"))
    assert again == {"harmful": 2, "harmless": 1, "left": 4, "rows": {}}
    ids = {row["text"]: row["id"] for row in listed(offramp, config, "--unsure")}
    decisions = config.with_name("decisions")
    decisions.write_text(f"{ids['fine']} hate\n{ids['so what']} harmless\n")
    assert offramp("review", config, "--from", decisions).exit_code == 0
    # training takes the reviewer's row, and no verdict comes after it
    reviewed = [("a blow", ("violence",)), ("fine", ("hate",)), ("so what", ())]
    policy_of = load_policy(policy, {})
    assert [row.labels for row in clean(policy_of, read_rows(policy_of, [file])).rows] == [("violence",), ("hate",), ()]
    assert rows() == reviewed
    with closing(TextStore(config.with_name("offramp.db"))) as store:
        store.forget({"blocked": time.time() + 1, "unsure": time.time() + 1})
    assert made(judged("fine", "none"))["rows"] == {}
    assert rows() == reviewed
    report = json.loads(offramp("report", config, "--json").stdout)
    assert sum(row["harmful"] for row in report["reviews"]) == 1
    assert offramp("review", config, "--judged", "--from", decisions).exit_code == 2


def test_a_ledger_that_is_not_there_is_not_made(offramp: Offramp, config: Path) -> None:
    ledger = config.with_name("offramp.db")
    for file in ledger.parent.glob("offramp.db*"):
        file.unlink()
    assert isinstance(offramp("blocked", config).exception, NoLedger)
    assert not ledger.exists()
