"""A new version against the one in use, on rows that neither was trained on."""

import itertools
import json
import random
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.training import data
from classifiers.training.accept import Comparison, Incumbent
from classifiers.training.clean import key
from classifiers.training.data import read_calls
from classifiers.training.rows import LabelledCall, Row
from classifiers.training.run import TrainingOutcome, train

DESKS: dict[str, Any] = {
    "version": 1,
    "name": "desks",
    "kind": "intent",
    "about": "Messages to a company's front desk.",
    "labels": {"north": {"means": "is for the desk in the north"}, "south": {"means": "is for the desk in the south"}},
}
POLICY = Policy.model_validate(DESKS)
NORTH = ("my invoice for {} is wrong", "please refund {}", "I was charged twice for {}", "send a receipt for {}")
SOUTH = ("the {} does not start", "my {} is broken", "how do I reset the {}", "the screen of my {} stays black")
THINGS = ("phone", "laptop", "printer", "router", "camera", "monitor", "scanner", "tablet", "speaker", "keyboard")
PLACES = ("at home", "in Oslo", "from last week", "in the office", "again", "since May")
EVERY = [
    (f"{form.format(thing)} {place}", "north" if form in NORTH else "south")
    for form, thing, place in itertools.product(NORTH + SOUTH, THINGS, PLACES)
]
ROWS = [Row(text=text, labels=(label,), group=text, source="data") for text, label in EVERY]
CALLS = [row for row in read_calls(POLICY, [LabelledCall(text=text, label=label) for text, label in EVERY]) if row]
OLD = "20260101-000000-00000000"

Train = Callable[..., TrainingOutcome]


@pytest.fixture
def run(tiny_encoder: str, tiny_models: Path, tmp_path: Path) -> Train:
    def make(rows: Iterable[tuple[str, str]] = (), calls: Iterable[tuple[str, str]] = ()) -> TrainingOutcome:
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
        policy = POLICY.model_copy(update={"encoder": tiny_encoder})
        more = [file] if rows else []
        given = [LabelledCall(text=text, label=label) for text, label in calls]
        return train(policy, base_dir=tmp_path, models_dir=tiny_models, threads=1, more=more, calls=given)

    return make


@pytest.fixture
def bare(tiny_models: Path) -> Callable[..., None]:
    """A version in use of which nothing is there but what it was trained on."""

    def make(trained_on: Iterable[Row] = ()) -> None:
        folder = tiny_models / "desks" / OLD
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        (folder.parent / "current").write_text(OLD)
        with data.archived_rows(tiny_models, "desks", trained_on) as publish:
            publish(OLD)

    return make


def held_out(rows: Iterable[Row], models_dir: Path, policy: Policy = POLICY) -> set[str]:
    return {row.text for row in Incumbent.find(policy, list(rows), models_dir).held}


def test_a_worse_version_is_refused_and_a_better_one_is_not(run: Train, tiny_models: Path) -> None:
    first = run(EVERY[::4])
    assert first.report["incumbent"] is None
    held = held_out(ROWS, tiny_models)
    assert 20 <= len(held) <= 80
    other = {"north": "south", "south": "north"}
    worse = run([(text, label if text in held else other[label]) for text, label in EVERY])
    assert (worse.accepted, worse.version) == (False, None)
    assert Registry(tiny_models).current("desks") == first.version
    [why] = worse.missed
    assert why.startswith(f"worse than {first.version}, which is in use: of the same {len(held)} held-out rows")
    assert worse.report["incumbent"]["right_after"] < worse.report["incumbent"]["right_before"]
    assert worse.report["missed"] == [why]
    better = run(EVERY)
    assert (better.accepted, better.missed) == (True, ())
    assert better.report["incumbent"]["rows"] == len(held)
    trained_on = data.load(tiny_models, "desks", better.version or "")
    assert trained_on is not None
    assert held.isdisjoint(row.text for row in trained_on)
    head = tiny_models / "desks" / (better.version or "") / "head.safetensors"
    head.write_bytes(head.read_bytes() + b"x")
    again = run([*EVERY, *((f"{text}, please", label) for text, label in EVERY)])
    assert again.accepted
    note = again.report["incumbent_note"]
    assert note.startswith("the new version is not compared with the one in use: ")
    assert f"{head} has been changed" in note


@pytest.mark.parametrize(("old", "new"), [(ROWS, ROWS), (CALLS, CALLS), (CALLS, ROWS)])
def test_what_the_version_in_use_was_trained_on_is_not_held_out(
    tiny_models: Path, bare: Callable[..., None], old: list[Row], new: list[Row]
) -> None:
    bare(old[:150])
    held = held_out(new, tiny_models)
    assert held
    assert held.isdisjoint(row.text for row in old[:150])


def test_texts_of_calls_outlive_the_training_in_no_file(run: Train, tiny_models: Path) -> None:
    every = [(f"{text}, says Zyxwv", label) for text, label in EVERY]
    first = run(calls=[*every[::4], ("  ", "north"), ("what else", "west")])
    chance = random.Random(0)
    # nothing can be learned of these, so that there are errors to quote
    second = run(calls=[(text, chance.choice(("north", "south"))) for text, _ in every])
    assert (first.report["text"]["unread_calls"], second.report["text"]["unread_calls"]) == (2, 0)
    assert first.report["text"]["sources"]["data"] == len(every[::4])
    assert second.report["incumbent"]["rows"] >= 20
    assert second.report["held_out"]["errors"]
    files = [file for file in (tiny_models / "desks").rglob("*") if file.is_file()]
    assert any(file.name == "report.json" for file in files)
    assert [file for file in files if b"zyxwv" in file.read_bytes().lower()] == []


def in_groups(rows: Iterable[Row], ends: str) -> list[Row]:
    """Six rows of one message each, a thing in different places, are a group."""
    return [replace(row, group=f"rows.jsonl{ends.format(index // 6)}") for index, row in enumerate(rows)]


def test_a_group_is_held_out_whole_and_the_same_whatever_comes_with_it(
    tiny_models: Path, bare: Callable[..., None]
) -> None:
    bare()
    every = in_groups(ROWS, "/chat{}")
    incumbent = Incumbent.find(POLICY, every, tiny_models)
    held = {row.group for row in incumbent.held}
    assert 20 <= len(incumbent.held) == 6 * len(held) < 120
    spared = incumbent.spared(every)
    assert held.isdisjoint(row.group for row in spared)
    texts = {row.text for row in incumbent.held}
    assert held_out([*every[:60:-1], *every[:60]], tiny_models) == texts
    shutil.rmtree(tiny_models / "desks")
    bare(spared)
    assert held_out(every, tiny_models) == texts
    tested = Policy.model_validate(DESKS | {"tests": [{"text": min(texts).upper(), "expect": "north"}]})
    assert key(min(texts)) not in map(key, held_out(every, tiny_models, tested))
    # too few rows tell nothing, and they teach
    assert held_out(every[:120], tiny_models) == set()


@pytest.mark.parametrize(
    ("ends", "more", "now", "left"),
    [
        ("/chat{}", "", "/chat{}", False),
        ("/chat{}", ", please", "/chat{}", False),
        # the file has moved since, and holds other lines
        ("/chat{}", "", "/moved/chat{}", False),
        (":{}", ", please", ":{}", True),
    ],
)
def test_a_group_of_which_the_version_in_use_has_seen_a_row_is_not_held_out(
    tiny_models: Path, bare: Callable[..., None], *, ends: str, more: str, now: str, left: bool
) -> None:
    bare([replace(row, text=f"{row.text}{more}") for row in in_groups(ROWS, ends)[:240:6]])
    held = held_out(in_groups(ROWS, now), tiny_models)
    assert held
    assert held.isdisjoint(row.text for row in ROWS[:240]) is not left


@pytest.mark.parametrize(("damaged", "why"), [("", "which is not there"), ("rows", "delete it"), ("none", "not kept")])
def test_where_what_is_in_use_is_damaged_nothing_is_held_out_and_a_note_says_so(
    tiny_models: Path, bare: Callable[..., None], damaged: str, why: str
) -> None:
    bare(ROWS[:8])
    archive = tiny_models / "desks" / "training" / f"{OLD}.jsonl"
    if damaged == "rows":
        archive.write_text('{"text": "x"}\n')
    elif damaged == "none":
        archive.unlink()
    else:
        shutil.rmtree(tiny_models / "desks" / OLD)
    incumbent = Incumbent.find(POLICY, ROWS, tiny_models)
    assert incumbent.held == ()
    assert incumbent.note.startswith("nothing is held out to compare with the version in use: ")
    assert why in incumbent.note


@pytest.mark.parametrize(
    ("lost", "won", "refused"),
    [(0, 0, False), (3, 0, False), (6, 0, True), (20, 10, False), (30, 10, True), (5, 40, False)],
)
def test_worse_is_beyond_the_noise_of_the_rows_that_they_differ_on(lost: int, won: int, *, refused: bool) -> None:
    same = 200 - lost - won
    before, after = ([was] * lost + [not was] * won + [True] * same for was in (True, False))
    compared = Comparison(version="v", before=before, after=after)
    low, high = compared.interval
    assert low <= (won - lost) / 200 <= high
    assert bool(compared.missed) is refused
