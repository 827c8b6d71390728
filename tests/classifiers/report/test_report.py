"""The pages from reports of real runs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.evaluation.evaluate import evaluate
from classifiers.evaluation.metrics import counts, ranking
from classifiers.model.model import Band
from classifiers.policy import Policy
from classifiers.report import card, markup
from classifiers.report.page import training_page
from classifiers.slots.tags import SlotMark
from classifiers.training.operating_points import told
from classifiers.training.run import train
from classifiers.training.slots.tagger import measures

LABELS = {
    "<b>card</b>": {"means": "asks about a card & more", "examples": ["where is <i>my</i> card", "new card please"]},
    "rate": {"means": "asks about the rate", "examples": ["what is the rate", "dollars to euros"]},
}
NO_ROWS = np.zeros(0, bool)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, prepared_dir: Path) -> dict[str, Any]:
    models = tmp_path_factory.mktemp("report-models")
    (models / "encoders").symlink_to(prepared_dir / "encoders")
    return {
        kind: train(
            Policy.model_validate(
                {
                    "version": 1,
                    "name": kind,
                    "kind": kind,
                    "about": "a <bank>",
                    "labels": LABELS,
                    "languages": spoken,
                    "multi_label": kind == "topic",
                }
            ),
            base_dir=models,
            models_dir=models,
            threads=1,
        ).report
        for kind, spoken in (("intent", "en"), ("topic", "en"), ("safety", ["en", "de"]))
    }


@pytest.mark.parametrize("kind", ["intent", "topic", "safety"])
def test_the_page_is_whole_and_fetches_nothing(
    reports: dict[str, Any], kind: str, check_page: Callable[[str], Any]
) -> None:
    page = training_page(reports[kind])
    checker = check_page(page)
    assert checker.sources
    assert checker.seen.count("svg") == (3 if kind == "intent" else 5)
    assert "Risk and coverage" in page
    assert reports[kind]["latency"]["rows"] > 0
    assert "<h2>Latency</h2>" in page
    assert "recall at 1 %" in page
    assert not re.search(r"\b(None|nan|inf)\b", page)


@pytest.mark.parametrize("kind", ["intent", "topic", "safety"])
def test_what_people_wrote_cannot_become_markup(reports: dict[str, Any], kind: str) -> None:
    page = training_page(reports[kind])
    assert "a &lt;bank&gt;" in page
    assert "&lt;b&gt;card&lt;/b&gt;" in page
    assert "<b>card</b>" not in page
    assert "<i>my</i>" not in page


def test_slots_are_a_table_of_their_own(reports: dict[str, Any], check_page: Callable[[str], Any]) -> None:
    report = reports["intent"]
    assert "<h2>Slots</h2>" not in training_page(report)
    first, second = SlotMark(name="time", start=0, end=4), SlotMark(name="people", start=8, end=9)
    names = ["time", "people", "name"]
    told = {"scale": 1.0, **measures([(first, second), (first,)], [(first,), (first,)], slots=names)}
    page = training_page({**report, "settings": {**report["settings"], "slots": told}})
    check_page(page)
    assert "On 2 held-out marked sentences, 50.0 %" in page
    row = r'<td>people</td><td class="n">1</td><td class="n">–</td><td class="n"></td><td class="n">0.0 %</td>'
    assert re.search(row, page)
    assert '<td>name</td><td class="n">0</td><td class="n">–</td><td class="n"></td>' in page
    assert re.search(r"<td>all</td><td class=\"n\">3</td>.*?<td class=\"n\">0.800</td>", page)
    assert re.search(r"<b>0.800</b>slots, F1<br><span class='note'>[0-9.]+ – [0-9.]+</span>", page)
    assert "<b>50.0 %</b>of texts with all slots right" in page
    said = card.page({**report, "settings": {**report["settings"], "slots": told}})
    assert re.search(
        r"Slots, on 3 values in 2 held-out marked sentences: F1 80.0 % \(95 %: [0-9.]+ – [0-9.]+ %\);", said
    )
    none = {"scale": 1.0, **measures([], [], slots=names)}
    empty = training_page({**report, "settings": {**report["settings"], "slots": none}})
    assert "No held-out sentence is marked, so slots are not measured." in empty
    assert "all slots right" not in empty
    assert "Slots" not in card.page({**report, "settings": {**report["settings"], "slots": none}})


@pytest.mark.parametrize("kind", ["intent", "topic", "safety"])
def test_what_was_measured_on_nothing_has_no_interval(
    reports: dict[str, Any], check_page: Callable[[str], Any], kind: str
) -> None:
    labels = {name: {"means": f"asks for {name}"} for name in ("a", "b")}
    told = {"version": 1, "name": "p", "kind": kind, "about": "x", "labels": labels, "multi_label": kind == "topic"}
    nothing = evaluate(Policy.model_validate(told), [], [], [])
    unseen = {"a": counts(0, 0, 0) | ranking(np.zeros(0), NO_ROWS)}
    report = {**reports[kind], "held_out": {**nothing, "labels": unseen}}
    report["by_source"] = {name: {"rows": 0, "accuracy": None, "interval": (0, 1)} for name in ("policy", "data")}
    page = training_page(report)
    check_page(page)
    assert "0 rows" in page
    assert "0.0 – 100.0 %" not in page
    assert "0.000 – 1.000" not in page
    assert "(95 %: " not in card.page(report)


def test_a_column_of_figures_is_set_to_the_right_with_its_title() -> None:
    page = markup.table(["name", "rows", "share"], [["1k, head", 1, "–"], ["clean", 20, "3.0 %"], ["3", 3, ""]])
    titles, *rows = re.findall("<tr>(.*?)</tr>", page)
    assert titles == '<th>name</th><th class="n">rows</th><th class="n">share</th>'
    assert rows[0] == '<td>1k, head</td><td class="n">1</td><td class="n">–</td>'
    assert rows[2] == '<td>3</td><td class="n">3</td><td class="n"></td>'
    assert markup.table(["name"], []) == "<table><tr><th>name</th></tr></table>"


def test_goals_say_what_was_reached_and_how_surely(reports: dict[str, Any]) -> None:
    reached = {"caught": 0.8, "caught_interval": (0.7, 0.87), "alarms": 0.02, "alarms_interval": (0.01, 0.05)}
    shared = {"label": None, "catch": 0.95, "false_alarms": 0.03, "stated": True, "met": False, **reached}
    shared |= {"demanded": ["catch", "false_alarms"], "demanded_met": False}
    answers = {"max_error": 0.05, "min_answered": 0.0, "met": False}
    unshown = {"max_error": 0.02, "min_answered": 0.0, "met": None, "answered": 1.0}
    unshown |= {"rows": 243, "rows_of_no_label": 207, "never_named": ["<a>", "b"]}
    goals = [{**goal, "measured_on": "real rows"} for goal in (shared, answers, unshown)]
    page = training_page({**reports["safety"], "goals": goals})
    assert "any label: catch 95.0 % at 3.0 % false alarms" in page
    assert "80.0 % (70.0 – 87.0 %) at 2.0 % (1.0 – 5.0 %) on real rows" in page
    assert "– error, – answered on real rows" in page
    assert "0.0 % answered: not shown, with nothing to measure it on, – error, 100.0 % answered on real rows" in page
    more = "real rows (243 rows, 207 of them everyday sentences and other text of no label)"
    assert f'{more}; <span class="no">never named: &lt;a&gt;, b</span></li>' in page


@pytest.mark.parametrize(
    ("demanded", "told"),
    [
        (["catch"], "catch 95.0 % at 3.0 % false alarms (aimed at, not demanded): <met>, 80.0 %"),
        (["false_alarms"], "catch 95.0 % (aimed at, not demanded) at 3.0 % false alarms: <met>, 80.0 %"),
        (["catch", "false_alarms"], "catch 95.0 % at 3.0 % false alarms: <met>, 80.0 %"),
        ([], "catch 95.0 % at 3.0 % false alarms (by default): aimed at, not demanded, 80.0 %"),
    ],
)
@pytest.mark.parametrize("met", [True, False])
def test_of_a_goal_only_what_the_policy_states_is_judged(
    reports: dict[str, Any], demanded: list[str], told: str, *, met: bool
) -> None:
    reached = {"caught": 0.8, "caught_interval": (0.7, 0.87), "alarms": 0.02, "alarms_interval": (0.01, 0.05)}
    goal = {"label": None, "catch": 0.95, "false_alarms": 0.03, "met": False, "measured_on": "real rows", **reached}
    goal |= {"stated": bool(demanded), "demanded": demanded, "demanded_met": met}
    page = training_page({**reports["safety"], "goals": [goal]})
    mark = '<span class="yes">met</span>' if met else '<span class="no">not met</span>'
    assert told.replace("<met>", mark) in page


def test_without_a_goal_it_says_what_came_of_the_aim(reports: dict[str, Any]) -> None:
    assert (reports["intent"]["aimed_error"], reports["safety"]["aimed_error"]) == (0.05, None)
    held = {**reports["intent"]["held_out"], "error": 0.121, "error_interval": (0.07, 0.2)}
    told = "Without a goal, 5.0 % wrong among answered is aimed at, not demanded: 12.1 % (7.0 – 20.0 %)."
    for make in (training_page, card.page):
        assert told in make({**reports["intent"], "held_out": held})
        assert told not in make({**reports["intent"], "held_out": held, "aimed_error": None})
        assert "Without a goal" not in make(reports["safety"])


def test_what_is_published_without_a_goal_met_none(reports: dict[str, Any]) -> None:
    none, met = (
        "its tests pass; the policy states no goal.",
        "its tests pass, and the goals that the policy states are met.",
    )
    stated = {"max_error": 0.05, "min_answered": 0.0, "met": True, "measured_on": "real rows"}
    assert none in training_page({**reports["intent"], "accepted": True})
    assert none in training_page({**reports["safety"], "accepted": True})
    assert met in training_page({**reports["intent"], "accepted": True, "goals": [stated]})


def test_what_is_in_doubt_is_told_of_harmful_text_as_well(reports: dict[str, Any]) -> None:
    held = reports["safety"]["held_out"]
    doubted = {**held["doubted"], "harmful": 0.234, "harmless": 0.056}
    texts = [[{"text": "unheard of", "confidence": 0.676, "doubt": True}]] * len(held["confusion"]["cells"])
    shown = {**held, "doubted": doubted, "confusion": {**held["confusion"], "texts": texts}}
    report = {**reports["safety"], "held_out": shown}
    assert "of harmful text in doubt" in training_page(report)
    assert "23.4 %" in training_page(report)
    assert "unsure: 67.6 %" in training_page(report)
    assert "23.4 % and 5.6 % are in doubt" in card.page(report)


def test_an_error_that_would_not_be_answered_is_called_so(reports: dict[str, Any]) -> None:
    error = {"text": "unheard of", "truth": "rate", "said": "other", "confidence": 0.676}
    page = training_page({**reports["intent"], "held_out": {**reports["intent"]["held_out"], "errors": [error]}})
    assert "unsure: 67.6 %" not in page
    error["doubt"] = True
    page = training_page({**reports["intent"], "held_out": {**reports["intent"]["held_out"], "errors": [error]}})
    assert "unsure: 67.6 %" in page


def test_a_label_that_is_read_from_the_right_does_not_turn_its_line_round(
    reports: dict[str, Any], check_page: Callable[[str], Any]
) -> None:
    near = {"cosine": 0.5, "labels": ["رسائل"], "text": "greetings <b>"}
    error = {"text": "unheard of", "truth": "rate", "said": "other", "confidence": 0.676, "nearest": [near]}
    page = training_page({**reports["intent"], "held_out": {**reports["intent"]["held_out"], "errors": [error]}})
    check_page(page)
    assert '<p><span class="note">0.500 <bdi>رسائل</bdi>:</span> <bdi>greetings &lt;b&gt;</bdi></p>' in page


def test_lengths_and_languages_are_a_table(reports: dict[str, Any]) -> None:
    bands = [Band(above=0, up_to=40, language="de")] * 60 + [Band(above=120, up_to=None)] * 40
    right = np.arange(100) >= 12
    shown = told(bands, np.linspace(0.5, 1, 100, dtype=np.float32), right, act=0.5, own={bands[0]: 0.6})
    page = training_page({**reports["intent"], "bands": shown})
    row = r'1 – 40</td><td>de</td><td class="n">60</td><td class="n">100.0 %</td><td class="n">20.0 %</td>'
    assert re.search(row + r"<td[^>]*>0.600 \(its own\)</td>", page)
    assert re.search(r'over 120</td><td>any</td><td class="n">40</td>', page)
    assert "Lengths and languages" not in training_page(reports["safety"])


@pytest.mark.parametrize("make", [training_page, card.page])
def test_a_language_that_the_encoder_knows_poorly_is_told(
    reports: dict[str, Any], make: Callable[[dict[str, Any]], str]
) -> None:
    told = "Its encoder knows English, and de poorly; a multilingual encoder: can be named."
    assert told in make(reports["safety"])
    assert told not in make(reports["intent"])


def test_the_page_says_what_was_measured_on(reports: dict[str, Any]) -> None:
    assert "promises nothing about traffic" in training_page(reports["intent"])
    real = {**reports["intent"], "measured_on": "real rows"}
    assert "promises nothing about traffic" not in training_page(real)
    assert "held-out real rows" in training_page(real)


@pytest.mark.parametrize("make", [training_page, card.page])
@pytest.mark.parametrize("on", ["written and real text", "real rows, with written text where those are few"])
def test_a_few_real_rows_make_no_measure_of_traffic(
    reports: dict[str, Any], make: Callable[[dict[str, Any]], str], on: str
) -> None:
    rows = reports["intent"]["held_out"]["rows"]
    page = make({**reports["intent"], "measured_on": on, "measured_real": 1})
    assert f"held-out {on}, {rows} rows, 1 of them real" in page
    assert f"1 of the {rows} rows that this was measured on is real" in page
    assert "promises nothing about traffic: measure on your own messages with `offramp eval`" in page


@pytest.mark.parametrize("kind", ["intent", "topic"])
def test_the_card_gives_intervals_of_what_is_answered_and_wrong(reports: dict[str, Any], kind: str) -> None:
    page = card.page(reports[kind])
    assert re.search(r"[\d.]+ % answered \(95 %: [\d.]+ – [\d.]+ %\)", page)
    wrong = "wrong" if kind == "intent" else "with a label wrong or missed"
    assert f"{wrong} among answered" in training_page(reports[kind])
    assert re.search(rf"of which [\d.–]+( %)? {wrong} \(95 %: [\d.]+ – [\d.]+ %\)", page)


def test_a_refused_model_says_why(reports: dict[str, Any], check_page: Callable[[str], Any]) -> None:
    refused = {**reports["intent"], "accepted": False, "missed": ["goal: <1% is not reached"]}
    page = training_page(refused)
    check_page(page)
    assert "Not published" in page
    assert "goal: &lt;1% is not reached" in page
    assert "\n- Not published: goal: <1% is not reached\n" in card.page(refused)
    assert "Not published" not in card.page(reports["intent"])


@pytest.mark.parametrize("kind", ["intent", "topic", "safety"])
def test_the_card_names_figures_and_weak_spots(reports: dict[str, Any], kind: str) -> None:
    held = reports[kind]["held_out"]

    def made(**figures: Any) -> str:
        labels = {**held["labels"], "rate": {**held["labels"]["rate"], **figures}}
        return card.page({**reports[kind], "held_out": {**held, "labels": labels}})

    page = made(f1=0.9)
    assert page.startswith(f"# {kind}\n")
    assert "95 %:" in page
    assert "- rate: precision" in page
    # what is all right is not weak, nor is it known of what no row is of
    assert "- rate: precision" not in made(f1=1.0)
    assert "- rate: precision" not in made(f1=0.0, support=0)
    assert ("No figure here covers people who try to get around it" in page) == (kind == "safety")


def test_of_hundreds_of_labels_those_with_most_errors_are_drawn() -> None:
    labels = [f"label {index}" for index in range(200)]
    right = [(index, index, 1) for index in range(200)]
    assert markup.confusion("c", labels, right) == ""
    some = markup.confusion("c", labels, [*right, (7, 9, 2)])
    assert (some.count("<rect"), some.count("label 7"), some.count("label 8")) == (3, 5, 0)
    errors = [(index, (index + 1) % 200, 1 + (index in range(40, 160))) for index in range(200)]
    assert markup.shown_of([*right, *errors]) == list(range(40, 160))
    assert markup.confusion("c", labels, [(0, 0, 3), (0, 1, 1)]).count("<rect") == 2
    assert 'href="#cell-0-1"' in markup.confusion("c", labels, [(0, 0, 3), (0, 1, 1)])
    assert markup.confusion("c", [], []) == ""


@pytest.mark.parametrize("wrong", [0, 1, 150])
def test_all_texts_behind_a_matrix_of_many_labels_can_be_reached(
    reports: dict[str, Any], check_page: Callable[[str], Any], wrong: int
) -> None:
    cells = [[index, index, 2] for index in range(150)] + [[index, (index + 1) % 150, 1] for index in range(wrong)]
    texts = [[{"text": f"text {truth} {said}", "confidence": 0.5}] for truth, said, _ in cells]
    matrix = {"labels": [f"<{index}>" for index in range(150)], "cells": cells, "texts": texts}
    report = reports["intent"]
    page = training_page({**report, "held_out": {**report["held_out"], "confusion": matrix}})
    check_page(page)
    ids, links = (set(re.findall(rf'{what}(cell-[0-9]+-[0-9]+)"', page)) for what in ('id="', 'href="#'))
    assert ids == links
    assert len(ids) == len(cells)
    drawn = {
        0: "none was taken for another",
        1: "the 2 with most errors are drawn",
        150: "the 120 with most errors are",
    }
    assert f"150 labels are too many for one matrix: {drawn[wrong]}" in page


def test_names_of_bars_stay_inside_their_picture() -> None:
    name = "character attacks: " + "w" * 40
    picture = markup.bars("kept", [(name, 0.5, None), ("b", 1.5, (0.1, 2.0))])
    ends = [float(x) for x in re.findall(r'<text x="([0-9.]+)" y="[0-9]+" text-anchor="end">', picture)]
    assert min(ends) >= 36 * 0.58 * 10


def test_curves_stay_inside_their_frame() -> None:
    picture = markup.curves("risk", "answered", "wrong", [("one", [(0, 0), (1, 0.5)])], top=0.1)
    points = re.search(r'points="([^"]*)"', picture)
    assert points
    values = [float(value) for value in re.split("[ ,]", points[1])]
    assert min(values) >= markup._MARGIN
    assert max(values) <= markup._MARGIN + markup._SIZE
