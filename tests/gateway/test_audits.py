"""A rule under a contract: forwarded until it is certified, audited while it answers, withdrawn when it disagrees."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.contract.state import Phase
from gateway.errors import UpstreamFailed
from gateway.upstreams.base import Answer, Call
from gateway.wire import sse

Wire = Callable[..., Any]
RULES = """
rules:
  - name: intents
    classifier: bank
    contract: {max_disagreement: 5%}
    then: {"*": {answer: label}}
"""
GUARDED = """
rules:
  - name: intents
    classifier: bank
    contract: {max_disagreement: 5%}
    then: {"*": {answer: label}}
  - name: safety
    classifier: safe
    then: {violence: block}
"""


@dataclass
class Reference:
    """A paid model that answers with a word, whole or streamed."""

    word: str = "card"
    name: str = "one"
    notional: bool = False
    ask_usage: bool = False
    status: int = 200
    calls: int = 0

    async def send(self, call: Call) -> Answer:
        self.calls += 1
        if self.word == "fail":
            raise UpstreamFailed("it is down")
        choice = {"index": 0, "finish_reason": "stop"}
        if not call.stream:
            usage = {"prompt_tokens": 80, "completion_tokens": 20}
            body = {"model": "m", "usage": usage, "choices": [{**choice, "message": {"content": self.word}}]}
            return Answer(status=self.status, headers=[], body=json.dumps(body).encode())

        async def chunks() -> AsyncIterator[bytes]:
            yield sse.event(json.dumps({"choices": [{**choice, "delta": {"content": self.word}}]}).encode())
            yield sse.DONE

        return Answer(status=200, headers=[], chunks=chunks())

    async def close(self) -> None:
        """Nothing is open."""


def body(text: str = "my card", *, system: str = "Answer with greeting, rate or card.", **fields: Any) -> bytes:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return json.dumps({"model": "dear", "messages": messages, **fields}).encode()


async def decisions(gateway: Any, ask: Any, count: int, request: bytes | None = None) -> list[str]:
    return [(await ask(gateway.app, request or body())).headers["x-offramp-decision"] for _ in range(count)]


def wired(wire: Wire, reference: Reference, rules: str = RULES) -> Any:
    return wire(rules, upstreams={"one": reference, "two": reference}, draw=random.Random(0).random)


def phases(gateway: Any) -> set[Phase]:
    return {contract.phase for contract in gateway.contracts.contracts.values()}


@pytest.mark.parametrize("stream", [False, True])
async def test_it_answers_only_once_it_is_certified_and_is_audited_then(wire: Wire, ask: Any, *, stream: bool) -> None:
    reference = Reference()
    gateway = wired(wire, reference)
    seen = await decisions(gateway, ask, 600, body(stream=stream))
    first = seen.index("answer")
    assert first > 150
    later = seen[first:]
    assert 0.6 < later.count("answer") / len(later) < 0.95
    assert reference.calls == seen.count("forward")
    assert phases(gateway) == {Phase.LIVE}
    text = gateway.metrics.text().decode()
    assert 'offramp_contract_pairs_total{chosen="true",result="agrees",rule="intents"}' in text


async def test_the_usage_of_an_answer_is_what_the_reference_used_for_such_calls(wire: Wire, ask: Any) -> None:
    gateway = wired(wire, Reference())
    await decisions(gateway, ask, 600)
    while (answer := await ask(gateway.app, body())).headers["x-offramp-decision"] != "answer":
        pass
    usage = json.loads(answer.body)["usage"]
    assert answer.headers["x-offramp-usage"] == "estimated"
    assert (78 <= usage["prompt_tokens"] <= 82, 17 <= usage["completion_tokens"] <= 20) == (True, True)


async def test_a_reference_that_says_otherwise_is_never_replaced(wire: Wire, ask: Any) -> None:
    gateway = wired(wire, Reference(word="rate"))
    assert set(await decisions(gateway, ask, 400)) == {"forward"}
    assert phases(gateway) == {Phase.SHADOW}


@pytest.mark.parametrize(("word", "status"), [("rate", 200), ("fail", 200), ("card", 429), ("I think a card.", 200)])
async def test_it_is_withdrawn_when_the_reference_no_longer_says_the_same(
    wire: Wire, ask: Any, word: str, status: int
) -> None:
    reference = Reference()
    gateway = wired(wire, reference)
    await decisions(gateway, ask, 500)
    assert phases(gateway) == {Phase.LIVE}
    reference.word, reference.status = word, status
    seen = [(await ask(gateway.app, body())).status for _ in range(400)]
    assert phases(gateway) & {Phase.DEMOTED, Phase.SHADOW}
    assert seen[-1] == {"fail": 502}.get(word, status)


async def test_another_prompt_or_shape_begins_anew(wire: Wire, ask: Any) -> None:
    gateway = wired(wire, Reference())
    await decisions(gateway, ask, 500)
    other = body(system="Say greeting, rate or card. Be brief.")
    schema = {"type": "object", "properties": {"intent": {"enum": ["card", "rate"]}}, "required": ["intent"]}
    shaped = body(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    assert await decisions(gateway, ask, 3, other) == ["forward"] * 3
    assert await decisions(gateway, ask, 3, shaped) == ["forward"] * 3
    assert len(gateway.contracts.contracts) == 3


async def test_what_cannot_be_given_in_the_shape_is_no_pair(wire: Wire, ask: Any) -> None:
    gateway = wired(wire, Reference())
    answer = await ask(gateway.app, body(system="Be brief."))
    assert answer.headers["x-offramp-abstained"] == "intents:no_place"
    assert gateway.contracts.contracts == {}


async def test_an_unsure_classifier_is_a_pair_of_low_confidence(wire: Wire, ask: Any) -> None:
    gateway = wired(wire, Reference())
    answer = await ask(gateway.app, body("unsure of my card"))
    assert answer.headers["x-offramp-abstained"] == "intents:contract"
    [contract] = gateway.contracts.contracts.values()
    assert contract.pairs == 1


async def test_a_call_that_another_rule_ends_counts_as_no_answer(wire: Wire, ask: Any) -> None:
    gateway = wired(wire, Reference(), GUARDED)
    answer = await ask(gateway.app, body("a card and violence"))
    assert answer.headers["x-offramp-decision"] == "block"
    text = gateway.metrics.text().decode()
    counted = sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("offramp_contract_pairs_total") and 'result="missing"' in line
    )
    assert counted == 1


async def test_a_client_that_leaves_is_no_answer(wire: Wire, ask: Any) -> None:
    gone = asyncio.Event()

    class Slow(Reference):
        async def send(self, call: Call) -> Answer:
            gone.set()
            await asyncio.sleep(30)
            return await super().send(call)

    gateway = wired(wire, Slow())
    await ask(gateway.app, body(), gone=gone)
    [contract] = gateway.contracts.contracts.values()
    assert contract.pairs == 1
