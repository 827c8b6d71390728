from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from classifiers.model.model import Model
from classifiers.model.selftest import failures, passes
from classifiers.policy import Policy, PolicyTest
from classifiers.verdict import Abstention, Reading, SlotValue, Verdict

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def said(*labels: str, abstention: Abstention | None = None) -> Verdict:
    return Verdict(classifier="x", version="v", labels=labels, scores={}, abstention=abstention, reason="why")


@pytest.mark.parametrize(
    ("kind", "expect", "verdict", "passed"),
    [
        ("intent", "first", said("first"), True),
        ("intent", "first", said("second"), False),
        ("intent", ["first", "second"], said("second"), True),
        ("intent", "first", said(abstention=Abstention.UNSURE), False),
        ("intent", "other", said("other"), True),
        ("intent", "other", said(abstention=Abstention.UNSURE), True),
        ("intent", "other", said("first"), False),
        ("intent", "other", said(abstention=Abstention.BROKEN), False),
        ("safety", "first", said("first"), True),
        ("safety", "first", said("first", "second"), True),
        ("safety", ["first", "second"], said("first"), False),
        ("safety", "first", said("first", abstention=Abstention.UNSURE), True),
        ("safety", "none", said(), True),
        ("safety", "none", said("first"), False),
        ("safety", "none", said(abstention=Abstention.UNSURE), False),
        ("safety", "none", said(abstention=Abstention.UNREAD), False),
    ],
)
def test_passes(kind: str, expect: str, verdict: Verdict, passed: bool, make_policy: Callable[..., Policy]) -> None:
    policy = make_policy(kind, labels=["first", "second"])
    assert passes(policy, PolicyTest.model_validate({"text": "t", "expect": expect}), verdict) is passed


def test_failures_say_what_was_expected(bare_model: Callable[..., Model]) -> None:
    tests = [{"text": "one", "expect": "first"}, {"text": "two", "expect": ["first", "other"]}]
    asked: list[Reading] = []

    def classify(readings: Sequence[Reading]) -> list[Verdict]:
        asked.extend(readings)
        return [said(abstention=Abstention.UNSURE), said("second")]

    lines = failures(bare_model("intent", tests=tests), classify, "bank@v1", now=NOW)
    assert [(reading.classifier, reading.texts) for reading in asked] == [("bank@v1", ("one",)), ("bank@v1", ("two",))]
    assert {reading.now for reading in asked} == {NOW}
    assert lines == ["'one' should be first, but is unsure (why)", "'two' should be first or other, but is second"]


def test_slots_are_expected_in_their_words_or_as_values(make_policy: Callable[..., Policy]) -> None:
    policy = make_policy("slots", slots={"time": {"means": "when", "type": "time"}})
    filled = SlotValue(slot="time", start=3, end=7, raw="7 pm", value="19:00", confidence=0.9)
    verdict = Verdict(classifier="bank", version="", labels=("card_arrival",), scores={}, slots=(filled,))
    for words, passed in (("7 PM", True), ("19:00", True), ("7", False)):
        test = PolicyTest(text="at 7 pm", slots={"time": words})
        assert passes(policy, test, verdict) is passed
    missing = replace(verdict, abstention=Abstention.UNSURE, missing=("people",))
    assert passes(policy, PolicyTest(text="at 7 pm", expect=("card_arrival",)), missing)
    assert not passes(policy, PolicyTest(text="at 7 pm", expect=("lost_card",)), missing)
