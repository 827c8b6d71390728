"""A rule's judge in the request path: what it decides, what it costs, and what happens where it gives no verdict."""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from classifiers.policy import Policy
from gateway.context import Headers
from gateway.errors import UpstreamFailed
from gateway.ledger.call_store import TextStore
from gateway.upstreams.base import Answer, UpstreamCall
from gateway.upstreams.openai import OpenAIUpstream
from tests.gateway.conftest import FakeUpstream
from tests.given import table_text

Wire = Callable[..., Any]
JSON: Headers = [(b"content-type", b"application/json")]
BASE = table_text("given/gateway-judge-base.yaml")
RULES = """
rules:
  - name: safety
    classifier: safe
    then: {violence: {block: Not here.}, jailbreak: flag}
    when_unsure: {ask: cheap}
"""


def verdict(*labels: str, tokens: tuple[int, int] = (100, 10)) -> Answer:
    message = {"role": "assistant", "content": json.dumps({"labels": labels})}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    body = {"model": "cheap", "usage": usage, "choices": [{"finish_reason": "stop", "message": message}]}
    return Answer(status=200, headers=JSON, body=json.dumps(body).encode())


@dataclass(slots=True)
class Asked(FakeUpstream):
    """A judge's server, which takes its time."""

    name: str = "two"
    delay_s: float = 0.0

    async def send(self, call: UpstreamCall) -> Answer:
        answer = await FakeUpstream.send(self, call)
        await asyncio.sleep(self.delay_s)
        return answer

    def texts(self) -> list[list[str]]:
        bodies = [json.loads(call.body) for call in self.calls]
        return [json.loads(body["messages"][1]["content"])["texts"] for body in bodies]


@pytest.fixture
def wired(wire: Wire, make_answer: Callable[..., Answer], fake_upstream: Any) -> Callable[..., Any]:
    """wired(judge, rules): a gateway whose model `dear` is paid for, and whose judge is `cheap`."""

    def make(judge: Asked, rules: str = RULES, models: str = "") -> Any:
        usage = {"prompt_tokens": 7, "completion_tokens": 3}
        content = json.dumps({"model": "dear", "usage": usage, "choices": [{"message": {"content": "Well."}}]})
        paid = fake_upstream([make_answer(content.encode())], name="one")
        return wire(rules, base=BASE, models=models, upstreams={"one": paid, "two": judge})

    return make


def body(*texts: Any, **more: Any) -> bytes:
    messages = [{"role": "user", "content": text} for text in texts]
    return json.dumps({"model": "dear", "messages": messages, **more}).encode()


@pytest.mark.parametrize(
    ("labels", "decision", "judged", "flags"),
    [
        ((), "forward", "safety:safe", None),
        (("violence",), "block", "safety:violence", None),
        (("jailbreak",), "forward", "safety:jailbreak", "safety:jailbreak"),
        (("jailbreak", "violence"), "block", "safety:violence+jailbreak", None),
    ],
)
async def test_its_verdict_decides(
    wired: Any, ask: Any, labels: tuple[str, ...], decision: str, judged: str, flags: str | None
) -> None:
    judge = Asked([verdict(*labels)])
    answer = await ask(wired(judge).app, body("unsure of this"))
    assert answer.headers["x-offramp-decision"] == decision
    assert answer.headers["x-offramp-judged"] == judged
    assert answer.headers.get("x-offramp-flags") == flags
    assert "x-offramp-abstained" not in answer.headers
    assert judge.texts() == [["unsure of this"]]


@pytest.mark.parametrize(
    ("labels", "texts", "kept"),
    [
        ((), ["fine", "unsure one"], [("unsure one", "unsure", "none")]),
        (("jailbreak", "violence"), ["fine", "unsure one"], [("unsure one", "blocked", "violence|jailbreak")]),
        ((), ["unsure one", "unsure two"], [("unsure one", "unsure", "none"), ("unsure two", "unsure", "none")]),
        # which it was not asked about
        ((), ["jailbreak talk"], []),
        ((), ["jailbreak talk", "unsure one"], [("jailbreak talk", "unsure", None)]),
        # of two texts it is not known which one the label is for
        (
            ("violence",),
            ["unsure one", "unsure two"],
            [("unsure one", "blocked", None), ("unsure two", "blocked", None)],
        ),
    ],
)
async def test_its_verdict_is_kept_with_the_text_that_it_is_on(
    wired: Any,
    ask: Any,
    tmp_path: Path,
    labels: tuple[str, ...],
    texts: list[str],
    kept: list[tuple[str, str, str | None]],
) -> None:
    gateway = wired(Asked([verdict(*labels)]), models="content: {blocked: 1d, unsure: 1d}\n")
    await ask(gateway.app, body(*texts))
    await asyncio.sleep(0.01)
    gateway.review_log.close()
    with closing(TextStore(tmp_path / "contracts.db", read_only=True)) as store:
        assert [(text.text, text.kept_as, text.judged) for text in store.texts()] == kept


async def test_a_judge_is_not_asked_with_a_clients_key(wired: Any, ask: Any, caplog: Any) -> None:
    judge: Any = OpenAIUpstream("two", base_url="http://127.0.0.1:1/v1", client_keys=True)
    answer = await ask(wired(judge).app, body("unsure of this"), headers=[(b"authorization", b"Bearer theirs")])
    assert answer.headers["x-offramp-judged"] == "safety:failed"
    assert "upstream two takes clients' keys, and has none of the gateway's own" in caplog.text


async def test_what_is_sure_is_not_asked(wired: Any, ask: Any) -> None:
    judge = Asked([verdict()])
    gateway = wired(judge)
    assert (await ask(gateway.app, body("violence"))).headers["x-offramp-decision"] == "block"
    assert (await ask(gateway.app, body("all is well"))).headers["x-offramp-decision"] == "forward"
    # a block stands whatever else is in doubt
    assert (await ask(gateway.app, body("violence, unsure"))).headers["x-offramp-decision"] == "block"
    assert judge.calls == []


async def test_an_image_beside_a_text_in_doubt_spares_no_judge(wired: Any, ask: Any) -> None:
    judge = Asked([verdict("violence")])
    image = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
    answer = await ask(wired(judge, RULES + "    when_unread: forward\n").app, body("fine", "unsure", image))
    assert answer.headers["x-offramp-decision"] == "block"
    assert answer.headers["x-offramp-abstained"] == "safety:unread"
    assert judge.texts() == [["unsure"]]


async def test_only_what_is_settled_is_left_out_of_the_question(wired: Any, ask: Any) -> None:
    judge = Asked([verdict()])
    # whole, that is unsure; read by itself, the last text is broken
    await ask(wired(judge).app, body("unsure one", "fine", "broken"))
    assert judge.texts() == [["unsure one", "broken"]]


async def test_what_is_passed_in_another_language_is_not_put_to_the_judge(wired: Any, ask: Any) -> None:
    judge = Asked([verdict()])
    gateway = wired(judge, RULES + "    when_language: forward\n")
    answer = await ask(gateway.app, body("unsure one", "fine", "another language"))
    # what the judge has not read stays unread
    assert (answer.headers["x-offramp-decision"], answer.headers["x-offramp-abstained"]) == (
        "forward",
        "safety:language",
    )
    await ask(gateway.app, body("another language"))
    assert judge.texts() == [["unsure one"]]


async def test_another_language_alone_may_be_put_to_the_judge(wired: Any, ask: Any) -> None:
    judge = Asked([verdict("violence")])
    gateway = wired(judge, RULES.replace("when_unsure", "when_language"))
    assert (await ask(gateway.app, body("another language"))).headers["x-offramp-judged"] == "safety:violence"
    assert (await ask(gateway.app, body("unsure"))).headers["x-offramp-abstained"] == "safety:unsure"
    assert judge.texts() == [["another language"]]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (None, "timeout"),
        (UpstreamFailed("it is down"), "failed"),
        (RuntimeError("a library's own fault"), "failed"),
        (Answer(status=500, headers=JSON, body=b"{}"), "failed"),
        (Answer(status=400, headers=JSON, body=b'{"error": {"code": "content_filter"}}'), "unreadable"),
        (Answer(status=200, headers=JSON, body=b'{"choices": []}'), "unreadable"),
        ("echo", "failed"),
    ],
)
@pytest.mark.parametrize("broken", ["block", "forward"])
async def test_without_a_verdict_when_broken_decides(
    wired: Any, ask: Any, answer: Any, outcome: str, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.judge.judge.WITHIN_S", 0.05)
    rules = RULES + f"    when_broken: {broken}\n"
    answers = [answer] if isinstance(answer, (Answer, Exception)) else [verdict()]
    gateway = wired(Asked(answers, delay_s=5.0 if answer is None else 0.0, notional=answer == "echo"), rules)
    headers = (await ask(gateway.app, body("unsure"))).headers
    assert headers["x-offramp-decision"] == broken
    assert headers["x-offramp-judged"] == f"safety:{outcome}"
    assert headers["x-offramp-abstained"] == "safety:broken"
    assert gateway.metrics.judge_verdicts.labels("safety", outcome)._value.get() == 1
    asked = next(record for record in gateway.records() if record.decision == "judge")
    assert (asked.error, asked.status == 499) == (outcome, outcome == "timeout")
    # what was begun and left may have cost something
    assert (asked.spent_usd is None) == (outcome == "timeout" or asked.usage_source == "missing")


async def test_the_call_has_a_row_and_its_cost_is_taken_off(wired: Any, ask: Any) -> None:
    gateway = wired(Asked([verdict("violence")]))
    await ask(gateway.app, body("unsure"))
    judged, asked = sorted(gateway.records(), key=lambda record: record.endpoint, reverse=True)
    assert (asked.decision, asked.label, asked.judged) == ("block", "violence", "safety:violence")
    assert (judged.endpoint, judged.decision, judged.rule, judged.label) == ("judge", "judge", "safety", "violence")
    assert (judged.request_id, judged.requested_model, judged.upstream) == (asked.request_id, "cheap", "two")
    assert judged.spent_usd == pytest.approx(100 * 1e-6 + 10 * 4e-6)
    assert (judged.saved_reason, judged.saved_usd) == ("judge", -judged.spent_usd)
    # no request of a client's
    assert "judge" not in str([sample.labels for sample in gateway.metrics.requests.collect()[0].samples])


async def test_a_verdict_is_remembered_and_a_failure_is_not(wired: Any, ask: Any) -> None:
    judge = Asked([UpstreamFailed("it is down"), verdict("violence"), verdict()])
    gateway = wired(judge)
    assert (await ask(gateway.app, body("unsure"))).headers["x-offramp-judged"] == "safety:failed"
    for _ in range(2):
        assert (await ask(gateway.app, body("unsure"))).headers["x-offramp-judged"] == "safety:violence"
    # only the turn that is in doubt, which was judged in its own time
    later = await ask(gateway.app, body("well", "unsure", "and so on"))
    assert later.headers["x-offramp-judged"] == "safety:violence"
    assert len(judge.calls) == 2
    assert gateway.metrics.judge_remembered.labels("safety")._value.get() == 2
    await ask(gateway.app, body("unsure", "unsure of more"))
    assert judge.texts()[-1] == ["unsure", "unsure of more"]


@pytest.mark.parametrize(("gossip", "decision"), [("flag", "redact"), ("block", "block")])
async def test_it_sees_what_a_model_would_be_sent(wired: Any, ask: Any, gossip: str, decision: str) -> None:
    rules = RULES + f"  - {{name: privacy, classifier: data, then: {{contact: redact, gossip: {gossip}}}}}\n"
    judge = Asked([verdict()])
    answer = await ask(wired(judge, rules).app, body("unsure gossip, write to ann@example.org"))
    assert answer.headers["x-offramp-decision"] == decision
    assert judge.texts() == [["unsure gossip, write to [EMAIL_1]"]]


@pytest.mark.parametrize(("when_broken", "asked"), [("block", 0), ("forward", 1)])
async def test_what_a_redacting_rule_has_not_read_is_shown_only_where_it_may_pass(
    wired: Any, ask: Any, when_broken: str, asked: int
) -> None:
    rules = (
        RULES.replace("    then:", "    reads: {roles: [user]}\n    then:")
        + f"""
  - name: privacy
    classifier: data
    reads: {{roles: [tool]}}
    then: {{contact: redact}}
    when_broken: {when_broken}
"""
    )
    messages = [{"role": "tool", "content": "broken"}, {"role": "user", "content": "unsure"}]
    judge = Asked([verdict()])
    answer = await ask(wired(judge, rules).app, json.dumps({"model": "dear", "messages": messages}).encode())
    assert answer.headers["x-offramp-decision"] == ("forward" if asked else "block")
    assert len(judge.calls) == asked


READS_SYSTEM = {"version": 1, "kind": "safety", "about": "tests", "reads_system": True}


@pytest.mark.parametrize("reads", [True, False])
async def test_a_judge_sees_the_prompt_where_the_policy_reads_it(
    wired: Any, ask: Any, policies: dict[str, Policy], reads: bool
) -> None:
    labels = {"contact": {"means": "c", "patterns": "email"}, "gossip": {"means": "g"}}
    policies["data"] = Policy.model_validate({**READS_SYSTEM, "name": "data", "labels": labels, "reads_system": reads})
    # a rule that redacts reads all roles, the prompt's own among them
    rules = """
rules:
  - {name: privacy, classifier: data, then: {contact: redact, gossip: block}, when_unsure: {ask: cheap}}
"""
    judge = Asked([verdict()])
    gateway = wired(judge, rules)
    for system in ("The code is 4, ask ann@example.org", "The code is 4, ask ann@example.org", "Be kind"):
        messages = [{"role": "system", "content": system}, {"role": "user", "content": "unsure"}]
        await ask(gateway.app, json.dumps({"model": "dear", "messages": messages}).encode())
    assert {reading.system for reading in gateway.classify.asked} >= {"The code is 4, ask ann@example.org", "Be kind"}
    shown = [json.loads(json.loads(call.body)["messages"][1]["content"]) for call in judge.calls]
    systems = ["The code is 4, ask [EMAIL_1]", "Be kind"] if reads else [None]
    assert [one.get("system") for one in shown] == systems
    assert all("unsure" in one["texts"] for one in shown)


async def test_a_client_that_leaves_ends_the_question(wired: Any, ask: Any) -> None:
    judge = Asked([verdict()], delay_s=5.0)
    gateway = wired(judge)
    gone = asyncio.Event()
    asking = asyncio.create_task(ask(gateway.app, body("unsure"), gone=gone))
    while not judge.calls:  # noqa: ASYNC110 - the fake has no event for it
        await asyncio.sleep(0.005)
    gone.set()
    await asyncio.wait_for(asking, 2)
    judged = next(record for record in gateway.records() if record.endpoint == "judge")
    assert (judged.error, judged.spent_usd) == ("cancelled", None)


def moderated(**categories: bool) -> Answer:
    result = {"flagged": any(categories.values()), "categories": categories}
    return Answer(status=200, headers=JSON, body=json.dumps({"id": "m", "model": "x", "results": [result]}).encode())


async def test_a_moderation_endpoint_judges_by_its_categories(wired: Any, ask: Any, wire: Wire) -> None:
    judge = Asked([moderated(violence=True, jailbreak=False)])
    base = BASE.replace("internal: true", "internal: true, endpoint: moderations")
    gateway = wire(RULES, base=base, upstreams={"one": judge, "two": judge})
    answer = await ask(gateway.app, body("unsure"))
    assert (answer.headers["x-offramp-decision"], answer.headers["x-offramp-label"]) == ("block", "violence")
    [call] = judge.calls
    assert (call.path, json.loads(call.body)) == ("/moderations", {"model": "cheap", "input": ["unsure"]})
    asked = next(record for record in gateway.records() if record.endpoint == "judge")
    # it reports no usage, and its price by the token is known
    assert asked.spent_usd == 0


async def test_an_optional_field_that_is_refused_is_left_out_from_then_on(wired: Any, ask: Any) -> None:
    refused = Answer(status=400, headers=JSON, body=b'{"error": {"message": "\'temperature\' does not support 0"}}')
    judge = Asked([refused, verdict()])
    gateway = wired(judge)
    for text in ("unsure", "still unsure"):
        assert (await ask(gateway.app, body(text))).headers["x-offramp-judged"] == "safety:safe"
    assert ["temperature" in json.loads(call.body) for call in judge.calls] == [True, False, False]
    assert all("response_format" in json.loads(call.body) for call in judge.calls)
