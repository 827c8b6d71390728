import asyncio
import json
from typing import Any
from unittest.mock import ANY

import pytest

from classifiers.policy import Policy
from gateway.judge.protocol import Unreadable, of_moderation


async def moderate(ask: Any, app: Any, body: Any) -> tuple[int, dict[str, Any]]:
    answer = await ask(app, json.dumps(body).encode(), path="/v1/moderations")
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ("hello", [False]),
        (["hello", "violence"], [False, True]),
        ([{"type": "text", "text": "hello"}, {"type": "text", "text": "violence"}], [True]),
        ([{"type": "text", "text": "hello"}, "violence"], [True]),
    ],
)
async def test_one_result_for_each_text_and_one_for_all_parts(
    api: Any, ask: Any, given: Any, flags: list[bool]
) -> None:
    app, _, _ = api("safe")
    _, answer = await moderate(ask, app, {"input": given})
    assert [result["flagged"] for result in answer["results"]] == flags


async def test_an_item_that_does_not_fit_is_named(api: Any, ask: Any) -> None:
    app, _, _ = api("safe")
    for given, param in (
        ([1, 2], "input[0]"),
        (["a", {"type": 1}], "input[1].type"),
        ([{}], "input[0].type"),
        (1, "input"),
    ):
        status, answer = await moderate(ask, app, {"input": given})
        assert (status, answer["error"]["param"]) == (400, param)
        assert answer["error"]["message"].startswith(f"{param}: ")


@pytest.mark.parametrize("kind", ["too long", "language"])
async def test_what_was_not_judged_is_not_called_harmless(api: Any, ask: Any, kind: str) -> None:
    app, engine, _ = api("safe")
    engine.classifiers.longest = 1000
    for given in (kind, "a" * 1001, [{"type": "text", "text": kind}], [{"type": "text", "text": "hello"}, kind]):
        status, answer = await moderate(ask, app, {"input": given})
        assert (status, answer["error"]["param"], answer["error"]["code"]) == (400, "input", None)
    # asked again, it may be judged; so the whole list is to be asked again
    for again in ("broken", "too late"):
        assert (await moderate(ask, app, {"input": ["hello", kind, again]}))[0] == 503
    _, answer = await moderate(ask, app, {"input": [f"violence {kind}", "unsure"]})
    assert [result["flagged"] for result in answer["results"]] == [True, False]


@pytest.mark.parametrize(("text", "code"), [("too long", "too_long"), ("another language", "language")])
async def test_of_a_list_each_text_has_its_result_though_others_are_not_judged(
    api: Any, ask: Any, text: str, code: str
) -> None:
    app, _, _ = api("safe")
    status, answer = await moderate(ask, app, {"input": ["hello", text, "violence", f"violence, {text}"]})
    hello, unjudged, violence, both = answer["results"]
    assert (status, hello["flagged"], violence["flagged"], both["flagged"]) == (200, False, True, True)
    assert not any("error" in result for result in (hello, violence, both))
    assert (unjudged["flagged"], unjudged["error"]["code"], unjudged["error"]["param"]) == (True, code, "input[1]")
    # neither flagged nor harmless, under the names of every other result; a judge's client reads none of them
    assert unjudged["categories"] == dict.fromkeys(hello["categories"])
    assert unjudged["category_scores"] == dict.fromkeys(hello["category_scores"])
    assert not any(unjudged["category_applied_input_types"].values())
    with pytest.raises(Unreadable):
        of_moderation(json.dumps({"results": [unjudged]}).encode(), {"violence": ["violence"]}, 1)
    assert (await moderate(ask, app, {"input": [text]}))[1]["results"] == [
        {**unjudged, "error": {**unjudged["error"], "param": "input[0]", "message": ANY}}
    ]


@pytest.mark.parametrize(
    "given",
    [[], [7], ["too", "many", "texts"], [{"text": "no type"}], [{"type": "image_url", "image_url": {"url": "x"}}]],
)
async def test_what_is_no_input(api: Any, ask: Any, monkeypatch: pytest.MonkeyPatch, given: Any) -> None:
    monkeypatch.setattr("gateway.http.direct.MOST_INPUTS", 2)
    app, _, _ = api("safe")
    status, answer = await moderate(ask, app, {"input": given})
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


async def test_a_client_that_goes_away_in_mid_body_is_no_fault(
    api: Any, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app, _, _ = api("safe")
    gone = asyncio.Event()
    gone.set()
    answer = await ask(app, parts=[], gone=gone, path="/v1/moderations")
    assert answer.status == 499
    assert caplog.records == []


async def test_the_classifier_of_the_first_safety_rule_or_the_one_named(api: Any, ask: Any) -> None:
    app, _, _ = api("bank", "safe", rules="rules:\n  - {name: b, classifier: bank, then: {card: flag}}\n")
    assert (await moderate(ask, app, {"input": "x"}))[1]["model"] == "safe@v1"
    assert (await moderate(ask, app, {"input": "x", "model": "safe"}))[1]["model"] == "safe@v1"
    status, answer = await moderate(ask, app, {"input": "x", "model": "bank"})
    assert (status, answer["error"]["param"]) == (404, "model")


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        (["sexual", "sexual/minors"], {"sexual"}),
        (["sexual/minors"], {"sexual/minors"}),
        (["sexual/minors", "sexual/minors"], {"sexual/minors"}),
        (["sexual/minors", "hate/threatening"], {"sexual", "hate"}),
        (["violence", "hate/threatening"], {"violence"}),
        (["hate", "harassment"], {"hate", "harassment"}),
        (["self-harm/intent", "self-harm/instructions"], {"self-harm"}),
    ],
)
async def test_a_label_of_several_categories_stands_for_no_subcategory(
    api: Any, ask: Any, policies: dict[str, Policy], named: list[str], shown: set[str]
) -> None:
    labels = policies["safe"].model_dump(by_alias=True)["labels"]
    labels["violence"]["taxonomy"] = {"openai": named}
    policies["safe"] = Policy.model_validate({**policies["safe"].model_dump(by_alias=True), "labels": labels})
    app, _, _ = api("safe")
    [result] = (await moderate(ask, app, {"input": "violence"}))[1]["results"]
    assert {name for name, flagged in result["categories"].items() if flagged} == shown
    assert {name for name, score in result["category_scores"].items() if score} == {*shown, "jailbreak"}
