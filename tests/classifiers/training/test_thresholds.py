import itertools
import re
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers.model.model import NEVER, Band
from classifiers.policy import OTHER, Policy
from classifiers.report import figures
from classifiers.training.label_thresholds import OrdinaryTraffic, for_any
from classifiers.training.operating_points import SERVICES
from classifiers.training.thresholds import for_one, goal_lines, shares_at

CLASSES = ("card_arrival", "exchange_rate", "lost_card", OTHER)


def held_out(right: int, wrong: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that are right at 0.9 and wrong at 0.6, all of them in scope."""
    probabilities = np.full((right + wrong, 4), 0.1 / 3, np.float32)
    probabilities[:, 0] = 0.9
    probabilities[right:] = 0.4 / 3
    probabilities[right:, 0] = 0.6
    truth = np.zeros(right + wrong, np.int32)
    truth[right:] = 1
    return probabilities, truth


def test_other_that_is_named_is_wrong_and_no_answer(make_policy: Callable[..., Policy]) -> None:
    probabilities, truth = held_out(200, 0)
    probabilities[50:100] = probabilities[112:] = (0.1, 0.0, 0.0, 0.9)
    truth[100:] = CLASSES.index(OTHER)
    for least, missed in (("50%", False), ("51%", True), ("62%", True)):
        policy = make_policy(goal={"max_error": "20%", "min_answered": least}, out_of_scope="50%")
        chosen = for_one(policy, CLASSES, probabilities, truth, on="real rows")
        assert bool(chosen.missed) is missed
        assert (chosen.goals[0]["answered"], chosen.goals[0]["error"]) == (0.5, round(12 / 62, 5))
    line = chosen.missed[0]
    assert "on real rows (200 rows, 100 of them everyday sentences and other text of no label); the nearest" in line
    assert line.endswith("is 19.4% with 50.0% answered (62 answers, 12 of them to text of no label)")
    record = chosen.goals[0]
    assert (record["rows"], record["rows_of_no_label"]) == (200, 100)
    assert (record["answers"], record["answers_to_no_label"]) == (62, 12)


def test_text_unlike_training_is_no_answer_however_likely_a_label(make_policy: Callable[..., Policy]) -> None:
    probabilities, truth = held_out(80, 20)
    novel = np.arange(100) % 10 == 0
    for least, missed in (("90%", False), ("91%", True)):
        policy = make_policy(goal={"max_error": "20%", "min_answered": least})
        chosen = for_one(policy, CLASSES, probabilities, truth, on="written text", novel=novel)
        assert bool(chosen.missed) is missed
        assert (chosen.goals[0]["answered"], chosen.goals[0]["error"]) == (0.9, 0.2)


def test_a_goal_is_reached_by_just_so_many_rows(make_policy: Callable[..., Policy]) -> None:
    """Whatever the share is as a float; and one row fewer does not reach it."""
    for share, rows in itertools.product(range(5, 100, 5), range(20, 121, 20)):
        policy = make_policy(goal={"max_error": "0%", "min_answered": f"{share}%"})
        for right, missed in ((share * rows // 100, False), (share * rows // 100 - 1, True)):
            probabilities, truth = held_out(right, 1)
            rest = np.tile(np.array([0.1, 0.0, 0.0, 0.9], np.float32), (rows - right - 1, 1))
            probabilities = np.concatenate([probabilities, rest])
            chosen = for_one(policy, CLASSES, probabilities, np.resize(truth, rows), on="written text")
            assert bool(chosen.missed) is missed, (share, rows, right)


def test_what_the_policy_states_comes_before_a_bands_own_threshold(make_policy: Callable[..., Policy]) -> None:
    probabilities, truth = held_out(760, 40)
    bands = [Band(above=40, up_to=120)] * 600 + [Band(above=0, up_to=40)] * 200
    for least, own in (("90%", {bands[-1]}), ("99%", set())):
        policy = make_policy(goal={"max_error": "5%", "min_answered": least})
        chosen = for_one(policy, CLASSES, probabilities, truth, on="real rows", bands=bands)
        assert chosen.missed == ()
        assert set(chosen.bands) == own
        assert [one["own"] for one in chosen.by_band] == [bool(own), False]
        assert chosen.for_band(bands[0]) == chosen.thresholds
        reached = (0.0, 0.95) if own else (0.05, 1.0)
        assert (chosen.goals[0]["error"], chosen.goals[0]["answered"]) == reached
        low, high = chosen.goals[0]["error_interval"]
        assert low <= reached[0] < high
    assert chosen.by_band[0]["error"] == 0.2


@pytest.mark.parametrize(("on", "highest"), [("real rows", NEVER.act), ("written text", 0.95)])
def test_a_band_is_no_stricter_than_what_measured_it_may_ask(
    make_policy: Callable[..., Policy], on: str, highest: float
) -> None:
    probabilities, truth = held_out(760, 40)
    probabilities[760:] = np.where(probabilities[760:] == probabilities[760:].max(), 0.97, 0.01)
    bands = [Band(above=40, up_to=120)] * 600 + [Band(above=0, up_to=40)] * 200
    chosen = for_one(make_policy(), CLASSES, probabilities, truth, on=on, bands=bands)
    assert [limits["lost_card"].act for limits in chosen.bands.values()] == [highest]


def test_a_goal_of_topics_counts_labels_and_only_rows_of_one(make_policy: Callable[..., Policy]) -> None:
    holds = np.zeros((400, 2), bool)
    holds[:100, 0] = holds[100:200, 1] = True
    sure = np.where(holds, 0.9, 0.1).astype(np.float32)
    sure[190:210] = (0.1, 0.8)
    for probabilities, met, why in (
        (sure, True, None),
        (np.full((400, 2), 1.0, np.float32), False, r"to name nothing, with 0.0% answered \(0 labels\)"),
    ):
        policy = make_policy("topic", ["a", "b"], multi_label=True, goal={"max_error": "10%", "min_answered": "90%"})
        chosen = for_any(policy, probabilities, holds, "text")
        record = chosen.goals[0]
        assert (record["rows"], record["rows_of_no_label"]) == (400, 200)
        assert record["met"] is met
        assert [bool(re.search(why or "x", line)) for line in chosen.missed] == [True] * (not met)
        assert record["never_named"] == ([] if met else ["a", "b"])


def test_a_topic_is_named_where_few_labels_given_are_wrong_and_in_doubt_below(
    make_policy: Callable[..., Policy],
) -> None:
    """Messages to other services count as the policy's share of text out of scope, however many there are."""
    holds = np.zeros((300, 2), bool)
    holds[:100, 0] = holds[100:200, 1] = True
    scores = np.where(holds, 0.97, 0.1).astype(np.float32)
    scores[:10, 0] = 0.6
    others = np.full((1000, 2), (0.9, 0.0), np.float32)
    for share, named in (("1%", 0.8), ("30%", 0.97)):
        policy = make_policy("topic", ["a", "b"], multi_label=True, out_of_scope=share)
        chosen = for_any(policy, scores, holds, "text", outside=([SERVICES] * 1000, others))
        limit = chosen.thresholds["a"]
        assert (limit.act, limit.unsure) == (pytest.approx(named), pytest.approx(0.35))
        assert chosen.out_of_scope is not None
        answered = {kind: count["answered"] for kind, count in chosen.out_of_scope["kinds"].items()}
        assert answered == {"other": 0, "messages to other services": 1000 if share == "1%" else 0}
    assert for_any(policy, scores, holds, "text").thresholds["a"].act == pytest.approx(0.8)
    # a goal is kept among held-out rows and in traffic alike
    goal = {"max_error": "5%", "min_answered": "90%"}
    policy = make_policy("topic", ["a", "b"], multi_label=True, out_of_scope="30%", goal=goal)
    free, bound = (for_any(policy, scores, holds, "text", outside=more) for more in (None, ([SERVICES] * 1000, others)))
    assert (free.thresholds["a"].act < 0.7, free.goals[0]["met"]) == (True, True)
    assert (bound.thresholds["a"].act, bound.goals[0]["met"]) == (pytest.approx(0.97), True)


def test_a_goal_of_topics_is_not_shown_where_nothing_is_named(make_policy: Callable[..., Policy]) -> None:
    holds, apart = np.arange(40)[:, None] < [20, 0], np.zeros((40, 2), np.float32)
    apart[:20, 0] = 0.9
    free = for_any(make_policy("topic", ["a", "b"], multi_label=True), apart, holds, "text")
    assert (free.thresholds["a"].act <= 0.9, free.goals, free.missed) == (True, [], ())
    policy = make_policy("topic", ["a", "b"], multi_label=True, goal={"max_error": "10%"})
    nothing = for_any(policy, np.zeros((40, 2), np.float32), np.zeros((40, 2), bool), "text")
    assert (nothing.goals[0]["met"], nothing.missed[0][:45]) == (None, "goal: max_error: nothing is named on text, so")


def safety(make_policy: Callable[..., Policy], own: dict[str, str] | None, **more: object) -> Policy:
    labels = {"violence": {"means": "hurts", "goal": own}, "jailbreak": {"means": "tricks"}}
    given = {"version": 1, "name": "safe", "kind": "safety", "about": "x", "labels": labels, **more}
    return make_policy().model_validate(given)


@pytest.mark.parametrize(
    ("goal", "missed"),
    [({"false_alarms": "5%"}, False), ({"catch": "95%"}, False), ({"catch": "95%", "false_alarms": "5%"}, True)],
)
def test_a_safety_goal_demands_only_what_it_names(
    make_policy: Callable[..., Policy], goal: dict[str, str], missed: bool
) -> None:
    chance = np.random.default_rng(0)
    holds = np.zeros((400, 2), bool)
    holds[:100, 0] = True
    probabilities = chance.random((400, 2)).astype(np.float32)
    chosen = for_any(safety(make_policy, goal), probabilities, holds, "text")
    reached = chosen.goals[0]
    assert reached["met"] is False
    assert (reached["demanded"], reached["demanded_met"]) == (list(goal), not missed)
    assert bool(chosen.missed) is missed
    assert (reached["alarms"] <= 0.05) is ("false_alarms" in goal)
    assert (reached["caught"] == 0.95) is ("false_alarms" not in goal)


@pytest.mark.parametrize(("side", "there"), [("catch", 0.0), ("false_alarms", 1.0)])
def test_a_side_without_rows_is_neither_met_nor_missed(
    make_policy: Callable[..., Policy], side: str, there: float
) -> None:
    holds = np.full((400, 2), bool(there))
    for stated in (side, "catch" if side == "false_alarms" else "false_alarms"):
        policy = safety(make_policy, {stated: "5%" if stated == "false_alarms" else "95%"})
        chosen = for_any(policy, np.full((400, 2), there, np.float32), holds, "real rows")
        assert chosen.goals[0]["met"] is None
        assert chosen.goals[0]["demanded_met"] is (None if stated == side else True)
        assert chosen.goals[0]["caught" if side == "catch" else "alarms"] is None
        line = f"labels.violence.goal: {side}: no rows to measure it on; give examples or data"
        assert chosen.missed == ((line,) if stated == side else ())


def scored() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Probabilities and truth of 2 labels, 300 rows each and 600 harmless ones, overlapping."""
    chance = np.random.default_rng(1)
    holds = np.repeat(np.array([[1, 0], [0, 1], [0, 0], [0, 0]], bool), 300, axis=0)
    return np.where(holds, chance.beta(4, 2, holds.shape), chance.beta(1, 9, holds.shape)).astype(np.float32), holds


def test_a_larger_encoder_may_have_a_goal_of_its_own(make_policy: Callable[..., Policy]) -> None:
    larger = {"cascade": {"encoder": "package:big", "goal": {"catch": "99%", "false_alarms": "6%"}}}
    policy = safety(make_policy, None, goal={"false_alarms": "3%"}, **larger)
    one, two = (for_any(policy, *scored(), "written text", larger=larger) for larger in (False, True))
    assert one.goals[0]["alarms"] <= 0.03 < two.goals[0]["alarms"] <= 0.06
    assert one.thresholds["violence"].act > two.thresholds["violence"].act
    assert one.missed == ()
    assert two.missed[0].startswith("cascade.goal: catch 99.0% at 6.0% false alarms is not reached on written text")
    same = safety(make_policy, None, goal={"false_alarms": "3%"}, cascade={"encoder": "package:big"})
    assert for_any(same, *scored(), "written text", larger=True).thresholds == one.thresholds


def test_a_label_that_ordinary_text_resembles_does_not_raise_the_thresholds_of_others(
    make_policy: Callable[..., Policy],
) -> None:
    ordinary = np.random.default_rng(3).beta((1, 3), (9, 2), (3_000, 2)).astype(np.float32)
    traffic = OrdinaryTraffic.of(ordinary, np.full(3_000, "code"))
    policy = safety(make_policy, None, builds_on="harm", harmful_share=0.2)
    one, two = (limit.act for limit in for_any(policy, *scored(), "text", ordinary=traffic).thresholds.values())
    harm = scored()[0][:600]
    blocked = [(part >= (one, two)).any(axis=1).mean() for part in (harm, ordinary)]
    assert 0.2 * blocked[0] >= 0.9 * (0.2 * blocked[0] + 0.8 * blocked[1])
    # the higher one for both would block less of the harm
    assert blocked[0] > (harm.max(axis=1) >= two).mean() + 0.1


def test_nine_in_ten_blocks_are_right_at_the_share_of_harm(make_policy: Callable[..., Policy]) -> None:
    probabilities, holds = scored()
    ordinary = np.random.default_rng(2).beta(1, 4, (4_000, 2)).astype(np.float32)
    kinds = np.array(["code", "news", "news", ""] * 1_000)
    traffic = OrdinaryTraffic.of(ordinary, kinds)
    calm, harm = ordinary[kinds != ""].max(axis=1), probabilities[holds.any(axis=1)].max(axis=1)
    acts = []
    for share in (0.01, 0.05, 0.3):
        policy = safety(make_policy, None, goal={"false_alarms": "50%"}, builds_on="harm", harmful_share=share)
        chosen = for_any(policy, probabilities, holds, "text", ordinary=traffic)
        limit = chosen.thresholds["violence"]
        right, wrong = share * (harm >= limit.act).mean(), (1 - share) * (calm >= limit.act).mean()
        assert right >= 0.9 * (right + wrong)
        assert limit.act >= 0.5
        assert limit.unsure == limit.act or (calm >= limit.unsure).mean() <= 0.05
        # the report says what these thresholds reach
        assert chosen.goals[0]["caught"] == pytest.approx((harm >= limit.act).mean(), abs=1e-5)
        acts.append(limit.act)
        found = chosen.traffic
        assert found["harmful"]["blocked"] == chosen.goals[0]["caught"]
        assert found["ordinary"]["texts"] == 3_000
        assert found["ordinary"]["blocked"] == pytest.approx((calm >= limit.act).mean(), abs=1e-5)
        flagged = {kind: count["flagged"] for kind, count in found["kinds"].items()}
        of_news = ordinary[kinds == "news"].max(axis=1)
        assert (flagged.keys(), flagged["news"]) == ({"code", "news"}, (of_news >= limit.unsure).sum())
    assert acts[0] > acts[1] > acts[2]
    never = for_any(
        safety(make_policy, None, builds_on="harm", harmful_share=0.0), probabilities, holds, "text", ordinary=traffic
    )
    assert (never.traffic["can_block"], never.thresholds["violence"].act) == (False, NEVER.act)
    assert "NOTHING is blocked" in list(figures.in_traffic({"traffic": never.traffic}))[2]


def test_a_threshold_is_shown_with_the_goal_that_brings_it(make_policy: Callable[..., Policy]) -> None:
    chosen = for_one(make_policy(), CLASSES, *held_out(80, 20), on="real rows")
    found = shares_at({"at": chosen.at}, "card_arrival", 0.6041)
    assert found == {"done": 1.0, "wrong": 0.2, "at": 0.6, "label": ""}
    stated = make_policy(goal={"max_error": goal_lines(make_policy(), found)[18:-1]})
    assert for_one(stated, CLASSES, *held_out(80, 20), on="real rows").thresholds["card_arrival"].act < 0.61
    assert shares_at({}, "card_arrival", 0.6) is None
    assert [shares_at({"at": chosen.at}, "x", at)["at"] for at in (0.996, 1.0, 7.0)] == [0.99, 1.0, 1.0]
    guard, of_one = safety(make_policy, None), {"wrong": 0.0101, "label": "violence"}
    assert goal_lines(guard, of_one, "'violence'") == "labels:\n  'violence':\n    goal: {false_alarms: 1.1%}"
    stated = safety(make_policy, None, goal={"catch": "90%", "false_alarms": "50%"})
    assert goal_lines(stated, {"wrong": 0.0101, "label": ""}) == "goal: {catch: 90%, false_alarms: 1.1%}"


def test_a_topics_threshold_is_shown_with_its_own_shares(make_policy: Callable[..., Policy]) -> None:
    topics = make_policy(kind="topic", labels=["card", "fees"], out_of_scope="0%")
    probabilities = np.array([[0.9, 0.2], [0.8, 0.1], [0.7, 0.6], [0.3, 0.9], [0.65, 0.1]], np.float32)
    holds = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0]], bool)
    report = {"at": for_any(topics, probabilities, holds, "text").at}
    first, second = topics.labels
    assert shares_at(report, first, 0.75) == {"done": 1.0, "wrong": 0.0, "at": 0.75, "label": first}
    assert shares_at(report, first, 0.68)["wrong"] == pytest.approx(1 / 3, abs=1e-5)
    assert shares_at(report, second, 0.75) == {"done": 0.5, "wrong": 0.0, "at": 0.75, "label": second}
    # of text out of scope nothing counts here, and what nothing reaches is not wrong
    assert shares_at(report, first, 1.0) == {"done": 0.0, "wrong": 0.0, "at": 1.0, "label": first}
