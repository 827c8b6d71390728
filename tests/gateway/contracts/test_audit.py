"""A rule under a contract: forwarded until it is live, audited while it answers, withdrawn when it disagrees."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import pytest

from gateway.contracts.contract import Contract, Phase
from gateway.errors import AnswerLost, UpstreamFailed, UpstreamTimeout
from gateway.protocols import sse
from gateway.upstreams.base import Answer, UpstreamCall

Wire = Callable[..., Any]
RULES = """
rules:
  - name: intents
    classifier: bank
    when: {any_system: true}
    contract: {max_disagreement: 5%}
    then: {"*": {answer: label}}
"""
MISSING = 'offramp_contract_pairs_total{audited="false",result="missing",rule="intents"} 1.0'
GUARDED = RULES + "  - {name: safety, classifier: safe, then: {violence: block}}\n"


_FAILURES = {"fail": UpstreamFailed, "late": UpstreamTimeout, "lost": AnswerLost}


@dataclass
class Reference:
    """A paid model that answers with a word, whole or streamed; with `fail` it is down, and so on. fifth: each fifth
    answer, where that is another one."""

    word: str = "card"
    name: str = "one"
    notional: bool = False
    ask_usage: bool = False
    speaks = frozenset({"chat.completions"})
    status: int = 200
    calls: int = 0
    fifth: str = ""
    waits: asyncio.Event | None = None
    sent: list[UpstreamCall] = field(default_factory=list)

    async def send(self, call: UpstreamCall) -> Answer:
        self.calls += 1
        self.sent.append(call)
        word = self.fifth if self.fifth and self.calls % 5 == 0 else self.word
        if self.waits:
            self.waits.set()
            await asyncio.sleep(30)
        if word in _FAILURES:
            raise _FAILURES[word](word)
        choice = {"index": 0, "finish_reason": "stop"}
        if not call.stream:
            usage = {"prompt_tokens": 80, "completion_tokens": 20}
            body = {"model": "m", "usage": usage, "choices": [{**choice, "message": {"content": word}}]}
            return Answer(status=self.status, headers=[], body=json.dumps(body).encode())

        async def chunks() -> AsyncIterator[bytes]:
            yield sse.event(json.dumps({"choices": [{**choice, "delta": {"content": word}}]}).encode())
            yield sse.DONE

        return Answer(status=200, headers=[], chunks=chunks())

    async def close(self) -> None:
        """Nothing is open."""


_NUMBERS = count()


def body(text: str = "my card", *, system: str = "Answer with greeting, rate or card.", **fields: Any) -> bytes:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return json.dumps({"model": "dear", "messages": messages, **fields}).encode()


async def decisions(gateway: Any, ask: Any, times: int, request: bytes | None = None) -> list[str]:
    """Of calls that are all alike, or with a text each: a text that comes again within the hour is not checked."""
    every = (request or body(f"my card {next(_NUMBERS)}") for _ in range(times))
    return [(await ask(gateway.app, one)).headers["x-offramp-decision"] for one in every]


def wired(wire: Wire, reference: Reference, rules: str = RULES, **more: Any) -> Any:
    return wire(rules, upstreams={"one": reference, "two": reference}, draw=random.Random(0).random, **more)


def contracts(gateway: Any) -> list[Contract]:
    return [kept.contract for kept in gateway.contracts._kept.values()]


def phases(gateway: Any) -> set[Phase]:
    return {phase for contract in contracts(gateway) for phase in contract.phases}


@pytest.mark.parametrize("stream", [False, True])
async def test_it_answers_only_once_it_is_live_and_is_audited_then(wire: Wire, ask: Any, *, stream: bool) -> None:
    reference = Reference()
    gateway = wired(wire, reference)
    every = [await ask(gateway.app, body(f"my card {number}", stream=stream)) for number in range(600)]
    seen = [answer.headers["x-offramp-decision"] for answer in every]
    first = seen.index("answer")
    assert first > 100
    later = seen[first:]
    assert 0.8 < later.count("answer") / len(later) < 0.98
    assert reference.calls == seen.count("forward")
    assert phases(gateway) == {Phase.LIVE}


FORMS: dict[str, Callable[[str], str]] = {
    "as a Python list": "['{}']".format,
    "in UPPER CASE only": str.upper,
    "in angle brackets": "<{}>".format,
    "as a Python string literal": "'{}'".format,
    "as a Markdown bullet": "- {}".format,
    "in bold": "**{}**".format,
    "in double quotes": '"{}"'.format,
    "after the word Intent": "Intent: {}".format,
    "in Title Case": str.title,
    "with a full stop": "{}.".format,
    "in a code block": "```\n{}\n```".format,
    "as an XML element": "<intent>{}</intent>".format,
    "as a line of YAML": "intent: {}\n".format,
    # not to be had by a form that stays
    "as a JSON object": '{{"intent": "{}"}}'.format,
    "spelled backwards": lambda label: label[::-1],
    "as its number": lambda label: str(len(label)),
}


@pytest.mark.parametrize("form", FORMS)
async def test_answers_have_the_form_that_the_model_gives_them(wire: Wire, ask: Any, form: str) -> None:
    """Of these, 11 were certified with the bare label."""
    reference = Reference()
    gateway = wired(wire, reference, RULES.replace("5%}", "20%, confidence: 60%}"))
    answered = 0
    for number in range(300):
        label = ("greeting", "rate", "card")[number % 3]
        reference.word = FORMS[form](label)
        system = f"Answer with greeting, rate or card, {form}."
        answer = await ask(gateway.app, body(f"my {label} {number}", system=system, max_tokens=20))
        content = json.loads(answer.body)["choices"][0]["message"]["content"]
        assert content.strip() == FORMS[form](label).strip()
        answered += answer.headers["x-offramp-decision"] == "answer"
    assert (answered > 20) is (form not in list(FORMS)[-3:])


def repeats_of(gateway: Any) -> dict[str, float]:
    metric = gateway.metrics.contract_repeats
    return {result: metric.labels("intents", result)._value.get() for result in ("agrees", "differs", "missing")}


async def settled(gateway: Any, repeats: int) -> None:
    """Waits until so many calls were asked again."""
    while sum(repeats_of(gateway).values()) < repeats:  # noqa: ASYNC110 - nothing tells when a task is done
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("asked_twice")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_reference_that_contradicts_itself_is_asked_again_and_refused(
    wire: Wire, ask: Any, *, stream: bool
) -> None:
    reference = Reference(fifth="rate")
    gateway = wired(wire, reference)
    headers = [(b"idempotency-key", b"k"), (b"openai-beta", b"x")]
    for number in range(1, 20):
        sent = body(f"my card {number}", stream=stream)
        answer = await ask(gateway.app, sent, headers=headers)
        assert answer.headers["x-offramp-decision"] == "forward"
        await settled(gateway, number)
    assert reference.calls == 38
    first, again = reference.sent[:2]
    assert {key for key, _ in first.headers} == {b"idempotency-key", b"openai-beta"}
    assert {key for key, _ in again.headers} == {b"openai-beta"}
    assert json.loads(again.body) == {**json.loads(body("my card 1")), "model": json.loads(first.body)["model"]}
    assert repeats_of(gateway) == {"agrees": 12, "differs": 7, "missing": 0}
    assert await decisions(gateway, ask, 300) == ["forward"] * 300
    assert gateway.contracts.refused("intents") == 1
    records = gateway.records()
    rows = [record for record in records if record.decision == "repeat"]
    assert 19 + 30 < len(rows) < 19 + 100
    assert {(row.rule, row.saved_reason, row.endpoint) for row in rows} == {("intents", "repeat", "repeat")}
    assert {row.request_id for row in rows} <= {record.request_id for record in records if record.decision == "forward"}
    assert all(row.spent_usd and row.saved_usd == -row.spent_usd for row in rows)


@pytest.mark.usefixtures("asked_twice")
async def test_it_is_asked_again_only_when_the_client_has_its_answer(wire: Wire, ask: Any) -> None:
    """A repeat that fails is missing, and no error of the client's call."""
    reference = Reference()
    gateway = wired(wire, reference)
    seen: list[int] = []

    def fail(_: bytes) -> None:
        seen.append(reference.calls)
        reference.word = "fail"

    answer = await ask(gateway.app, body(), on_part=fail)
    assert (answer.status, seen) == (200, [1])
    await settled(gateway, 1)
    assert (reference.calls, repeats_of(gateway)["missing"]) == (2, 1)
    [row] = [record for record in gateway.records() if record.decision == "repeat"]
    assert (row.status, row.error) == (502, "upstream_failed")


@pytest.mark.parametrize("word", ["rate", "I think a card."])
async def test_it_is_withdrawn_when_the_reference_no_longer_says_the_same(wire: Wire, ask: Any, word: str) -> None:
    reference = Reference()
    gateway = wired(wire, reference)
    await decisions(gateway, ask, 300)
    assert phases(gateway) == {Phase.LIVE}
    reference.word = word
    seen: list[str] = []
    while phases(gateway) == {Phase.LIVE}:
        seen += await decisions(gateway, ask, 1)
    assert seen.count("answer") < 100


@pytest.mark.parametrize(
    ("word", "status", "stream"),
    [("fail", 200, False), ("fail", 200, True), ("card", 429, False), ("card", 503, False), ("late", 504, False)],
)
async def test_an_audit_that_the_model_fails_is_answered_here_and_counts_for_nothing(
    wire: Wire, ask: Any, word: str, status: int, *, stream: bool
) -> None:
    reference = Reference()
    gateway = wired(wire, reference)
    await decisions(gateway, ask, 300)
    before = contracts(gateway)[0]
    reference.word, reference.status = word, status
    answers = [await ask(gateway.app, body(f"your card {number}", stream=stream)) for number in range(200)]
    assert {(one.status, one.headers["x-offramp-decision"]) for one in answers} == {(200, "answer")}
    assert contracts(gateway)[0].sides[0].account == before.sides[0].account
    assert gateway.metrics.contract_pairs.labels("intents", "void", "true")._value.get() > 3
    # what is not answered here anyway fails as it does without a contract
    assert (await ask(gateway.app, body("unsure", stream=stream))).status == {"fail": 502}.get(word, status)
    costs = {(row.usage_source, row.spent_usd) for row in gateway.records() if row.decision == "answer"}
    assert costs == {("estimated", 0.0)} | ({("missing", None)} if word == "late" else set())


async def test_an_answer_that_breaks_off_is_a_difference_and_the_client_gets_the_one_from_here(
    wire: Wire, ask: Any
) -> None:
    reference = Reference()
    gateway = wired(wire, reference)
    await decisions(gateway, ask, 300)
    before, reference.word, gateway.contracts._draw = contracts(gateway)[0].sides[0].account.seen, "lost", lambda: 0.0
    answer = await ask(gateway.app, body())
    assert (answer.status, answer.headers["x-offramp-decision"]) == (200, "answer")
    after = contracts(gateway)[0].sides[0].account.seen
    assert (after.checks, after.wrong) == (before.checks + 1, before.wrong + 1)
    assert [row.spent_usd for row in gateway.records()][-1] is None


async def test_a_text_that_comes_again_is_checked_once_and_a_wrong_answer_does_not_loop(wire: Wire, ask: Any) -> None:
    reference = Reference()
    gateway = wired(wire, reference)
    same = body("the same card")
    assert await decisions(gateway, ask, 300, same) == ["forward"] * 300
    await decisions(gateway, ask, 300)
    assert phases(gateway) == {Phase.LIVE}
    asked = reference.calls
    assert await decisions(gateway, ask, 50, same) == ["answer"] * 50
    assert reference.calls == asked
    reference.word = "rate"
    wrong = body("another card")
    gateway.contracts._draw = lambda: 0.0
    assert await decisions(gateway, ask, 1, wrong) == ["forward"]
    gateway.contracts._draw = lambda: 0.999
    assert await decisions(gateway, ask, 20, wrong) == ["forward"] * 20


async def test_a_model_that_is_sent_elsewhere_begins_anew(wire: Wire, ask: Any) -> None:
    base = "version: 1\nupstreams:\n  one: {kind: echo}\n  two: {kind: echo}\nmodels:\n  dear: "
    upstreams = {"one": Reference(), "two": Reference(name="two", word="rate")}
    make = partial(wire, RULES, upstreams=upstreams, draw=random.Random(0).random)
    assert "answer" in await decisions(make(base=base + "one\n"), ask, 300)
    moved = make(base=base + "{upstream: one, model: large}\n")
    assert await decisions(moved, ask, 20) == ["forward"] * 20
    assert [moved.contracts.standing("intents", phase) for phase in (Phase.LIVE, Phase.SHADOW)] == [0, 1]
    # the one before is not forgotten
    assert "answer" in await decisions(make(base=base + "{upstream: one, fallbacks: [two/dear]}\n"), ask, 20)


@pytest.mark.parametrize(
    ("rules", "fields", "headers", "pairs"),
    [
        # what cannot be given in the requested format is no pair
        (RULES, {"system": "Be brief."}, {"x-offramp-abstained": "intents:no_place"}, [0]),
        # an unsure classifier is a pair of low confidence
        (RULES, {"text": "unsure of my card"}, {"x-offramp-abstained": "intents:contract"}, [1]),
        # a call that another rule ends has no answer
        (GUARDED, {"text": "a card and violence"}, {"x-offramp-decision": "block"}, [0]),
    ],
)
async def test_what_is_a_pair(
    wire: Wire, ask: Any, rules: str, fields: dict[str, str], headers: dict[str, str], pairs: list[int]
) -> None:
    gateway = wired(wire, Reference(), rules)
    answer = await ask(gateway.app, body(**fields))
    assert headers.items() <= answer.headers.items()
    assert [contract.known for contract in contracts(gateway)] == pairs
    assert (MISSING in gateway.metrics.text().decode()) is (rules is GUARDED)


async def test_a_client_that_leaves_is_no_answer(wire: Wire, ask: Any) -> None:
    gone = asyncio.Event()
    gateway = wired(wire, Reference(waits=gone))
    await ask(gateway.app, body(), gone=gone)
    assert MISSING in gateway.metrics.text().decode()
