"""Rows in a language that the policy does not name."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from classifiers import Reading, Runtime
from classifiers.policy import Policy
from classifiers.training.language_filter import mark_foreign
from classifiers.training.rows import Row
from classifiers.training.run import train

GERMAN = "wo bleibt meine neue Karte, die ich vor zwei Wochen bestellt habe"
ENGLISH = "where is the new card that I ordered two weeks ago"
SOURCES = ("data", "file", "teacher", "policy", "builtin")


def rows(text: str = GERMAN) -> list[Row]:
    return [Row(text=text, labels=("a",), group=source, source=source) for source in SOURCES]


def test_what_serving_would_abstain_on_is_marked_whoever_gave_it(make_policy: Callable[..., Policy]) -> None:
    assert [row.foreign for row in mark_foreign(make_policy(), rows())] == ["de"] * len(SOURCES)
    never_held = mark_foreign(make_policy(), [replace(row, probe=False) for row in rows()])
    assert [row.foreign for row in never_held] == ["de", "de", "de", "de", ""]
    assert not any(row.foreign for row in mark_foreign(make_policy(), rows(ENGLISH)))
    for languages in (["en", "de"], "any"):
        assert not any(row.foreign for row in mark_foreign(make_policy(languages=languages), rows()))
    russian = "где моя новая карта"
    assert mark_foreign(make_policy(), rows(russian))[0].foreign == "Cyrillic"


def test_held_out_figures_and_goals_count_an_abstention_as_no_answer(
    make_policy: Callable[..., Policy], tiny_encoder: str, tiny_models: Path, tmp_path: Path
) -> None:
    """120 German rows of two labels, and nothing else of users."""
    forms = {
        "card_arrival": "Wo bleibt meine neue Karte, die ich vor {} Tagen bestellt habe?",
        "exchange_rate": "Welchen Wechselkurs bekomme ich heute f\u00fcr {} Euro in Dollar?",
    }
    given = [{"text": text.format(n), "label": label} for label, text in forms.items() for n in range(2, 122)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, given)))
    policy = make_policy(data=["rows.jsonl"], encoder=tiny_encoder)
    outcome = train(policy, base_dir=tmp_path, models_dir=tiny_models)
    assert outcome.report["held_out"]["answered"] < 0.05
    assert outcome.report["text"]["foreign"]["languages"] == {"de": 240}
    assert "240 of " in (outcome.folder / "report.html").read_text(encoding="utf-8")
    runtime = Runtime.load(tiny_models, ["bank"])
    text = forms["card_arrival"].format(3)
    assert runtime.classify([Reading(classifier="bank", texts=(text,))])[0].abstention == "language"
    policy = make_policy(data=["rows.jsonl"], encoder=tiny_encoder, goal={"max_error": "90%", "min_answered": "60%"})
    assert not train(policy, base_dir=tmp_path, models_dir=tiny_models).accepted
