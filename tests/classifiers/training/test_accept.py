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
from classifiers.policy import OTHER, Policy
from classifiers.training import data
from classifiers.training.accept import Comparison, Incumbent, named
from classifiers.training.clean import key
from classifiers.training.data import read_calls
from classifiers.training.rows import Row
from classifiers.training.run import TrainingOutcome, train
from classifiers.verdict import Abstention, Verdict

DESKS: dict[str, Any] = {
    "version": 1,
    "name": "desks",
    "kind": "intent",
    "about": "Messages to a company's front desk.",
    "labels": {"north": {"means": "is for the desk in the north"}, "south": {"means": "is for the desk in the south"}},
    "tests": [{"text": "my invoice for the lamp is wrong", "expect": "north"}],
}
NORTH = ("my invoice for {} is wrong", "please refund {}", "I was charged twice for {}", "send a receipt for {}")
SOUTH = ("the {} does not start", "my {} is broken", "how do I reset the {}", "the screen of my {} stays black")
THINGS = ("phone", "laptop", "printer", "router", "camera", "monitor", "scanner", "tablet", "speaker", "keyboard")
PLACES = ("at home", "in Oslo", "from last week", "in the office", "again", "since May")

Rows = list[tuple[str, str]]
Train = Callable[..., TrainingOutcome]


def rows() -> Rows:
    forms = [(form, "north") for form in NORTH] + [(form, "south") for form in SOUTH]
    texts = itertools.product(forms, THINGS, PLACES)
    return [(f"{form.format(thing)} {place}", label) for (form, label), thing, place in texts]


def as_rows(found: Iterable[tuple[str, str]]) -> list[Row]:
    return [Row(text=text, labels=(label,), group=text, source="data") for text, label in found]


@pytest.fixture
def run(tiny_encoder: str, tiny_models: Path, tmp_path: Path) -> Train:
    def make(found: Rows, **changes: Any) -> TrainingOutcome:
        file = tmp_path / "rows.jsonl"
        file.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in found))
        policy = Policy.model_validate(DESKS | {"tests": [], "encoder": tiny_encoder} | changes)
        return train(policy, base_dir=tmp_path, models_dir=tiny_models, threads=1, more=[file])

    return make


def others(found: Rows) -> Rows:
    return [(text, "south" if label == "north" else "north") for text, label in found]


def test_a_worse_version_is_refused_and_a_better_one_is_not(run: Train, tiny_models: Path) -> None:
    every = rows()
    first = run(every[::4])
    assert first.report["incumbent"] is None
    assert first.report["text"]["sources"]["data"] == len(every[::4])
    held = {row.text for row in Incumbent.find(policy(), as_rows(every), tiny_models).held}
    assert 20 <= len(held) <= 80

    worse = run(others([row for row in every if row[0] not in held]) + [row for row in every if row[0] in held])
    assert (worse.accepted, worse.version) == (False, None)
    assert Registry(tiny_models).current("desks") == first.version
    [why] = worse.missed
    assert why.startswith(f"worse than {first.version}, which is in use: of the same {len(held)} held-out rows")
    assert worse.report["incumbent"]["right_after"] < worse.report["incumbent"]["right_before"]
    assert worse.report["missed"] == [why]

    better = run(every)
    assert (better.accepted, better.missed) == (True, ())
    assert better.report["incumbent"]["rows"] == len(held)
    trained_on = data.load(tiny_models, "desks", better.version or "")
    assert trained_on is not None
    assert held.isdisjoint(row.text for row in trained_on)


def policy() -> Policy:
    return Policy.model_validate(DESKS)


def test_what_the_version_in_use_was_trained_on_is_not_held_out(tiny_models: Path, bare: Callable[..., None]) -> None:
    every = as_rows(rows())
    bare("20260101-000000-00000000", every[:150])
    held = {row.text for row in Incumbent.find(policy(), every, tiny_models).held}
    assert held
    assert held.isdisjoint(row.text for row in every[:150])


def as_calls(found: Rows) -> list[Row]:
    return read_calls(policy(), found)


def test_calls_that_were_trained_on_are_known_by_their_digests(tiny_models: Path, bare: Callable[..., None]) -> None:
    every = rows()
    bare("20260101-000000-00000000", as_calls(every[:150]))
    held = {row.text for row in Incumbent.find(policy(), as_calls(every), tiny_models).held}
    assert held
    assert held.isdisjoint(text for text, _ in every[:150])
    assert held == {row.text for row in Incumbent.find(policy(), as_rows(every), tiny_models).held}


def test_texts_of_calls_outlive_the_training_in_no_file(tiny_encoder: str, tiny_models: Path, tmp_path: Path) -> None:
    def run(calls: Rows) -> TrainingOutcome:
        given = Policy.model_validate(DESKS | {"tests": [], "encoder": tiny_encoder})
        return train(given, base_dir=tmp_path, models_dir=tiny_models, threads=1, calls=calls)

    every = [(f"{text}, says Zyxwv", label) for text, label in rows()]
    first = run([*every[::4], ("  ", "north"), ("what else", "west")])
    chance = random.Random(0)
    # nothing can be learned of these, so that there are errors to quote
    second = run([(text, chance.choice(("north", "south"))) for text, _ in every])
    assert (first.report["text"]["unread_calls"], second.report["text"]["unread_calls"]) == (2, 0)
    assert first.report["text"]["sources"]["data"] == len(every[::4])
    assert second.report["incumbent"]["rows"] >= 20
    assert second.report["held_out"]["errors"]
    files = [file for file in (tiny_models / "desks").rglob("*") if file.is_file()]
    assert any(file.name == "report.json" for file in files)
    assert [file for file in files if b"zyxwv" in file.read_bytes().lower()] == []


def in_groups(found: Iterable[Row], ends: str) -> list[Row]:
    """Six rows of one message each, a thing in different places, are a group."""
    return [replace(row, group=f"rows.jsonl{ends.format(index // 6)}") for index, row in enumerate(found)]


def test_a_group_is_held_out_whole_and_the_same_whatever_comes_with_it(
    tiny_models: Path, bare: Callable[..., None]
) -> None:
    bare("20260101-000000-00000000")
    every = in_groups(as_rows(rows()), "/chat{}")
    incumbent = Incumbent.find(policy(), every, tiny_models)
    held = {row.group for row in incumbent.held}
    assert 20 <= len(incumbent.held) == 6 * len(held) < 120
    assert held.isdisjoint(row.group for row in incumbent.spared(every))
    again = Incumbent.find(policy(), [*every[:60:-1], *every[:60]], tiny_models)
    assert {row.text for row in again.held} == {row.text for row in incumbent.held}


@pytest.mark.parametrize(
    ("ends", "seen", "now", "left"),
    [
        ("/chat{}", lambda row: row, "/chat{}", False),
        ("/chat{}", lambda row: replace(row, text=f"{row.text}, please"), "/chat{}", False),
        # the file has moved since, and holds other lines
        ("/chat{}", lambda row: row, "/moved/chat{}", False),
        (":{}", lambda row: replace(row, text=f"{row.text}, please"), ":{}", True),
    ],
)
def test_a_group_of_which_the_version_in_use_has_seen_a_row_is_not_held_out(
    tiny_models: Path, bare: Callable[..., None], *, ends: str, seen: Callable[[Row], Row], now: str, left: bool
) -> None:
    every = as_rows(rows())
    bare("20260101-000000-00000000", [seen(row) for row in in_groups(every, ends)[:240:6]])
    held = {row.text for row in Incumbent.find(policy(), in_groups(every, now), tiny_models).held}
    assert held
    assert held.isdisjoint(row.text for row in every[:240]) is not left


def chats(*sizes: int, of: str = "") -> list[Row]:
    """Rows of as many groups, so many in each."""
    return [
        Row(text=f"chat {of} {chat} says thing {line}", labels=("north",), group=f"chats/{of}{chat}", source="data")
        for chat, size in enumerate(sizes)
        for line in range(size)
    ]


def divided(incumbent: Incumbent, every: Iterable[Row]) -> set[str]:
    """The groups of which some rows are held out and others teach."""
    return {row.group for row in incumbent.held} & {row.group for row in incumbent.spared(every)}


@pytest.mark.parametrize("size", [2, 3, 10])
def test_small_groups_are_never_divided_and_the_next_training_holds_out_the_same(
    tiny_models: Path, bare: Callable[..., None], size: int
) -> None:
    sizes = []
    for of in "abcdef":
        bare("20260101-000000-00000000")
        every = chats(*[size] * (240 // size), of=of)
        incumbent = Incumbent.find(policy(), every, tiny_models)
        assert divided(incumbent, every) == set()
        bare("20260201-000000-00000000", incumbent.spared(every))
        again = Incumbent.find(policy(), every, tiny_models)
        assert {row.text for row in again.held} == {row.text for row in incumbent.held}
        sizes.append(len(incumbent.held))
        shutil.rmtree(tiny_models / "desks")
    assert len([found for found in sizes if 20 <= found < 60]) >= 3


@pytest.mark.parametrize("sizes", [[100] * 3, [150, 150, 2, 2, 3], [120, 120, *[1] * 60]])
def test_single_rows_are_held_out_of_large_groups_alone(
    tiny_models: Path, bare: Callable[..., None], sizes: list[int]
) -> None:
    bare("20260101-000000-00000000")
    every = chats(*sizes)
    incumbent = Incumbent.find(policy(), every, tiny_models)
    assert 20 <= len(incumbent.held) < 60
    assert divided(incumbent, every) <= {row.group for row in chats(*sizes[:3])}


@pytest.mark.parametrize("sizes", [[1] * 100, [2] * 25, [5] * 10])
def test_little_that_is_new_all_teaches(tiny_models: Path, bare: Callable[..., None], sizes: list[int]) -> None:
    old, new = chats(*[1] * 500, of="old"), chats(*sizes, of="new")
    bare("20260101-000000-00000000", old)
    assert Incumbent.find(policy(), [*old, *new], tiny_models).held == ()


def test_a_tests_own_text_is_never_held_out(tiny_models: Path, bare: Callable[..., None]) -> None:
    bare("20260101-000000-00000000")
    every = as_rows(rows())
    [one, *_] = Incumbent.find(policy(), every, tiny_models).held
    tested = Policy.model_validate(DESKS | {"tests": [{"text": one.text.upper(), "expect": "north"}]})
    again = Incumbent.find(tested, every, tiny_models)
    assert key(one.text) not in {key(row.text) for row in again.held}


def remove_it(home: Path, version: str) -> None:
    shutil.rmtree(home / version)


def damage_its_rows(home: Path, version: str) -> None:
    with (home / "training" / f"{version}.jsonl").open("a") as file:
        file.write('{"text": "x"}\n')


def remove_its_rows(home: Path, version: str) -> None:
    (home / "training" / f"{version}.jsonl").unlink()


@pytest.mark.parametrize(
    ("damage", "why"),
    [(remove_it, "which is not there"), (damage_its_rows, "delete it"), (remove_its_rows, "rows are not kept here")],
)
def test_where_what_is_in_use_is_damaged_nothing_is_held_out_and_a_note_says_so(
    tiny_models: Path, bare: Callable[..., None], damage: Callable[[Path, str], None], why: str
) -> None:
    bare("20260101-000000-00000000", as_rows(rows()[:8]))
    damage(tiny_models / "desks", "20260101-000000-00000000")
    assert Incumbent.find(policy(), (), tiny_models).note == ""
    incumbent = Incumbent.find(policy(), as_rows(rows()), tiny_models)
    assert incumbent.held == ()
    assert incumbent.note.startswith("nothing is held out to compare with the version in use: ")
    assert why in incumbent.note


def test_a_note_says_why_nothing_is_compared(run: Train, tiny_models: Path) -> None:
    every = rows()
    first = run(every[::8])
    head = tiny_models / "desks" / (first.version or "") / "head.safetensors"
    head.write_bytes(head.read_bytes() + b"x")
    again = run(every)
    assert again.accepted
    assert again.report["incumbent"] is None
    note = again.report["incumbent_note"]
    assert note.startswith("the new version is not compared with the one in use: ")
    assert f"{head} has been changed" in note


def test_where_none_is_sure_enough_other_may_be_the_likeliest() -> None:
    def said(**scores: float) -> Verdict:
        return Verdict(classifier="desks", version="v", scores=scores, abstention=Abstention.UNSURE)

    scoped = Policy.model_validate(DESKS | {"other": "anything else"})
    assert named(said(north=0.1, south=0.1), scoped) == {OTHER}
    assert named(said(north=0.2, south=0.5), scoped) == {"south"}
    assert named(replace(said(north=0.6, south=0.1), labels=(OTHER,), abstention=None), scoped) == {OTHER}


@pytest.fixture
def bare(tiny_models: Path) -> Callable[..., None]:
    """A version in use of which nothing is there but what it was trained on."""

    def make(version: str, trained_on: Iterable[Row] = ()) -> None:
        folder = tiny_models / "desks" / version
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        (folder.parent / "current").write_text(version)
        data.keep(tiny_models, "desks", version, trained_on)

    return make


@pytest.mark.parametrize(
    ("lost", "won", "refused"),
    [(0, 0, False), (3, 0, False), (6, 0, True), (20, 10, False), (30, 10, True), (5, 40, False)],
)
def test_worse_is_beyond_the_noise_of_the_rows_that_they_differ_on(lost: int, won: int, *, refused: bool) -> None:
    compared = Comparison(version="v", rows=200, before=150, after=150 + won - lost, lost=lost, won=won)
    low, high = compared.interval
    assert low <= (won - lost) / 200 <= high
    assert bool(compared.missed) is refused
