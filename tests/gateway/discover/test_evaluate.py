"""A group's figures, the agreement to expect, and the obstacles; and the order of findings."""

import random
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from classifiers.encoder.session import Encoder
from gateway.config.prices import load_prices
from gateway.discover.evaluate import AnswerPair, agreement_of, pairs_of, period_s, spend
from gateway.discover.finding import Finding, look
from gateway.discover.labels import Labels

from .logs import calls_of, harm_calls, pair, user

PRICES = load_prices()
BILLS = [f"my {what} is wrong" for what in ("invoice", "bill", "receipt", "bank statement", "balance", "payment slip")]
PARCELS = [f"where is my {what}" for what in ("parcel", "order", "new sofa", "letter", "pair of shoes", "delivery van")]


def test_inputs_are_judged_by_a_fit_that_has_not_seen_them(encoder: Encoder) -> None:
    answers: dict[str, str | None] = {**dict.fromkeys(BILLS, "billing"), **dict.fromkeys(PARCELS, "parcel"), "hm": None}
    labels = Labels(by_call=tuple(answers.values()), field="", names=("billing", "parcel"))
    pairs = pairs_of(list(answers), labels, encoder, advance=lambda *_: None)
    assert sorted(pair.text for pair in pairs) == sorted(answers)
    assert [pair.text for pair in pairs if not pair.agrees] == ["hm"]


def test_a_log_that_repeats_its_tickets_shows_no_more_than_the_tickets(encoder: Encoder) -> None:
    """Each ticket comes four times, with another number; and the answers are drawn by lot."""
    things = ["card", "invoice", "parcel", "password", "refund", "phone", "garden", "bicycle", "cat", "soup", "piano"]
    tickets = [f"my {thing} {what}" for thing in things for what in ("is broken", "came too late")]
    chance = random.Random(0)
    drawn = [chance.choice("ab") for _ in tickets]
    inputs = [f"{ticket}, ticket {number}" for number in range(100, 500, 100) for ticket in tickets]
    labels = Labels(by_call=tuple(drawn * 4), field="", names=("a", "b"))
    agreement = agreement_of(pairs_of(inputs, labels, encoder, advance=lambda *_: None), bound=0.05)
    assert agreement.inputs == len(tickets)
    assert agreement.share < 0.8
    assert agreement.threshold is None


[CALL] = calls_of([pair(user("hello"), "a" * 40, 0)])


def test_spend_is_by_the_ledger_then_the_price_list_then_the_log() -> None:
    def figures(*calls: Any) -> tuple[Any, int, int]:
        found = spend(calls, PRICES)
        return pytest.approx(found.usd), found.estimated, found.unpriced

    listed, strange = 100 * 2.5e-6 + 5 * 10e-6, replace(CALL, model="our-own")
    assert figures(CALL, replace(CALL, reported_usd=9.0)) == (2 * listed, 0, 0)
    assert figures(replace(CALL, spent_usd=9.0, input_tokens=None), replace(strange, spent_usd=0.0)) == (9.0, 0, 0)
    assert figures(replace(strange, reported_usd=0.5), strange) == (0.5, 0, 1)
    assert figures(replace(CALL, output_tokens=0)) == (100 * 2.5e-6, 0, 0)


def test_tokens_without_usage_are_estimated_from_bytes_and_counted() -> None:
    found = spend([replace(CALL, input_tokens=None, output_tokens=None, message_bytes=400)], PRICES)
    assert (found.usd, found.estimated) == (pytest.approx(100 * 2.5e-6 + 10 * 10e-6), 1)
    wide = replace(CALL, completion=structs.replace(CALL.completion, content="я" * 20), output_tokens=None)
    assert spend([wide], PRICES).usd == pytest.approx(100 * 2.5e-6 + 10 * 10e-6)


def test_the_period_is_from_the_first_call_to_the_last() -> None:
    calls = [replace(CALL, at=float(at)) for at in (0, 5000, 10000)]
    assert period_s(calls) == 15000
    assert period_s([replace(CALL, at=None), *calls[:1]]) is None
    assert period_s([CALL, CALL]) is None
    # a second's calls say nothing of a month
    assert period_s([replace(CALL, at=float(at)) for at in range(7)]) is None


TEXTS = [text for text, _ in harm_calls(60)]
ASKED = "Is it meant well: yes, no or maybe?"
TWO = ["yes", "no"] * 30


def findings(requests: list[dict[str, Any]], answers: list[str]) -> list[Finding]:
    pairs = (pair(request, answer, 1000 * i) for i, (request, answer) in enumerate(zip(requests, answers, strict=True)))
    return look(calls_of(pairs), PRICES)


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


def test_a_bound_lets_through_what_is_sure_enough() -> None:
    sure = [AnswerPair(text=f"s{i}", confidence=0.99 - i / 1000, agrees=True, calls=2) for i in range(149)]
    doubtful = [AnswerPair(text=f"d{i}", confidence=0.5, agrees=i % 2 == 0, calls=1) for i in range(100)]
    found = agreement_of([*doubtful, *sure], bound=0.02)
    assert found.threshold == pytest.approx(0.99 - 148 / 1000)
    assert found.answered == pytest.approx(298 / 398)
    assert found.share == pytest.approx(199 / 249)
    assert found.low < found.share < found.high
