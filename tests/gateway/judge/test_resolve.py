"""A safety rule under a contract in the request path: all is judged in shadow, what is certain is decided here once it
is certified, audits go on, and a judge that fails spoils no sure verdict."""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.context import Headers
from gateway.contracts.contract import Phase
from gateway.errors import UpstreamFailed
from gateway.ledger.call_store import TextStore
from gateway.ledger.store import LedgerError
from gateway.upstreams.base import Answer, UpstreamCall
from tests.given import table_text

Wire = Callable[..., Any]
JSON: Headers = [(b"content-type", b"application/json")]
BASE = table_text("given/gateway-judge-base.yaml")
FALLS_BACK = BASE.replace(
    "{upstream: two, internal: true}", "{upstream: three, fallbacks: [two/cheap], internal: true}"
).replace("models:", '  three: {kind: openai, base_url: "http://127.0.0.1:9/v1"}\nmodels:')
RULES = """
rules:
  - name: safety
    classifier: safe
    contract: {max_missed: 10%, max_false_alarms: 10%, confidence: 80%}
    then: {"*": {block: Not here.}}
    when_unsure: {ask: cheap}
"""


@dataclass(slots=True)
class Says:
    """A judge's server that finds violence where the text says so, if it is up."""

    name: str = "two"
    notional: bool = False
    ask_usage: bool = True
    speaks = frozenset({"chat.completions"})
    calls: int = 0
    fails: bool = False
    turned: bool = False
    nonsense: bool = False
    free: asyncio.Event | None = None

    async def send(self, call: UpstreamCall) -> Answer:
        self.calls += 1
        if self.free:
            await self.free.wait()
        if self.fails:
            raise UpstreamFailed("it is down")
        text = str(json.loads(json.loads(call.body)["messages"][1]["content"])["texts"])
        labels = ["violence"] if ("violence" in text) is not self.turned else []
        content = "as I see it" if self.nonsense else json.dumps({"labels": labels})
        body = {"choices": [{"finish_reason": "stop", "message": {"content": content}}]}
        return Answer(status=200, headers=JSON, body=json.dumps(body).encode())

    async def close(self) -> None:
        """Nothing is open."""


class Gateway:
    """A wired gateway with its judge; each text is sent once only, lest the verdict be remembered, unless it
    is to be sent again."""

    def __init__(self, wired: Callable[..., Any], ask: Any, judge: Says) -> None:
        self.judge = judge
        self.coin = 0.0
        self.wired = wired(draw=lambda: self.coin)
        self._ask = ask
        self._sent = 0
        self.again = False

    async def send(self, text: str) -> Any:
        self._sent += not self.again
        messages = [{"role": "user", "content": f"{text} {self._sent}"}]
        return await self._ask(self.wired.app, json.dumps({"model": "dear", "messages": messages}).encode())

    async def send_both(self, times: int) -> None:
        for _ in range(times):
            await self.send("hello")
            await self.send("violence")

    @property
    def live(self) -> int:
        """How many of the two sides are certified."""
        return int(self.wired.contracts.standing("safety", Phase.LIVE))

    async def certify(self) -> None:
        """Calls until both sides are live."""
        while self.live < 2:
            await self.send_both(1)


@pytest.fixture
def gateway(wire: Wire, ask: Any, fake_upstream: Any, make_answer: Any) -> Callable[..., Gateway]:
    """gateway(base, rules, …): whose model is paid for, and whose other upstreams judge."""

    def make(base: str = BASE, rules: str = RULES, **others: Says) -> Gateway:
        judge = Says()
        upstreams = {"one": fake_upstream([make_answer()], name="one"), "two": judge, **others}
        return Gateway(partial(wire, rules, base=base, upstreams=upstreams), ask, judge)

    return make


MakeGateway = Callable[..., Gateway]


async def test_shadow_live_and_withdrawn(gateway: MakeGateway) -> None:
    one = gateway()
    first = await one.send("violence")
    assert (first.headers["x-offramp-decision"], first.headers["x-offramp-judged"]) == ("block", "safety:violence")
    assert (await one.send("hello")).headers["x-offramp-judged"] == "safety:safe"
    await one.certify()
    # no coin chooses a call now: both are decided here
    one.coin, before = 0.999, one.judge.calls
    assert (await one.send("violence")).headers["x-offramp-decision"] == "block"
    assert (await one.send("hello")).headers["x-offramp-decision"] == "forward"
    assert one.judge.calls == before
    # an audited call is the judge's to decide
    one.coin, one.judge.turned = 0.0, True
    audited = await one.send("violence")
    assert (audited.headers["x-offramp-decision"], audited.headers["x-offramp-judged"]) == ("forward", "safety:safe")
    await one.send_both(50)
    # whether or not a side is live still, no threshold is left that it could decide from
    one.coin = 0.999
    for text in ("hello", "violence"):
        assert "x-offramp-judged" in (await one.send(text)).headers
    assert one.wired.metrics.contract_pairs.labels("safety", "differs", "true")._value.get() >= 2


async def test_a_label_that_the_judge_does_not_find_is_kept_as_a_doubt(gateway: MakeGateway, tmp_path: Path) -> None:
    """In shadow the judge decides what the classifier is sure of. What a fallback finds is not the judge's."""
    for base, others in ((BASE, {}), (FALLS_BACK, {"three": Says(name="three", fails=True)})):
        one = gateway(base + "content: {blocked: 1d, unsure: 1d}\n", **others)
        one.judge.turned = not others
        await one.send("violence")
        one.wired.review_log.close()
    with closing(TextStore(tmp_path / "contracts.db", read_only=True)) as store:
        kept = [(text.text, text.kept_as, text.label, text.judged) for text in store.texts()]
    assert kept == [("violence 1", "unsure", "violence", "none"), ("violence 1", "blocked", "violence", None)]


async def test_another_language_is_under_the_contract_where_the_judge_is_asked_about_it(gateway: MakeGateway) -> None:
    for more, judged, calls in (("", "safety:safe", 1), ("    when_language: forward\n", None, 0)):
        one = gateway(rules=RULES + more)
        answer = await one.send("another language")
        assert (answer.headers["x-offramp-decision"], answer.headers.get("x-offramp-judged")) == ("forward", judged)
        assert one.judge.calls == calls


@pytest.mark.parametrize("judge", ["{upstream: two, model: large, internal: true}", "{upstream: one, internal: true}"])
async def test_another_judge_under_the_same_name_begins_anew(gateway: MakeGateway, judge: str) -> None:
    one = gateway()
    await one.certify()
    # no coin chooses a call now
    one.coin = 0.999
    assert "x-offramp-judged" not in (await one.send("hello")).headers
    other = gateway(BASE.replace("{upstream: two, internal: true}", judge))
    other.coin = 0.999
    assert "x-offramp-judged" in (await other.send("hello")).headers
    # the one before stands no more, and is not forgotten
    assert other.live == 0
    assert gateway().live == 2


async def test_a_judge_that_is_down_spoils_no_sure_verdict(gateway: MakeGateway) -> None:
    one = gateway()
    one.judge.fails = True
    # nothing is certified: the judge is all there is
    answer = await one.send("hello")
    assert (answer.headers["x-offramp-decision"], answer.headers["x-offramp-abstained"]) == ("block", "safety:broken")
    one.judge.fails = False
    await one.certify()
    one.judge.fails = True
    for text, decision in (("hello", "forward"), ("violence", "block")):
        answer = await one.send(text)
        assert (answer.headers["x-offramp-decision"], answer.headers["x-offramp-judged"]) == (decision, "safety:failed")
        assert "x-offramp-abstained" not in answer.headers
    # a judge that cannot be reached says nothing of the text, however often
    await one.send_both(50)
    assert one.live == 2
    # what it answers and is no verdict counts against the side that acted
    one.judge.fails, one.judge.nonsense = False, True
    await one.send_both(60)
    assert one.live < 2


@pytest.mark.parametrize(("text", "rule"), [("hello", "privacy"), ("violence", "safety")])
async def test_a_text_that_a_judge_may_not_see_spoils_no_sure_verdict(
    gateway: MakeGateway, ask: Any, text: str, rule: str
) -> None:
    one = gateway(rules=RULES + "  - {name: privacy, classifier: data, then: {key: redact}}\n")
    await one.certify()
    # in a call's arguments, a key without an end cannot be redacted
    called = {"function": {"name": "f", "arguments": json.dumps({"key": "-----BEGIN RSA PRIVATE KEY-----\nMII"})}}
    messages = [{"role": "assistant", "tool_calls": [called]}, {"role": "user", "content": text}]
    before = one.judge.calls
    answer = await ask(one.wired.app, json.dumps({"model": "dear", "messages": messages}).encode())
    assert (answer.headers["x-offramp-decision"], answer.headers["x-offramp-rule"]) == ("block", rule)
    assert "safety" not in answer.headers.get("x-offramp-abstained", "")
    assert one.judge.calls == before


async def test_what_a_judges_fallback_says_certifies_nothing(gateway: MakeGateway) -> None:
    three = Says(name="three", fails=True)
    one = gateway(FALLS_BACK, three=three)
    await one.send_both(100)
    assert (one.judge.calls, one.live) == (200, 0)
    # nor is it remembered in the judge's place
    one.again = True
    for fails, calls in ((True, 201), (True, 202), (False, 202), (False, 202)):
        three.fails = fails
        assert (await one.send("hello")).headers["x-offramp-judged"] == "safety:safe"
        assert one.judge.calls == calls
    # the same from the judge itself certifies both sides
    one.again = False
    await one.certify()


async def test_what_was_not_read_is_under_no_contract(gateway: MakeGateway) -> None:
    one = gateway()
    assert (await one.send("unread")).headers["x-offramp-abstained"] == "safety:unread"
    assert one.judge.calls == 0
    # a text in a language that the policy does not name is judged, and passes for nothing that is certain
    await one.send("language")
    assert one.judge.calls == 1
    [kept] = one.wired.contracts._kept.values()
    assert (kept.contract.known, list(kept.known)) == (1, [])


async def test_without_the_contracts_store_the_judge_decides_but_what_was_not_read(
    gateway: MakeGateway, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: Any) -> Any:
        raise LedgerError("the disk is full")

    again = RULES.partition("rules:\n")[2].replace("safety", "second")
    one = gateway(rules=f"{RULES}{again}    reads: {{roles: [system]}}\n    when_unread: block\n")
    monkeypatch.setattr(one.wired.contracts, "draw", fail)
    messages = [{"role": "system", "content": "unread"}, {"role": "user", "content": "hello"}]
    answer = await ask(one.wired.app, json.dumps({"model": "dear", "messages": messages}).encode())
    assert (answer.headers["x-offramp-decision"], answer.headers["x-offramp-abstained"]) == ("block", "second:unread")
    assert (answer.headers["x-offramp-judged"], one.judge.calls) == ("safety:safe", 1)


async def test_a_client_that_leaves_while_its_check_is_judged_hides_nothing(gateway: MakeGateway) -> None:
    one = gateway()
    await one.certify()
    [kept] = one.wired.contracts._kept.values()
    before, one.judge.free, one.judge.turned = kept.contract.sides[0].account.seen.wrong, asyncio.Event(), True
    asked = one.judge.calls
    request = asyncio.create_task(one.send("hello"))
    while one.judge.calls == asked:  # noqa: ASYNC110 - nothing tells when the judge is asked
        await asyncio.sleep(0.01)
    request.cancel()
    await asyncio.wait([request])
    one.judge.free.set()
    while kept.contract.sides[0].account.seen.wrong == before:  # noqa: ASYNC110 - nothing tells when it is stored
        await asyncio.sleep(0.01)
    assert kept.order.idle
