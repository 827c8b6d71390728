"""Calls under a contract as they begin and end in the request path: none is forgotten, whatever becomes of it."""

import asyncio
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.contracts.contract import Phase
from gateway.ledger.store import LedgerError
from gateway.upstreams.base import Answer, UpstreamCall
from tests.gateway.contracts.test_audit import GUARDED, RULES, Reference, body, contracts, decisions, phases, wired
from tests.gateway.judge.test_judge import BASE
from tests.gateway.judge.test_resolve import RULES as SAFETY
from tests.gateway.judge.test_resolve import Says
from tests.given import table_text

Wire = Callable[..., Any]
BLOCKED = table_text("given/gateway-audits_order-blocked.yaml")
JUDGED = table_text("given/gateway-audits_order-judged.yaml")


def begun(gateway: Any) -> int:
    """Calls that have begun and are not over."""
    return sum(len(kept.order._open) for kept in gateway.contracts._kept.values())


def counted(gateway: Any) -> list[int]:
    """Checks that count for accounts."""
    return [contract.sides[0].account.seen.checks for contract in contracts(gateway)]


@dataclass
class Hanging(Reference):
    """Every twelfth answer does not come until it is let go, and is another one then."""

    free: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, call: UpstreamCall) -> Answer:
        answer = await super().send(call)
        if self.calls % 12 == 0:
            await self.free.wait()
            return Answer(status=400, headers=[], body=b"{}")
        return answer


async def test_answers_that_hang_are_waited_for(wire: Wire, ask: Any) -> None:
    reference = Hanging()
    gateway = wired(wire, reference)
    calls = []
    for number in range(600):
        calls.append(asyncio.create_task(ask(gateway.app, body(f"my card {number}"))))
        await asyncio.wait([calls[-1]], timeout=None if reference.calls % 12 != 11 else 0.02)
    assert phases(gateway) == {Phase.SHADOW}
    reference.free.set()
    await asyncio.gather(*calls)
    assert phases(gateway) == {Phase.SHADOW}
    assert begun(gateway) == 0


@pytest.mark.parametrize("rules", [RULES, GUARDED, BLOCKED])
@pytest.mark.parametrize("stream", [False, True])
async def test_nothing_is_under_way_when_all_is_over(wire: Wire, ask: Any, rules: str, *, stream: bool) -> None:
    reference = Reference()
    gateway = wired(wire, reference, rules)
    chance = random.Random(0)
    for number in range(300):
        reference.word = "fail" if chance.random() < 0.005 else "card"
        text = (
            "my card violence"
            if chance.random() < 0.01
            else chance.choice([f"my card {number}", "unsure", "nothing at all"])
        )
        await ask(gateway.app, body(text, stream=stream))
    assert counted(gateway)
    assert begun(gateway) == 0


@pytest.mark.parametrize(("calls", "differ"), [(60, 0), (300, 1)])
async def test_a_request_that_breaks_off_while_a_judge_is_asked_becomes_no_pair_but_where_its_audit_had_it_asked(
    wire: Wire, ask: Any, calls: int, differ: int
) -> None:
    judge = Hanging()
    gateway = wire(JUDGED, base=BASE, upstreams={"one": Reference(), "two": judge}, draw=random.Random(0).random)
    await decisions(gateway, ask, calls)
    gateway.contracts._draw = lambda: 0.0
    judge.calls, before = 11, contracts(gateway)[0].sides[0].account.seen
    request = asyncio.create_task(ask(gateway.app, body("my card, unsure")))
    while judge.calls == 11:  # noqa: ASYNC110 - nothing tells when the judge is asked
        await asyncio.sleep(0.01)
    assert begun(gateway) == 1
    request.cancel()
    await asyncio.wait([request])
    after = contracts(gateway)[0].sides[0].account.seen
    assert (after.checks - before.checks, after.wrong - before.wrong, begun(gateway)) == (differ, differ, 0)


@pytest.mark.parametrize("rules", [RULES, SAFETY])
async def test_a_coin_that_cannot_be_flipped_leaves_none_before_it_open(
    wire: Wire, ask: Any, monkeypatch: pytest.MonkeyPatch, rules: str
) -> None:
    again = rules.partition("rules:\n")[2].replace("name: ", "name: second_")
    gateway = wire(rules + again, base=BASE, upstreams={"one": Reference(), "two": Says()})
    await decisions(gateway, ask, 60)
    draw = gateway.contracts.draw

    async def fail(call: Any) -> Any:
        if "second_" in call.scope.rule:
            raise LedgerError("the disk is full")
        return await draw(call)

    monkeypatch.setattr(gateway.contracts, "draw", fail)
    assert await decisions(gateway, ask, 3) == ["forward"] * 3
    assert begun(gateway) == 0


async def test_an_audit_that_the_model_fails_after_a_judge_was_asked_is_answered_here(wire: Wire, ask: Any) -> None:
    reference, chance = Reference(), random.Random(0)
    rules = JUDGED.replace("block}", "block, jailbreak: flag}")
    gateway = wire(rules, base=BASE, upstreams={"one": reference, "two": Says()}, draw=chance.random)
    await decisions(gateway, ask, 300)
    reference.word, gateway.contracts._draw = "fail", lambda: 0.0
    answer = await ask(gateway.app, body("my card, unsure, jailbreak"))
    assert (answer.status, answer.headers["x-offramp-decision"]) == (200, "answer")
    assert gateway.records()[-1].flags == "safety:jailbreak"


async def test_a_client_that_leaves_while_its_pair_is_stored_holds_up_no_other(wire: Wire, ask: Any) -> None:
    gateway = wired(wire, Reference())
    await decisions(gateway, ask, 60)
    before = counted(gateway)
    busy, gone = threading.Event(), asyncio.Event()
    writing = asyncio.create_task(gateway.contracts.ask(lambda _: busy.wait()))
    every = [body(f"a card {number}") for number in range(2)]
    left = [asyncio.create_task(ask(gateway.app, one, gone=gone)) for one in every]
    await asyncio.sleep(0.2)
    gone.set()
    await asyncio.wait(left)
    busy.set()
    await writing
    await decisions(gateway, ask, 10)
    assert begun(gateway) == 0
    assert counted(gateway) == [count + 12 for count in before]
