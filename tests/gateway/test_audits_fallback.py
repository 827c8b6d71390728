"""A model with fallbacks under a contract: what another model answers in its place is never taken for its answer."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts.contract import Phase
from gateway.contracts.scope import among
from gateway.errors import UpstreamTimeout
from gateway.ledger.call_store import CallStore
from gateway.upstreams.base import Answer, UpstreamCall
from tests.gateway.contracts.test_audit import RULES, Reference, body, decisions, phases
from tests.given import table_text

Wire = Callable[..., Any]
BASE = table_text("given/gateway-audits_fallback-base.yaml")
BANK = among("bank", ("greeting", "rate", "card", "other"))
RETRAINED = RULES.replace("    then:", "    retrain: true\n    then:")


def wired(wire: Wire, first: Reference, fallback: Reference, rules: str = RULES) -> Any:
    return wire(rules, base=BASE, upstreams={"one": first, "two": fallback}, draw=random.Random(0).random)


def pairs(gateway: Any) -> dict[str, float]:
    of = gateway.metrics.contract_pairs.labels
    return {result: of("intents", result, "true")._value.get() for result in ("agrees", "differs", "missing")}


def kept(gateway: Any, tmp_path: Path) -> int:
    gateway.call_log.close()
    store = CallStore(tmp_path / "contracts.db", read_only=True)
    try:
        return len(store.calls())
    finally:
        store.close()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_fallbacks_answers_certify_nothing_and_are_not_kept(
    wire: Wire, ask: Any, tmp_path: Path, *, stream: bool
) -> None:
    fallback = Reference(name="two")
    gateway = wired(wire, Reference(word="fail"), fallback, RETRAINED)
    assert await decisions(gateway, ask, 400, body(stream=stream)) == ["forward"] * 400
    assert fallback.calls == 400
    assert phases(gateway) == {Phase.SHADOW}
    assert pairs(gateway) == {"agrees": 0, "differs": 0, "missing": 400}
    assert await gateway.contracts.ask(lambda store: store.texts("intents", BANK)) == []
    assert kept(gateway, tmp_path) == 0


async def test_a_fallback_that_is_not_asked_changes_nothing(wire: Wire, ask: Any, tmp_path: Path) -> None:
    fallback = Reference(name="two")
    gateway = wired(wire, Reference(), fallback, RETRAINED)
    seen = await decisions(gateway, ask, 600)
    assert (phases(gateway), fallback.calls) == ({Phase.LIVE}, 0)
    assert len(await gateway.contracts.ask(lambda store: store.texts("intents", BANK))) == seen.count("forward")
    assert kept(gateway, tmp_path) == seen.count("forward")


@dataclass
class SlowWhereHard(Reference):
    """Too slow to answer what is hard."""

    async def send(self, call: UpstreamCall) -> Answer:
        if b"hard" in call.body:
            self.calls += 1
            raise UpstreamTimeout("it is late")
        return await super().send(call)


async def test_calls_that_the_model_fails_on_are_not_left_out_of_the_bound(wire: Wire, ask: Any) -> None:
    gateway = wired(wire, SlowWhereHard(), Reference(word="rate", name="two"))
    for number in range(800):
        request = body("a hard one about my card" if number % 5 == 4 else "my card")
        answer = await ask(gateway.app, request)
        assert answer.headers["x-offramp-decision"] == "forward"
    assert Phase.LIVE not in phases(gateway)


async def test_while_the_model_is_down_its_fallback_answers_and_the_contract_is_withdrawn(wire: Wire, ask: Any) -> None:
    first, fallback = Reference(), Reference(name="two")
    gateway = wired(wire, first, fallback)
    await decisions(gateway, ask, 500)
    assert phases(gateway) == {Phase.LIVE}
    first.word = "fail"
    answers = [await ask(gateway.app, body()) for _ in range(400)]
    assert {answer.status for answer in answers} == {200}
    assert answers[-1].headers["x-offramp-decision"] == "forward"
    assert Phase.LIVE not in phases(gateway)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("mail", "texts"), [("none", [("my card", "card")]), ("ann@x.org", [])])
async def test_of_a_call_whose_answer_is_redacted_no_text_is_kept(
    wire: Wire, ask: Any, mail: str, texts: list[tuple[str, str]], *, stream: bool
) -> None:
    hides = "  - {name: hides, classifier: data, reads: {roles: [], output: true}, then: {contact: redact}}\n"
    reference = Reference(word=json.dumps({"intent": "card", "mail": mail}))
    gateway = wired(wire, reference, Reference(name="two"), f"{RETRAINED}{hides}")
    answered = await ask(gateway.app, body(stream=stream))
    assert (b"ann@x.org" in answered.body) is False
    assert await gateway.contracts.ask(lambda store: store.texts("intents", BANK)) == texts
