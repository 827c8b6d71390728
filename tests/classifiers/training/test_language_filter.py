"""Rows in a language that the policy does not name."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from classifiers import Reading, Runtime
from classifiers.encoder.session import Encoder
from classifiers.policy import Policy
from classifiers.report import figures
from classifiers.training.fit.fitted import Silent
from classifiers.training.language_filter import Border, at_the_border, summary
from classifiers.training.prepare import TextPreparation
from classifiers.training.rows import Row
from classifiers.training.run import TrainingOutcome, train

GERMAN = "wo bleibt meine neue Karte, die ich vor zwei Wochen bestellt habe"
ENGLISH = "where is the new card that I ordered two weeks ago"
SOURCES = ("data", "file", "teacher", "policy", "builtin")


def rows(text: str = GERMAN) -> list[Row]:
    return [Row(text=text, labels=("a",), group=source, source=source) for source in SOURCES]


def test_what_serving_would_abstain_on_is_marked_whoever_gave_it(make_policy: Callable[..., Policy]) -> None:
    assert [row.foreign for row in Border(make_policy()).marked(rows())] == ["de"] * len(SOURCES)
    never_held = Border(make_policy()).marked([replace(row, probe=False) for row in rows()])
    assert [row.foreign for row in never_held] == ["de", "de", "de", "de", ""]
    assert not any(row.foreign for row in Border(make_policy()).marked(rows(ENGLISH)))
    for languages in (["en", "de"], "any"):
        assert not any(row.foreign for row in Border(make_policy(languages=languages)).marked(rows()))
    russian = "где моя новая карта"
    assert Border(make_policy()).marked(rows(russian))[0].foreign == "Cyrillic"


def test_only_a_teachers_sentences_are_dropped(make_policy: Callable[..., Policy]) -> None:
    stay, go = at_the_border(Border(make_policy()).marked([*rows(), *rows(ENGLISH)]))
    assert [(row.source, row.text) for row in go] == [("teacher", GERMAN)]
    assert not list(
        figures.foreign({"foreign": summary([*stay, *Border(make_policy()).marked(rows(ENGLISH) * 100)], [])})
    )
    kept, dropped = figures.foreign({"foreign": summary(stay, go)})
    assert "3 of 7 rows (de 3)" in kept
    assert dropped.endswith("1 sentence (de 1)")


def test_marks_of_slots_are_no_part_of_the_text(make_policy: Callable[..., Policy], encoder: Encoder) -> None:
    slots = {"number_of_people": {"means": "how many", "type": "number"}, "time_of_arrival": {"means": "when"}}
    policy = make_policy("slots", slots=slots, tests=[])
    marked = "on sera [six](number_of_people) vers [vingt heures](time_of_arrival)"
    told = [Row(text=marked, labels=tuple(policy.labels), group=source, source=source) for source in SOURCES[2:4]]
    ready = TextPreparation(policy=policy, encoder=encoder, progress=Silent(), seed=0).ready(told)
    assert [(row.source, row.foreign) for row in ready.dropped] == [("teacher", "fr")]
    assert [row.foreign for row in ready.rows if row.source == "policy"] == ["fr"]


@pytest.fixture
def german(make_policy: Callable[..., Policy], tmp_path: Path) -> Callable[..., TrainingOutcome]:
    """german(**more): trained on 120 German rows of two labels and nothing else of users."""
    said = {
        "card_arrival": "Wo bleibt meine neue Karte, die ich vor {} Tagen bestellt habe?",
        "exchange_rate": "Welchen Wechselkurs bekomme ich heute f\u00fcr {} Euro in Dollar?",
    }
    given = [{"text": text.format(n), "label": label} for label, text in said.items() for n in range(2, 122)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, given)))

    def run(**more: Any) -> TrainingOutcome:
        policy = make_policy(data=["rows.jsonl"], tests=[], **more)
        return train(policy, base_dir=tmp_path, models_dir=tmp_path / "models")

    return run


def test_held_out_figures_and_goals_count_an_abstention_as_no_answer(
    german: Callable[..., TrainingOutcome], tmp_path: Path
) -> None:
    outcome = german()
    assert outcome.report["held_out"]["answered"] < 0.05
    assert outcome.report["text"]["foreign"]["languages"] == {"de": 240}
    assert "240 of " in (outcome.folder / "report.html").read_text(encoding="utf-8")
    runtime = Runtime.load(tmp_path / "models", ["bank"])
    text = "Wo bleibt meine neue Karte, die ich vor 3 Tagen bestellt habe?"
    assert runtime.classify([Reading(classifier="bank", texts=(text,))])[0].abstention == "language"
    assert not german(goal={"max_error": "5%", "min_answered": "60%"}).accepted


def test_a_policy_that_names_the_language_is_measured_as_before(german: Callable[..., TrainingOutcome]) -> None:
    outcome = german(languages=["en", "de"], goal={"max_error": "5%", "min_answered": "60%"})
    assert outcome.accepted
    assert outcome.report["text"]["foreign"]["rows"] == 0
