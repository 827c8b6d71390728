"""Why calls cannot be answered here, told before anything is trained; and the order of what can."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.discover.calls import Exchange, call_of
from gateway.discover.evaluate import AnswerPair, agreement_of
from gateway.discover.finding import Finding, look
from gateway.ledger.prices import load_prices

from .logs import SCHEMA, SYSTEM, harm_calls, pair, two_templates, user

PRICES = load_prices(Path(__file__).parents[3] / "config" / "prices.yaml")
TEXTS = [text for text, _ in harm_calls(60)]
ASKED = "Is it meant well: yes, no or maybe?"
TWO = ["yes", "no"] * 30


def findings(requests: list[dict[str, Any]], answers: list[str]) -> list[Finding]:
    calls = []
    for i, (request, answer) in enumerate(zip(requests, answers, strict=True)):
        one = pair(request, answer, 1000 * i)
        calls.append(call_of(Exchange(request=one.request, response=one.response, at=float(one.at)), f"log:{i}"))
    return look(calls, PRICES)


def with_image(text: str, number: int) -> dict[str, Any]:
    """A request with a text and an image of its own."""
    image = {"type": "image_url", "image_url": {"url": f"https://example.org/{number}.png"}}
    request = user("", ASKED)
    request["messages"][-1]["content"] = [{"type": "text", "text": text}, image]
    return request


@pytest.mark.parametrize(
    ("requests", "answers", "reason"),
    [
        ([with_image("Is this one?", i) for i in range(60)], TWO, "images, audio or files"),
        ([with_image(text, i) for i, text in enumerate(TEXTS)], TWO, "images, audio or files"),
        ([user("What is new?", ASKED)] * 60, TWO, "a cache answers that"),
        ([user(text, ASKED) for text in TEXTS], [f"It is number {i}." for i in range(60)], "free text"),
        ([user(text, ASKED) for text in TEXTS[:39]], TWO[:39], "too few calls: 39"),
        ([user(text, ASKED) for text in TEXTS], TWO[:40] + [f"so {i // 2}" for i in range(20)], "too many different"),
        ([user(text, ASKED) for text in TEXTS], ["yes"] * 60, "always the same answer (yes)"),
        ([user(text, "None or other?") for text in TEXTS], ["None", "other"] * 30, "None and other are words of"),
        ([user(text, ASKED) for text in TEXTS], [""] * 60, "no answer that can be read"),
        ([user(text, ASKED) for text in TEXTS], ['{"is": ["yes"]}', '{"is": ["no"]}'] * 30, "several labels"),
        ([user(text, f"{ASKED} It is day {i}.") for i, text in enumerate(TEXTS)], TWO, "system prompt changes"),
        ([user(text, "Is it meant well?") for text in TEXTS], TWO, "no_place"),
        (
            [user(text, ASKED, tools=[{"type": "function", "function": {"name": "f"}}]) for text in TEXTS],
            TWO,
            "free_tools",
        ),
    ],
)
def test_an_obstacle_is_told(requests: list[dict[str, Any]], answers: list[str], reason: str) -> None:
    [finding] = findings(requests, answers)
    assert finding.obstacle is not None
    assert reason in finding.obstacle
    assert finding.replaceability == 0


def test_a_field_that_is_no_label_is_an_obstacle() -> None:
    schema = json.loads(json.dumps(SCHEMA))
    inner = schema["json_schema"]["schema"]
    inner["properties"]["why"] = {"type": "string"}
    inner["required"].append("why")
    answers = [json.dumps({"about": word, "why": f"since {i}"}) for i, word in enumerate(["Shop", "Off topic"] * 30)]
    [finding] = findings([user(text, SYSTEM, response_format=schema) for text in TEXTS], answers)
    assert "other_field" in str(finding.obstacle)


def test_what_may_be_answered_has_no_obstacle_and_two_groups_have_two_names() -> None:
    pairs = two_templates(60)
    found = look(
        [call_of(Exchange(request=one.request, response=one.response, at=float(one.at)), "log") for one in pairs],
        PRICES,
    )
    assert [one.obstacle for one in found] == [None, None]
    assert len({one.name for one in found}) == 2
    assert all(one.givable == 1 for one in found)
    # nothing is measured yet, so the dearer model comes first
    assert [one.models for one in found] == [("gpt-4o",), ("gpt-4o-mini",)]


def test_calls_with_an_image_are_none_that_can_be_answered() -> None:
    requests = [with_image(text, i) if i % 4 == 0 else user(text, ASKED) for i, text in enumerate(TEXTS)]
    found = findings(requests, TWO)
    assert sum(one.calls for one in found) == 60
    assert {one.obstacle for one in found} == {None}
    assert sum(one.givable * one.calls for one in found) == pytest.approx(45)


def test_a_bound_lets_through_what_is_sure_enough() -> None:
    sure = [AnswerPair(text=f"s{i}", confidence=0.99 - i / 1000, agrees=True, calls=2) for i in range(149)]
    doubtful = [AnswerPair(text=f"d{i}", confidence=0.5, agrees=i % 2 == 0, calls=1) for i in range(100)]
    found = agreement_of([*doubtful, *sure], bound=0.02)
    assert found.threshold == pytest.approx(0.99 - 148 / 1000)
    assert found.answered == pytest.approx(298 / 398)
    assert found.share == pytest.approx(199 / 249)
    assert found.low < found.share < found.high


def test_too_few_pairs_show_no_bound_and_ties_are_not_parted() -> None:
    assert (
        agreement_of(
            [AnswerPair(text=str(i), confidence=0.9, agrees=True, calls=1) for i in range(148)], bound=0.02
        ).answered
        == 0
    )
    tied = [AnswerPair(text=str(i), confidence=0.9, agrees=i < 200, calls=1) for i in range(300)]
    assert agreement_of(tied, bound=0.02).threshold is None
    assert agreement_of([], bound=0.02).answered == 0
