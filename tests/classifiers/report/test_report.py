"""The pages and the card of three reports of real trainings (reports.jsonl), and of such reports with changes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.evaluation.evaluate import evaluate
from classifiers.evaluation.metrics import counts, ranks
from classifiers.policy import Policy
from classifiers.report import figures
from classifiers.report.pages import model_card, training_page
from classifiers.slots.tags import SlotMark
from classifiers.training.slots.tagger import measures

REPORTS = {
    report["name"]: report
    for report in map(json.loads, Path(__file__).with_name("reports.jsonl").read_text("utf-8").splitlines())
}
INTENT, SAFETY = REPORTS["intent"], REPORTS["safety"]
REACHED = {"caught": 0.8, "caught_interval": (0.7, 0.87), "alarms": 0.02, "alarms_interval": (0.01, 0.05)}
CheckPage = Callable[[str], Any]
kinds = pytest.mark.parametrize("kind", ["intent", "topic", "safety"])
pages = pytest.mark.parametrize("make", [training_page, model_card])


def with_held(report: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**report, "held_out": {**report["held_out"], **changes}}


def with_slots(told: list[tuple[SlotMark, ...]], found: list[tuple[SlotMark, ...]]) -> dict[str, Any]:
    slots = {"scale": 1.0, **measures(told, found, slots=["time", "people", "name"])}
    return {**INTENT, "settings": {**INTENT["settings"], "slots": slots}}


@kinds
def test_the_page_is_whole_and_fetches_nothing(kind: str, check_page: CheckPage) -> None:
    page = training_page(REPORTS[kind])
    tags = check_page(page)
    assert tags.sources
    assert tags.seen.count("svg") == (3 if kind == "intent" else 4)
    for part in ("Risk and coverage", "<h2>Latency</h2>", "recall at 1 %"):
        assert part in page
    assert not re.search(r"\b(None|nan|inf|Undefined)\b", page)


@kinds
def test_what_people_wrote_cannot_become_markup(kind: str) -> None:
    page = training_page(REPORTS[kind])
    assert "a &lt;bank&gt;" in page
    assert "&lt;b&gt;card&lt;/b&gt;" in page
    assert "<b>card</b>" not in page
    assert "<i>my</i>" not in page


def test_slots_have_a_table(check_page: CheckPage) -> None:
    assert "<h2>Slots</h2>" not in training_page(INTENT)
    first, second = SlotMark(name="time", start=0, end=4), SlotMark(name="people", start=8, end=9)
    report = with_slots([(first, second), (first,)], [(first,), (first,)])
    page = training_page(report)
    check_page(page)
    assert '<td>people</td><td class="n">1</td><td class="n">–</td><td class="n"></td><td class="n">0.0 %</td>' in page
    assert re.search(r"Slots, on 3 values in 2 held-out marked sentences: F1 80.0 % \(95 %: ", model_card(report))
    empty = with_slots([], [])
    assert "No held-out sentence is marked, so slots are not measured." in training_page(empty)
    assert "Slots" not in model_card(empty)


@kinds
def test_a_measure_of_nothing_has_no_interval(check_page: CheckPage, kind: str) -> None:
    labels = {name: {"means": f"asks for {name}"} for name in ("a", "b")}
    policy = {"version": 1, "name": "p", "kind": kind, "about": "x", "labels": labels, "multi_label": kind == "topic"}
    nothing = evaluate(Policy.model_validate(policy), [], [], [])
    unseen = {"a": counts(0, 0, 0) | ranks(np.zeros(0), np.zeros(0, bool)) | {"precision_recall": []}}
    report = {**REPORTS[kind], "held_out": {**nothing, "labels": unseen}}
    report["by_source"] = {name: {"rows": 0, "accuracy": None, "interval": (0, 1)} for name in ("policy", "data")}
    page = training_page(report)
    check_page(page)
    assert "0 rows" in page
    assert not re.search("0.0 – 100.0 %|0.000 – 1.000", page)
    assert "(95 %: " not in model_card(report)


@pytest.mark.parametrize(
    ("demanded", "text"),
    [
        (["catch"], "catch 95.0 % at 3.0 % false alarms (aimed at, not demanded): <met>, 80.0 %"),
        (["false_alarms"], "catch 95.0 % (aimed at, not demanded) at 3.0 % false alarms: <met>, 80.0 %"),
        ([], "catch 95.0 % at 3.0 % false alarms (by default): aimed at, not demanded, 80.0 %"),
    ],
)
@pytest.mark.parametrize("met", [True, False])
def test_only_stated_parts_of_a_goal_are_judged(demanded: list[str], text: str, *, met: bool) -> None:
    goal = {"label": None, "catch": 0.95, "false_alarms": 0.03, "met": False, "measured_on": "real rows", **REACHED}
    goal |= {"stated": bool(demanded), "demanded": demanded, "demanded_met": met}
    mark = '<span class="yes">met</span>' if met else '<span class="no">not met</span>'
    assert text.replace("<met>", mark) in training_page({**SAFETY, "goals": [goal]})


def test_the_page_says_whether_and_why_it_was_published(check_page: CheckPage) -> None:
    assert "its tests pass; the policy states no goal." in training_page({**INTENT, "accepted": True, "goals": []})
    refused = {**INTENT, "accepted": False, "missed": ["goal: <1% is not reached"]}
    page = training_page(refused)
    check_page(page)
    assert "goal: &lt;1% is not reached" in page
    assert "\n- Not published: goal: <1% is not reached\n" in model_card(refused)


@pages
@pytest.mark.parametrize("on", ["written and real text", "real rows, with written text where those are few"])
def test_a_few_real_rows_make_no_measure_of_traffic(make: Callable[[dict[str, Any]], str], on: str) -> None:
    rows = INTENT["held_out"]["rows"]
    page = make({**INTENT, "measured_on": on, "measured_real": 1})
    assert f"held-out {on}, {rows} rows, 1 of them real" in page
    assert f"1 of the {rows} rows that this was measured on is real" in page
    assert "promises nothing about traffic: measure on your own messages with `offramp eval`" in page
    assert "promises nothing about traffic" not in make({**INTENT, "measured_on": "real rows"})


@kinds
def test_the_card_names_figures_and_weak_spots(kind: str) -> None:
    labels = REPORTS[kind]["held_out"]["labels"]
    page = model_card(with_held(REPORTS[kind], labels={**labels, "rate": {**labels["rate"], "f1": 0.9}}))
    assert page.startswith(f"# {kind}\n")
    assert "95 %:" in page
    assert "- rate: precision" in page
    assert ("No figure here covers people who try to get around it" in page) == (kind == "safety")


@pytest.mark.parametrize("wrong", [0, 1, 150])
def test_all_confused_texts_behind_a_matrix_of_many_labels_can_be_reached(check_page: CheckPage, wrong: int) -> None:
    cells = [[index, index, 2] for index in range(150)] + [[index, (index + 1) % 150, 1] for index in range(wrong)]
    texts = [[{"text": f"text {truth} {said}", "confidence": 0.5}] for truth, said, _ in cells]
    matrix = {"labels": [f"<{index}>" for index in range(150)], "cells": cells, "texts": texts}
    page = training_page(with_held(INTENT, confusion=matrix))
    check_page(page)
    ids, links = (set(re.findall(rf'{what}(cell-[0-9]+-[0-9]+)"', page)) for what in ('id="', 'href="#'))
    assert ids == links
    assert len(ids) >= wrong


def test_what_a_teacher_did_not_write_is_said() -> None:
    batches = {"unusable": 2, "wanted": 9}
    labels = {"card": {"unusable": 2, "sentences": 0}, "rate": {"unusable": 0, "sentences": 40}}
    teacher = {"batches": batches, "labels": labels, "refused": 1, "cut_off": 1, "stopped_by_budget": True}
    assert list(figures.remarks(teacher)) == [
        "2 of 9 batches brought no sentence (card 2), 1 of them refused",
        "it wrote nothing for card",
        "1 answer was cut off for length",
        "stopped by its budget",
    ]
    assert list(figures.remarks({"cut_off": 3})) == ["3 answers were cut off for length"]
