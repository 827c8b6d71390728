"""Labels as answers in the request path: a judge's are given as well, and only of rules that were asked is told."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from gateway.context import Headers
from tests.gateway.answers.conftest import obj
from tests.given import table_text

Wire = Callable[..., Any]
JSON: Headers = [(b"content-type", b"application/json")]
BASE = table_text("given/gateway-judge-base.yaml")
JUDGED = """
rules:
  - name: safety
    classifier: safe
    when: {any_system: true}
    then: {"*": {answer: label}}
    when_unsure: {ask: cheap}
"""
TEXTS = JUDGED.replace('{"*": {answer: label}}', """{violence: {answer: 'Stay calm.'}, jailbreak: {answer: "No!"}}""")
OUTPUT = JUDGED.replace("when: {any_system: true}", "reads: {output: true}").replace("{answer: label}", "{act}")
BOUND = JUDGED + "    contract: true\n"
ABOVE = """
rules:
  - {name: above, classifier: safe, then: {"*": block}}
  - {name: intents, classifier: bank, when: {any_system: true}, then: {"*": {answer: label}}}
"""
ABOVE_A_CONTRACT = ABOVE.replace("{answer: label}}}", "{answer: label}}, contract: true}")
ASKS = "Answer with violence or jailbreak."


@pytest.fixture
def wired(wire: Wire, make_answer: Any, fake_upstream: Any) -> Callable[..., Any]:
    """wired(rules, *labels): a gateway whose judge names these."""

    def make(rules: str, *labels: str) -> Any:
        said = {"finish_reason": "stop", "message": {"content": json.dumps({"labels": labels})}}
        judge = fake_upstream([make_answer(json.dumps({"choices": [said]}).encode())], name="two")
        answer = make_answer(b'{"choices":[{"message":{"content":"unsure of this"}}]}')
        return wire(rules, base=BASE, upstreams={"one": fake_upstream([answer], name="one"), "two": judge})

    return make


def body(text: str, system: str = "", **more: Any) -> bytes:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
    return json.dumps({"model": "dear", "messages": messages, **more}).encode()


@pytest.mark.parametrize("rules", [JUDGED, BOUND])
async def test_a_label_that_a_judge_names_is_the_answer(wired: Any, ask: Any, rules: str) -> None:
    # that prompt may go on and ask for another form of the word
    foreign = await ask(wired(rules, "violence").app, body("unsure of this", ASKS))
    assert foreign.headers["x-offramp-abstained"].endswith("safety:free_form")
    rules = rules.replace("any_system: true", f'system: "{ASKS}"')
    answer = await ask(wired(rules, "violence").app, body("unsure of this", ASKS))
    assert answer.headers["x-offramp-decision"] == "answer"
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "violence"


@pytest.mark.parametrize("bound", ["", "    contract: true\n"])
@pytest.mark.parametrize(("label", "decision"), [("violence", "answer"), ("jailbreak", "forward")])
async def test_of_the_texts_the_one_for_the_judges_label_must_fit_the_request(
    wired: Any, ask: Any, label: str, decision: str, bound: str
) -> None:
    answer = await ask(wired(TEXTS + bound, label).app, body("unsure of this", stop="!"))
    assert answer.headers["x-offramp-decision"] == decision


@pytest.mark.parametrize(
    ("rules", "text", "decision", "abstained"),
    [
        (ABOVE, "greeting", "forward", "intents:no_place"),
        (ABOVE, "violence and greeting", "block", None),
        (ABOVE_A_CONTRACT, "violence and greeting", "block", None),
    ],
)
async def test_of_a_rule_that_was_not_asked_nothing_is_told(
    wired: Any, ask: Any, rules: str, text: str, decision: str, abstained: str | None
) -> None:
    gateway = wired(rules)
    answer = await ask(gateway.app, body(text, "Answer with greeting, rate or card." if "contract" in rules else ""))
    assert answer.headers["x-offramp-decision"] == decision
    assert answer.headers.get("x-offramp-abstained") == abstained
    labels = {"rule": "intents", "reason": "no_place"}
    counted = gateway.metrics.registry.get_sample_value("offramp_unsupported_answers_total", labels)
    assert bool(counted) is (abstained is not None)


@pytest.mark.parametrize(("act", "flags"), [("flag", "safety:violence"), ("block", "")])
async def test_a_judge_is_asked_about_an_answer_in_doubt(wired: Any, ask: Any, act: str, flags: str) -> None:
    gateway = wired(OUTPUT.replace("{act}", act), "violence")
    answer = await ask(gateway.app, body("hello"))
    assert ("unsure of this" in answer.body.decode()) is (act == "flag")
    assert {record.flags for record in gateway.records()} == {flags, ""}


SCORED = """
rules:
  - name: topics
    classifier: safe
    when: {any_system: true}
    then: {"*": {answer: label}}
    fields: {score: confidence}
"""


async def test_an_answer_with_several_labels_is_as_certain_as_the_least_certain(wired: Any, ask: Any) -> None:
    gateway = wired(SCORED)
    gateway.classify.scores = {"jailbreak": 0.6}
    named = {"type": "array", "items": {"enum": ["violence", "jailbreak"]}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": obj(topics=named, score={"type": "number"})}}
    answer = await ask(gateway.app, body("violence and jailbreak", response_format=form, logprobs=True))
    [choice] = json.loads(answer.body)["choices"]
    assert json.loads(choice["message"]["content"]) == {"topics": ["violence", "jailbreak"], "score": 0.6}
    assert answer.headers["x-offramp-confidence"] == "0.6000"
    assert [math.exp(token["logprob"]) for token in choice["logprobs"]["content"]] == [pytest.approx(0.6)]
