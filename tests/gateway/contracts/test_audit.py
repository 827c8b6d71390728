"""A rule under a contract: forwarded until it is certified, audited while it answers, withdrawn when it disagrees."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from gateway.contracts.contract import Phase
from gateway.errors import UpstreamFailed
from gateway.protocols import sse
from gateway.upstreams.base import Answer, UpstreamCall

Wire = Callable[..., Any]
RULES = """
rules:
  - name: intents
    classifier: bank
    contract: {max_disagreement: 5%}
    then: {"*": {answer: label}}
"""
ONCE = RULES.replace("5%}", "5%, ask_again: 0%}")
TWICE = RULES.replace("5%}", "5%, ask_again: 100%}")
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

    async def send(self, call: UpstreamCall) -> Answer:
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
    gateway = wired(wire, reference, ONCE)
    seen = await decisions(gateway, ask, 600, body(stream=stream))
    first = seen.index("answer")
    assert first > 150
    later = seen[first:]
    assert 0.6 < later.count("answer") / len(later) < 0.95
    assert reference.calls == seen.count("forward")
    assert phases(gateway) == {Phase.LIVE}
    text = gateway.metrics.text().decode()
    assert 'offramp_contract_pairs_total{chosen="true",result="agrees",rule="intents"}' in text


@dataclass
class Wavering(Reference):
    """Every fifth answer is another one."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)

    async def send(self, call: UpstreamCall) -> Answer:
        self.bodies.append(json.loads(call.body))
        self.headers.append(call.headers)
        self.word = "rate" if self.calls % 5 == 4 else "card"
        return await super().send(call)


async def settled(gateway: Any, repeats: int) -> None:
    """Waits until so many repeats are told."""
    while sum(repeats_of(gateway).values()) < repeats:  # noqa: ASYNC110 - nothing tells when a task is done
        await asyncio.sleep(0.01)


def repeats_of(gateway: Any) -> dict[str, float]:
    metric = gateway.metrics.contract_repeats
    return {result: metric.labels("intents", result)._value.get() for result in ("agrees", "differs", "missing")}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_reference_that_contradicts_itself_is_asked_again_and_refused(
    wire: Wire, ask: Any, *, stream: bool
) -> None:
    reference = Wavering()
    gateway = wired(wire, reference, TWICE)
    sent = [(b"idempotency-key", b"k"), (b"openai-beta", b"x")]
    for count in range(1, 25):
        answer = await ask(gateway.app, body(stream=stream), headers=sent)
        assert answer.headers["x-offramp-decision"] == "forward"
        await settled(gateway, count)
    assert reference.calls == 48
    assert {key for key, _ in reference.headers[0]} == {b"idempotency-key", b"openai-beta"}
    assert {key for key, _ in reference.headers[1]} == {b"openai-beta"}
    assert reference.bodies[1] == {**body_of(stream=False), "model": reference.bodies[0]["model"]}
    assert repeats_of(gateway) == {"agrees": 15, "differs": 9, "missing": 0}
    assert await decisions(gateway, ask, 300) == ["forward"] * 300
    assert gateway.contracts.refused("intents") == 1
    [contract] = gateway.contracts.contracts.values()
    assert contract.reason.startswith("refused: the model contradicts itself")
    assert contract.attempts == 0
    records = gateway.records()
    rows = [record for record in records if record.decision == "repeat"]
    assert 24 + 30 < len(rows) < 24 + 100
    assert {(row.rule, row.saved_reason, row.endpoint) for row in rows} == {("intents", "repeat", "repeat")}
    assert {row.request_id for row in rows} <= {record.request_id for record in records if record.decision == "forward"}
    assert all(row.spent_usd and row.saved_usd == -row.spent_usd for row in rows)


def body_of(**fields: Any) -> dict[str, Any]:
    return {key: value for key, value in json.loads(body(**fields)).items() if key != "stream"}


async def test_it_is_asked_again_only_when_the_client_has_its_answer(wire: Wire, ask: Any) -> None:
    reference = Reference()
    gateway = wired(wire, reference, TWICE)
    seen: list[int] = []
    await ask(gateway.app, body(), on_part=lambda _: seen.append(reference.calls))
    assert seen == [1]
    await settled(gateway, 1)
    assert reference.calls == 2


async def test_a_repeat_that_fails_is_missing_and_no_ones_error(wire: Wire, ask: Any) -> None:
    reference = Reference()
    gateway = wired(wire, reference, TWICE)

    def fail(_: bytes) -> None:
        reference.word = "fail"

    answer = await ask(gateway.app, body(), on_part=fail)
    assert answer.status == 200
    await settled(gateway, 1)
    assert repeats_of(gateway)["missing"] == 1
    [row] = [record for record in gateway.records() if record.decision == "repeat"]
    assert (row.status, row.error) == (502, "upstream_failed")


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


async def test_an_answer_that_is_no_text_is_a_pair_and_its_client_gets_it(wire: Wire, ask: Any) -> None:
    """Where texts of calls are kept as well."""

    class Cut(Reference):
        async def send(self, call: UpstreamCall) -> Answer:
            answer = await super().send(call)
            # half of a character
            return Answer(status=200, headers=[], body=answer.body.replace(b'"card"', b'"card \xe2\x82"'))

    learns = ONCE.replace("    then:", "    retrain: {every: 200 pairs}\n    then:")
    gateway = wire(learns, models="content: {keep: 1d}\n", upstreams={"one": Cut(), "two": Cut()})
    answer = await ask(gateway.app, body())
    assert (answer.status, b"card \xe2\x82" in answer.body) == (200, True)
    [contract] = gateway.contracts.contracts.values()
    assert contract.pairs == 1


@pytest.mark.parametrize("elsewhere", ["two", "{upstream: one, model: large}"])
async def test_a_model_that_is_sent_elsewhere_begins_anew(wire: Wire, ask: Any, elsewhere: str) -> None:
    says, other = Reference(), Reference(name="two", word="rate")
    base = "version: 1\nupstreams:\n  one: {kind: echo}\n  two: {kind: echo}\nmodels:\n  dear: "
    make = partial(wire, ONCE, upstreams={"one": says, "two": other}, draw=random.Random(0).random)
    assert "answer" in await decisions(make(base=base + "one\n"), ask, 500)
    moved = make(base=base + elsewhere + "\n")
    assert await decisions(moved, ask, 20) == ["forward"] * 20
    assert phases(moved) == {Phase.SHADOW}
    assert [moved.contracts.standing("intents", phase) for phase in (Phase.LIVE, Phase.SHADOW)] == [0, 1]
    # the one before is not forgotten
    assert "answer" in await decisions(make(base=base + "{upstream: one, fallbacks: [two/dear]}\n"), ask, 20)


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
        async def send(self, call: UpstreamCall) -> Answer:
            gone.set()
            await asyncio.sleep(30)
            return await super().send(call)

    gateway = wired(wire, Slow())
    await ask(gateway.app, body(), gone=gone)
    [contract] = gateway.contracts.contracts.values()
    assert contract.pairs == 1


def contracts(gateway: Any) -> dict[str, Any]:
    """By the version of the classifier."""
    return {scope.version: contract for scope, contract in gateway.contracts.contracts.items()}


def tried(wire: Wire, reference: Reference, words: Mapping[str, str] | None = None) -> Any:
    upstreams = {"one": reference, "two": reference}
    return wire(ONCE, upstreams=upstreams, draw=random.Random(0).random, tried=words or {"plastic": "card"})


async def test_a_version_that_is_tried_learns_from_what_only_it_has_a_label_for(wire: Wire, ask: Any) -> None:
    gateway = tried(wire, Reference())
    answer = await ask(gateway.app, body("my plastic"))
    assert "x-offramp-abstained" not in answer.headers
    assert {version: contract.pairs for version, contract in contracts(gateway).items()} == {"v1": 0, "v2": 1}
    assert 'offramp_contract_pairs_total{chosen="true"' not in gateway.metrics.text().decode()
    await ask(gateway.app, body("my card"))
    assert {version: contract.pairs for version, contract in contracts(gateway).items()} == {"v1": 1, "v2": 2}


async def test_a_call_that_only_one_version_has_a_label_for_is_one_that_the_other_would_not_answer(
    wire: Wire, ask: Any
) -> None:
    """In shadow the coin chooses every call."""
    gateway = tried(wire, Reference(), {"plastic": "card", "gold card": "thing"})
    for text in ("my card", "my plastic", "my plastic", "my gold card", "my bike") * 10:
        await ask(gateway.app, body(text))
    # asked behind what is still being learned of the last calls
    await gateway.contracts.trial("bank", "v2", current="v1")
    labelled = {kept.scope.version: kept.labelled for kept in gateway.contracts._kept.values()}
    assert labelled == {"v1": 0.5, "v2": 0.75}


async def test_a_version_with_a_label_for_more_calls_outdoes_one_that_is_as_sure(wire: Wire, ask: Any) -> None:
    gateway = tried(wire, Reference())
    for number in range(900):
        await ask(gateway.app, body("my plastic" if number % 2 else "my card"))
    assert phases(gateway) == {Phase.LIVE}
    assert (await gateway.contracts.trial("bank", "v2", current="v1")).outdoes
