"""The head of the version in use, fitted anew on calls, on the real encoder."""

import itertools
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from classifiers import Reading, Runtime
from classifiers.encoder.session import Encoder
from classifiers.errors import TrainingError
from classifiers.model import artifact
from classifiers.model.model import Model
from classifiers.model.registry import Registry
from classifiers.policy import Policy
from classifiers.text.language import LanguageDetector
from classifiers.training import data
from classifiers.training.export import forget_learned
from classifiers.training.fit.fitted import Silent
from classifiers.training.refit import Base, ReadingOnce, RefitError
from classifiers.training.rows import LabelledCall
from classifiers.training.run import TrainingOutcome, train

POLICY: dict[str, Any] = {
    "version": 1,
    "name": "desks",
    "kind": "intent",
    "about": "Messages to a company's front desk.",
    "languages": ["en"],
    "labels": {"north": {"means": "is for the desk in the north"}, "south": {"means": "is for the desk in the south"}},
}
NORTH = ("my invoice for {} is wrong", "please refund {}", "I was charged twice for {}", "send a receipt for {}")
SOUTH = ("the {} does not start", "my {} is broken", "how do I reset the {}", "the screen of my {} stays black")
THINGS = ("phone", "laptop", "printer", "router", "camera", "monitor", "scanner", "tablet", "speaker", "keyboard")
PLACES = ("at home", "in Oslo", "from last week", "in the office", "again", "since May")
GERMAN = "Meine Rechnung für den Drucker ist leider schon wieder falsch, bitte schicken Sie mir eine neue."


def calls(places: Sequence[str] = PLACES) -> list[LabelledCall]:
    made = [
        LabelledCall(text=f"{form.format(thing)} {place}, says Zyxwv", label="north" if form in NORTH else "south")
        for form, thing, place in itertools.product(NORTH + SOUTH, THINGS, places)
    ]
    random.Random(0).shuffle(made)
    return [*made, LabelledCall(text=GERMAN, label="north"), LabelledCall(text="what else", label="west")]


class Steps(Silent):
    def __init__(self) -> None:
        self.named: list[str] = []

    def step(self, name: str) -> None:
        self.named.append(name)


@pytest.fixture(scope="module")
def first(prepared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with a version that has learned from no calls. Shared: do not write into it."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "encoders").symlink_to(prepared_dir / "encoders")
    train(Policy.model_validate(POLICY), base_dir=folder, models_dir=folder, threads=2)
    return folder


@pytest.fixture
def trained(first: Path, models_dir: Path) -> Path:
    """A models folder of the test's own with that version."""
    shutil.copytree(first / "desks", models_dir / "desks")
    return models_dir


@pytest.fixture
def run(models_dir: Path, tmp_path: Path) -> Callable[..., TrainingOutcome]:
    """run(calls, refit=…, **changes): trains the policy."""

    def make(given: Sequence[LabelledCall] = (), **options: Any) -> TrainingOutcome:
        chosen = {key: options.pop(key) for key in ("refit", "progress", "more") if key in options}
        policy = Policy.model_validate(POLICY | options)
        return train(policy, base_dir=tmp_path, models_dir=models_dir, threads=2, calls=given, **chosen)

    return make


def named(models_dir: Path, texts: Sequence[str]) -> list[str]:
    runtime = Runtime.load(models_dir, ["desks"])
    verdicts = runtime.classify([Reading(classifier="desks", texts=(text,)) for text in texts])
    return [max(verdict.scores, key=lambda name: verdict.scores[name]) for verdict in verdicts]


def test_it_learns_from_calls_reads_each_once_and_keeps_no_text(
    run: Callable[..., TrainingOutcome], trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, every = Registry(trained).current("desks"), calls()
    made = run(every, refit=True)
    assert (made.accepted, made.missed) == (True, ())
    assert artifact.is_learned(made.folder)
    assert not artifact.is_learned(Registry(trained).resolve("desks", before))
    assert made.report["settings"]["recipe"] == "refit"
    assert "ngrams" in made.report["settings"]
    assert made.report["text"]["unread_calls"] == 1
    assert made.report["text"]["foreign"]["rows"] == 1
    assert made.report["incumbent"]["right_after"] > made.report["incumbent"]["right_before"]
    assert named(trained, ["a refund for the drill", "my drill stays black"]) == ["north", "south"]
    # each call but those held out was judged by a fit without it
    held_out = artifact.load(made.folder).model.held_out
    assert len(held_out) == len(every) - 1 - made.report["incumbent"]["rows"]
    assert sum(wrong for _, _, wrong in held_out) <= 10
    files = [file for file in (trained / "desks").rglob("*") if file.is_file()]
    assert [file for file in files if b"zyxwv" in file.read_bytes().lower()] == []

    # with the vectors it reads nothing, finds no language anew, and fits the same
    vectors = dict(zip((call.text for call in every), made.vectors, strict=True))
    assert [text for text, vector in vectors.items() if not vector] == ["what else"]
    Registry(trained).promote("desks", before or "")
    monkeypatch.setattr(LanguageDetector, "stretches", lambda *_: pytest.fail("is foreign by its vectors"))
    states, read = Encoder.states, list[int]()

    def counted(self: Encoder, windows: Sequence[Sequence[int]]) -> Any:
        if isinstance(self, ReadingOnce):
            read.append(len(windows))
        return states(self, windows)

    monkeypatch.setattr(Encoder, "states", counted)
    Base.find(Policy.model_validate(POLICY), trained).encoder(trained)
    opening = sum(read)
    given = [LabelledCall(text=call.text, label=call.label, vector=vectors[call.text]) for call in every]
    again = run(given, refit=True)
    assert sum(read) == 2 * opening
    assert set(again.vectors) == {b""}
    assert (again.folder / artifact.HEAD).read_bytes() == (made.folder / artifact.HEAD).read_bytes()
    assert again.report["text"]["foreign"]["languages"] == made.report["text"]["foreign"]["languages"]


def test_vectors_that_do_not_fit_are_made_anew(trained: Path) -> None:
    base, detector = Base.find(Policy.model_validate(POLICY), trained), LanguageDetector()
    encoder = base.encoder(trained)
    call = LabelledCall(text="my phone is broken", label="south")
    [row], [vector] = base.read([call], encoder, detector)
    other = Policy.model_validate(POLICY | {"languages": ["en", "de"]})
    strange = replace(base, model=replace(base.model, policy=other)).read([call], encoder, detector)[1][0]
    for damaged in (vector[:-2], vector[:5], b"x" * len(vector), vector[:8] + b"\xff" + vector[9:], strange):
        given = LabelledCall(text=call.text, label=call.label, vector=damaged)
        assert base.read([given], encoder, detector) == ([row], [vector])
    # a damaged file of the policy's own text costs time alone
    [file] = (trained / "desks" / "training").glob("windows-*.npy")
    whole = file.read_bytes()
    for bad in (b"", whole[:100], whole[:-7]):
        file.write_bytes(bad)
        base.encoder(trained)
        assert file.read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda home: (home / "current").unlink(), "no version is in use"),
        (lambda home: (home / "current").write_text("gone"), "which is not there"),
        (lambda home: [file.unlink() for file in home.glob("training/*.jsonl")], "'s rows are not kept here"),
        (lambda _: POLICY | {"about": "Messages."}, "the policy is not that of .* any more"),
    ],
)
def test_what_cannot_be_fitted_anew_is_known_beforehand(trained: Path, change: Callable[[Path], Any], why: str) -> None:
    changed = change(trained / "desks")
    with pytest.raises(RefitError, match=why):
        Base.find(Policy.model_validate(changed if isinstance(changed, dict) else POLICY), trained)


@pytest.mark.parametrize("more", [False, True])
def test_it_is_trained_as_a_whole_instead_or_with_more_rows(
    run: Callable[..., TrainingOutcome], trained: Path, monkeypatch: pytest.MonkeyPatch, more: bool
) -> None:
    if not more:
        (trained / "desks" / "current").unlink()
    steps = Steps()
    # the first that a refit does without
    monkeypatch.setattr("classifiers.training.run.read_rows", Mock(side_effect=TrainingError("reads files")))
    with pytest.raises(TrainingError, match="reads files"):
        run(calls(PLACES[:1]), refit=True, progress=steps, more=[trained] if more else [])
    assert ("trained as a whole, since no version is in use" in steps.named) is not more


def test_a_version_that_came_meanwhile_stays(
    run: Callable[..., TrainingOutcome], trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Base.refit

    def meanwhile(self: Base, *given: Any) -> Any:
        made = fit(self, *given)
        (trained / "desks" / "current").write_text("20990101-000000-00000000")
        return made

    monkeypatch.setattr(Base, "refit", meanwhile)
    with pytest.raises(TrainingError, match="gave way to 20990101-000000-00000000 meanwhile"):
        run(calls(PLACES[:1]), refit=True)


def test_of_versions_learned_from_calls_the_newest_three_and_the_one_in_use_stay(
    bare_model: Callable[..., Model], tmp_path: Path
) -> None:
    registry, versions = Registry(tmp_path), []
    for day, learned in enumerate((False, True, True, True, False, True, True), 1):
        with registry.staging("bank") as folder:
            artifact.save(bare_model(), folder, report={}, learned=learned)
            versions.append(registry.publish("bank", folder, datetime(2026, 1, day, tzinfo=UTC)))
        with data.archived_rows(tmp_path, "bank", ()) as archive:
            archive(versions[-1])
    registry.promote("bank", versions[1])
    forget_learned(tmp_path, "bank")
    kept = [*versions[:2], *versions[3:]]
    assert registry.versions("bank") == kept
    assert sorted(file.stem for file in (tmp_path / "bank" / "training").iterdir()) == kept
    registry.promote("bank", versions[-1])
    forget_learned(tmp_path, "bank")
    assert registry.versions("bank") == [versions[0], *versions[3:]]
    assert not list((tmp_path / "bank").glob(".old-*"))
