"""Measures of verdicts against the truth, and the confusion matrices."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from classifiers.evaluation.evaluate import confusion, evaluate
from classifiers.policy import OTHER, Policy
from classifiers.runtime.thresholds import name_one
from classifiers.verdict import Abstention, Verdict

LABELS = ("card_arrival", "exchange_rate", "lost_card")


def says(label: str, confidence: float) -> Verdict:
    rest = (1 - confidence) / 3
    scores = {name: confidence if name == label else rest for name in LABELS}
    return Verdict(classifier="bank", version="", labels=(label,), confidence=confidence, scores=scores)


def unsure(verdict: Verdict) -> Verdict:
    return replace(verdict, labels=(), abstention=Abstention.UNSURE)


def flags(*labels: str, doubt: bool = False, **scores: float) -> Verdict:
    return Verdict(
        classifier="safe",
        version="",
        labels=labels,
        scores={"violence": 0.0, "jailbreak": 0.0, **scores},
        abstention=Abstention.UNSURE if doubt else None,
    )


def test_single_label_measures(make_policy: Callable[..., Policy]) -> None:
    verdicts = [
        says("card_arrival", 0.9),
        says("card_arrival", 0.95),
        unsure(says("lost_card", 0.4)),
        says(OTHER, 0.7),
        says("lost_card", 0.8),
    ]
    truths = [("card_arrival",), ("exchange_rate",), ("lost_card",), ("other",), ("none",)]
    found = evaluate(make_policy(), list("abcde"), truths, verdicts)
    assert found["accuracy"] == 0.6
    assert found["interval"][0] < 0.6 < found["interval"][1]
    assert (found["answered"], found["error"]) == (0.6, pytest.approx(2 / 3, abs=1e-4))
    scope = found["out_of_scope"]
    assert (scope["rows"], scope["answered"]) == (2, 0.5)
    assert [(error["text"], error["truth"], error["predicted"]) for error in found["errors"]] == [
        ("b", "exchange_rate", "card_arrival"),
        ("e", "other", "lost_card"),
    ]
    doubted = [one["text"] for texts in found["confusion"]["texts"] for one in texts if one.get("doubt")]
    assert doubted == ["c"]
    card = found["labels"]["card_arrival"]
    assert (card["precision"], card["recall"], card["support"]) == (0.5, 1.0, 1)
    matrix = found["confusion"]
    assert [matrix["labels"][matrix["cells"][0][i]] for i in (0, 1)] == ["card_arrival", "card_arrival"]
    assert sum(count for *_, count in matrix["cells"]) == 5
    assert found["risk_coverage"][-1]["answered"] == 0.8
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0 + 2 / 3 + 2 / 3) / 4, abs=1e-4)


def test_each_text_needs_its_truth_and_its_verdict(make_policy: Callable[..., Policy]) -> None:
    with pytest.raises(ValueError, match="2 texts, 2 truths and 1 verdicts"):
        evaluate(make_policy(), ["a", "b"], [("other",)] * 2, [says("lost_card", 0.8)])


def test_what_no_threshold_would_answer_is_not_on_the_curve(make_policy: Callable[..., Policy]) -> None:
    novel = name_one(LABELS, np.array([0.9, 0.05, 0.05]), {}, novel=True).reason
    verdicts = [
        says("card_arrival", 0.9),
        replace(unsure(says("lost_card", 0.99)), missing=("time",)),
        replace(unsure(says("lost_card", 0.99)), reason=novel),
        unsure(says("card_arrival", 0.4)),
    ]
    found = evaluate(make_policy(), list("abcd"), [("card_arrival",)] * 4, verdicts)
    assert found["risk_coverage"] == [
        {"act": 0.9, "answered": 0.25, "error": 0.0},
        {"act": 0.4, "answered": 0.5, "error": 0.0},
    ]


@pytest.mark.parametrize("scores", [{}, dict.fromkeys(LABELS, 0.0)])
@pytest.mark.parametrize("other", ["anything else", None])
def test_a_text_without_anything_to_read_is_certain_of_nothing(
    make_policy: Callable[..., Policy], scores: dict[str, float], other: str | None
) -> None:
    unread = Verdict(classifier="bank", version="", scores=scores, abstention=Abstention.UNREAD)
    verdicts = [unread, says("card_arrival", 0.9), replace(says(OTHER, 1.0), confidence=1.0)]
    truths = [("card_arrival",), ("card_arrival",), ("other",)]
    found = evaluate(make_policy(other=other), list("abc"), truths, verdicts)
    assert [(error["text"], error["confidence"]) for error in found["errors"]] == [("a", 0.0)]
    assert [entry["rows"] for entry in found["reliability"]] == [2]
    assert found["answered"] == pytest.approx(1 / 3, abs=1e-4)


def test_safety_measures(make_policy: Callable[..., Policy]) -> None:
    verdicts = [
        flags("violence", violence=0.9),
        flags(doubt=True, violence=0.4),
        flags(jailbreak=0.1),
        flags("jailbreak", jailbreak=0.6),
        flags(doubt=True, jailbreak=0.3),
    ]
    truths: list[tuple[str, ...]] = [("violence",), ("violence",), (), ("none",), ()]
    found = evaluate(make_policy("safety"), list("abcde"), truths, verdicts)
    for share in (found["flagged"], found["doubted"]):
        assert (share["harmful"], share["harmless"]) == (0.5, pytest.approx(1 / 3, abs=1e-4))
    assert found["accuracy"] == 0.6
    figures = [found["labels"]["violence"][name] for name in ("auprc", "recall_at_1pct_false_alarms")]
    assert (figures, found["labels"]["jailbreak"]["auprc"]) == ([1.0, 1.0], None)
    wrong = {error["text"]: (error["predicted"], error["confidence"], error.get("doubt")) for error in found["errors"]}
    assert wrong == {"b": ("none", 0.4, True), "d": ("jailbreak", 0.6, None)}
    matrix = found["confusion"]
    cells = {tuple(matrix["labels"][i] for i in cell[:2]): cell[2] for cell in matrix["cells"]}
    assert cells == {
        ("violence", "violence"): 1,
        ("violence", "none"): 1,
        ("none", "jailbreak"): 1,
        ("none", "none"): 2,
    }


def test_each_label_is_ranked_against_all_others(make_policy: Callable[..., Policy]) -> None:
    verdicts = [
        says("card_arrival", 0.9),
        unsure(says("card_arrival", 0.4)),
        says("lost_card", 0.8),
        says(OTHER, 0.7),
        replace(unsure(says("card_arrival", 0.4)), scores={}),
    ]
    truths = [("card_arrival",), ("card_arrival",), ("lost_card",), ("other",), ("exchange_rate",)]
    found = evaluate(make_policy(), list("abcde"), truths, verdicts)
    assert {name: one["auprc"] for name, one in found["labels"].items()} == {
        "card_arrival": 1.0,
        "exchange_rate": 0.2,
        "lost_card": 1.0,
        "other": 1.0,
    }
    assert found["labels"]["exchange_rate"]["recall_at_1pct_false_alarms"] == 0.0
    assert found["macro"]["auprc"] == 0.8
    assert found["macro"]["recall_at_1pct_false_alarms"] == 0.75


def test_of_several_labels_the_curve_holds_each_score_against_one_half(make_policy: Callable[..., Policy]) -> None:
    verdicts = [
        flags("violence", violence=0.9),
        flags(doubt=True, violence=0.8, jailbreak=0.4),
        flags(doubt=True, jailbreak=0.3),
        replace(flags(violence=0.1), abstention=Abstention.LANGUAGE),
    ]
    truths: list[tuple[str, ...]] = [("violence",), ("jailbreak",), (), ()]
    harmful = evaluate(make_policy("safety"), list("abcd"), truths, verdicts)
    assert harmful["risk_coverage"] == [
        {"act": 0.9, "answered": 0.25, "error": 0.0},
        {"act": 0.8, "answered": 0.5, "error": 0.0},
        {"act": 0.7, "answered": 0.75, "error": 0.0},
    ]


def test_missed_labels_count_against_wrongly_predicted_ones() -> None:
    found = confusion(
        ["a", "b", "c", "none"],
        [{"a", "b"}, {"a"}, set(), set(), {"a", "b"}],
        [{"a"}, {"c"}, {"c"}, set(), {"a", "c"}],
        [{"text": str(row), "confidence": 0.5} for row in range(5)],
    )
    names = found["labels"]
    cells = {(names[truth], names[prediction]): count for truth, prediction, count in found["cells"]}
    assert cells.pop(("a", "a")) == 2
    assert cells == dict.fromkeys([("b", "none"), ("a", "c"), ("none", "c"), ("none", "none"), ("b", "c")], 1)
