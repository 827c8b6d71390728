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
from tests.gateway.contracts.test_audit import RULES, Reference, body, contracts, decisions, phases
from tests.given import table_text

Wire = Callable[..., Any]
BASE = table_text("given/gateway-audits_fallback-base.yaml")
BANK = among("bank", ("greeting", "rate", "card", "other"))
RETRAINED = RULES.replace("    then:", "    retrain: true\n    then:")


def wired(wire: Wire, first: Reference, fallback: Reference, rules: str = RULES) -> Any:
    return wire(rules, base=BASE, upstreams={"one": first, "two": fallback}, draw=random.Random(0).random)


def pairs(gateway: Any) -> dict[str, float]:
    of = gateway.metrics.contract_pairs.labels
    return {result: of("intents", result, "false")._value.get() for result in ("agrees", "missing", "void")}


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
    assert pairs(gateway) == {"agrees": 0, "missing": 0, "void": 400}
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


async def test_the_promise_is_about_calls_that_the_model_answers(wire: Wire, ask: Any) -> None:
    """A fifth of the calls times out: they count for nothing, and where they are audited, no fallback is asked."""
    fallback = Reference(word="rate", name="two")
    gateway = wired(wire, SlowWhereHard(), fallback)
    seen: dict[bool, list[str]] = {False: [], True: []}
    for number in range(800):
        request = body(f"a hard one about my card {number}" if number % 5 == 4 else f"my card {number}")
        answer = await ask(gateway.app, request)
        seen[number % 5 == 4].append(answer.headers["x-offramp-decision"])
    [contract] = contracts(gateway)
    assert (contract.phases, contract.known) == ((Phase.LIVE,), seen[False].count("forward"))
    assert fallback.calls == seen[True].count("forward") < 50


async def test_while_the_model_is_down_its_fallback_answers_what_is_not_answered_here(wire: Wire, ask: Any) -> None:
    first, fallback = Reference(), Reference(name="two")
    gateway = wired(wire, first, fallback)
    await decisions(gateway, ask, 500)
    first.word = "fail"
    assert await decisions(gateway, ask, 400) == ["answer"] * 400
    assert fallback.calls == 0
    assert (await ask(gateway.app, body("nothing at all"))).headers["x-offramp-decision"] == "forward"
    assert (fallback.calls, phases(gateway)) == (1, {Phase.LIVE})


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
    stored = await gateway.contracts.ask(lambda store: store.texts("intents", BANK))
    assert [(one.text, one.label) for one in stored] == texts
