"""The queue of texts to decide on, and what a decision writes and takes back."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from classifiers.model.model import Threshold
from classifiers.policy import Policy
from gateway.config.load import load_gateway
from gateway.contracts.contract import Contract
from gateway.contracts.scope import Scope
from gateway.contracts.store import CheckRow, ContractStore, StoredContract
from gateway.ledger.call_store import CallStore, KeptAs, KeptCall, KeptText, TextStore
from gateway.review import Reviewing
from gateway.rules.compile import compile_rules
from gateway.rules.rule import Terms
from gateway.serving.snapshot import Snapshot
from tests.given import table_text

GATEWAY = table_text("given/gateway-review-gateway.yaml")
BANK = """\
version: 1
name: bank
kind: intent
about: tests
labels: {greeting: {means: greets}, rate: {means: asks for the rate}, card: {means: asks for a card}}
other: anything else
"""


def kept(text: str, score: float = 0.83, *, at: float = 1.0, kept_as: KeptAs = "blocked", **more: Any) -> KeptText:
    own = {"rule": "safety", "label": "violence", "classifier": "safe", **more}
    return KeptText(
        request_id="req_1", at=at, latest=at, kept_as=kept_as, confidence=score, version="v1", text=text, **own
    )


@pytest.fixture
def reviewing(tmp_path: Path) -> Iterator[Reviewing]:
    (tmp_path / "gateway.yaml").write_text(GATEWAY)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "safe.yaml").write_text(table_text("given/gateway-cli-review-policy.yaml"))
    (tmp_path / "policies" / "bank.yaml").write_text(BANK)
    ledger = tmp_path / "offramp.db"
    with closing(TextStore(ledger)) as texts, closing(CallStore(ledger)) as calls:
        yield Reviewing(loaded=load_gateway(tmp_path / "gateway.yaml", {}), texts=texts, calls=calls)


@pytest.fixture
def snapshot(reviewing: Reviewing, policies: dict[str, Policy]) -> Snapshot:
    """Rules whose classifiers have one threshold each: .5 for violence, .9 for all labels of bank."""

    def classifier(**acts: float) -> Any:
        limits = {label: Threshold(act=act, unsure=act) for label, act in acts.items()}
        return SimpleNamespace(model=SimpleNamespace(stages=(1,), last=SimpleNamespace(thresholds=limits)))

    own = {"safe": classifier(violence=0.5), "bank": classifier(greeting=0.9, rate=0.9, card=0.9)}
    rules = compile_rules(reviewing.loaded.settings.rules, policies, {})
    return Snapshot(rules=rules, runtime=cast("Any", SimpleNamespace(classifiers=own)))


def lines(tmp_path: Path, name: str = "safe") -> list[dict[str, Any]]:
    file = tmp_path / "policies" / f"{name}.reviewed.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_near_equal_texts_come_once_and_what_is_nearest_its_threshold_first(
    reviewing: Reviewing, snapshot: Snapshot
) -> None:
    reviewing.texts.append([kept("I will hit you 3 times", 0.99, at=1.0), kept("i will HIT you 12 times!", at=2.0)])
    reviewing.texts.append([kept("so what", 0.55), kept("so what", 0.45, kept_as="unsure", rule="other")])
    reviewing.texts.append([kept("the rate?", 0.8, kept_as="unsure", rule="bank", label="rate", classifier="bank")])
    queue = reviewing.queue(snapshot=snapshot)
    assert [(item.text, item.why, item.times) for item in queue] == [
        ("so what", "blocked", 2),
        ("the rate?", "unsure", 1),
        ("I will hit you 3 times", "blocked", 2),
    ]
    assert [round(item.margin, 2) for item in queue] == [0.05, 0.1, 0.49]
    assert [item.rule for item in reviewing.queue("bank", snapshot)] == ["bank"]
    assert [item.text for item in reviewing.queue("other")] == ["so what"]
    long = "x " * 600
    reviewing.texts.append([kept(long + "1"), kept(long + "2")])
    assert len(reviewing.queue()) == 5


def test_a_decision_is_written_and_taken_back_whole(reviewing: Reviewing, tmp_path: Path) -> None:
    reviewing.texts.append([kept("one"), kept("one.", kept_as="unsure"), kept("two", 0.6)])
    reviewing.texts.append([kept("rates", kept_as="unsure", rule="bank", label="rate", classifier="bank")])
    before = {text.id: text for text in reviewing.texts.texts()}
    assert reviewing.undo() is None
    two, one, bank = sorted(reviewing.queue(), key=lambda item: (item.classifier == "bank", item.text == "one"))
    reviewing.decide(two, "hate")
    file = tmp_path / "policies" / "safe.reviewed.jsonl"
    first = file.read_bytes()
    reviewing.decide(one, "none")
    reviewing.decide(bank, "none")
    assert lines(tmp_path, "bank") == [{"text": "rates", "label": "other", "picked": True}]
    assert [(row["text"], row["label"]) for row in lines(tmp_path)] == [("two", "hate"), ("one", "none")]
    assert reviewing.queue() == []
    counts = reviewing.texts.counts(0, 10)
    assert [(row["rule"], row["harmful"], row["harmless"]) for row in counts if row["kept_as"] == "unsure"] == [
        ("bank", 0, 1),
        ("safety", 0, 1),
    ]
    assert [decided.item.id for decided in (reviewing.undo(), reviewing.undo()) if decided] == [bank.id, one.id]
    assert lines(tmp_path, "bank") == []
    assert file.read_bytes() == first
    assert {item.id for item in reviewing.queue()} == {bank.id, one.id}
    assert reviewing.undo() is not None
    assert {text.id: text for text in reviewing.texts.texts()} == before
    assert [(row["harmful"], row["harmless"]) for row in reviewing.texts.counts(0, 10)] == [(0, 0)] * 3


def test_what_was_edited_since_is_not_taken_back(reviewing: Reviewing, tmp_path: Path) -> None:
    reviewing.texts.append([kept("one"), kept("two")])
    one, two = reviewing.queue()
    reviewing.decide(one, "violence")
    file = tmp_path / "policies" / "safe.reviewed.jsonl"
    file.write_bytes(file.read_bytes().rstrip())
    reviewing.decide(two, "hate")
    assert [row["label"] for row in lines(tmp_path)] == ["violence", "hate"]
    file.write_text(file.read_text().replace("hate", "none"))
    assert reviewing.undo() is None
    assert [row["label"] for row in lines(tmp_path)] == ["violence", "none"]
    assert reviewing.queue() == []


def test_labels_that_a_policy_gains_can_be_given_at_once(reviewing: Reviewing, tmp_path: Path) -> None:
    reviewing.texts.append([kept("one")])
    [one] = reviewing.queue()
    assert reviewing.decide(one, "fraud").written == b""
    assert reviewing.undo() is not None
    policy = tmp_path / "policies" / "safe.yaml"
    policy.write_text(policy.read_text() + "  fraud:\n    means: cheats somebody\n")
    assert "fraud" in reviewing.rows("safe").labels
    assert reviewing.decide(one, "fraud").written


BODY = {"model": "dear", "messages": [{"role": "user", "content": ""}]}
ANSWER = {"model": "dear", "choices": [{"index": 0, "message": {"role": "assistant", "content": "card"}}]}
CHUNK = {"choices": [{"index": 0, "delta": {"content": "card"}}]}


def test_calls_whose_answers_differ_come_with_both(reviewing: Reviewing, snapshot: Snapshot, tmp_path: Path) -> None:
    scope = Scope(rule="bank", model="dear", prompt="p", classifier="bank", terms="t")
    stream = b"data: " + json.dumps(CHUNK).encode() + b"\n\ndata: [DONE]\n\n"
    with closing(ContractStore(tmp_path / "offramp.db")) as contracts:
        assert reviewing.queue(snapshot=snapshot) == []
        contract = Contract.new(Terms(target=0.1, confidence=0.95))
        for number, (text, result) in enumerate(
            [
                ("the rate 1", "differs"),
                ("the rate 2", "differs"),
                ("cards?", "differs"),
                ("hello", "agrees"),
                ("", "differs"),
            ]
        ):
            check = CheckRow(
                at=float(number),
                request_id=f"r{number}",
                version="v",
                score=0.95,
                zone="ask",
                chance=1.0,
                label="rate",
                result=result,
            )
            contracts.put(StoredContract(scope=scope, contract=contract, at=1.0), check)
            body = {**BODY, "messages": [{"role": "user", "content": text}]}
            answer = stream if number else json.dumps(ANSWER).encode()
            call = KeptCall(
                request_id=f"r{number}", at=1.0, model="dear", request=json.dumps(body).encode(), answer=answer
            )
            assert reviewing.calls
            reviewing.calls.append([call])
    queue = reviewing.queue(snapshot=snapshot)
    assert [(item.text, item.why, item.local, item.model, item.judged) for item in queue] == [
        ("cards?", "differs", "rate", "card", "card"),
        ("the rate 2", "differs", "rate", "card", "card"),
    ]
    assert reviewing.queue("safety", snapshot) == reviewing.queue() == []
    reviewing.decide(queue[1], "rate")
    assert [item.text for item in reviewing.queue(snapshot=snapshot)] == ["cards?"]
    reviewing.decide(queue[0], "card")
    assert reviewing.queue(snapshot=snapshot) == []
    assert [row["label"] for row in lines(tmp_path, "bank")] == ["rate", "card"]
    assert reviewing.undo() is not None
    assert [item.text for item in reviewing.queue(snapshot=snapshot)] == ["cards?"]


def test_two_hundred_decisions_are_soon_made(reviewing: Reviewing, snapshot: Snapshot, tmp_path: Path) -> None:
    reviewing.texts.append([kept(f"harm {chr(97 + n % 26)} {chr(97 + n // 26)}", at=float(n)) for n in range(1, 221)])
    for _ in range(200):
        reviewing.decide(reviewing.queue(snapshot=snapshot)[0], "violence")
    assert (len(lines(tmp_path)), len(reviewing.queue())) == (200, 20)
