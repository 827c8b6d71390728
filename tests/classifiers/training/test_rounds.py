"""Rounds on a plane: a text tells where it lies, so that no encoder is needed to see what a round changes."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.errors import PromptRefused, TeacherError
from classifiers.policy import OTHER, Policy
from classifiers.training import rounds
from classifiers.training.clean import clean
from classifiers.training.fit.fitted import Silent
from classifiers.training.fit.linear import unit
from classifiers.training.prepare import TrainingText
from classifiers.training.rounds import WANTED, LabelPair, Measure, Round, Rounds, contrast_asks, hold
from classifiers.training.rows import Row
from classifiers.training.write.teacher import Author, Completion, Hired, TeacherPrice

MakePolicy = Callable[..., Policy]

CENTRES = {"card_arrival": (1, 0, 0, 0), "lost_card": (0, 1, 0, 0), "rare": (0.1, 0, 1, 0), "near": (0, 0.1, 1, 0.3)}


def at(centre: str, number: int, spread: float = 0.12) -> str:
    """A text that lies near a centre."""
    noise = np.random.default_rng([number, *centre.encode()]).normal(scale=spread, size=4)
    return " ".join(f"{value:.3f}" for value in np.array(CENTRES[centre]) + noise)


def row(label: str, centre: str, number: int) -> Row:
    text = at(centre, number)
    return Row(text=text, labels=(label,), group=text, source="teacher", writer="small")


def written() -> list[Row]:
    """Two labels that are clear but for a corner, where there are few rows of the first and more of the second."""
    clear = [row(label, label, number) for label in ("card_arrival", "lost_card") for number in range(12)]
    return [
        *clear,
        *(row("card_arrival", "rare", number) for number in range(3)),
        *(row("lost_card", "near", number) for number in range(9)),
    ]


def ready(policy: Policy) -> Callable[[Sequence[Row]], TrainingText]:
    def make(rows: Sequence[Row]) -> TrainingText:
        cleaned = clean(policy, rows)
        places = [[float(value) for value in one.text.split()] for one in cleaned.rows]
        return TrainingText(rows=cleaned.rows, vectors=unit(np.array(places)), cleaned=cleaned)

    return make


class Knows:
    """A teacher that writes what lies in the corner, rightly or the wrong way round."""

    def __init__(self, *, rightly: bool = True, cost: int = 10) -> None:
        self.prompts: list[str] = []
        self.rightly = rightly
        self.cost = cost

    def __call__(self, prompt: str, **options: Any) -> Completion:
        self.prompts.append(prompt)
        first, second = re.findall(r'"(\w+)": \["…"', prompt)
        centres = {"card_arrival": "rare", "lost_card": "near", OTHER: "near"}
        start = 100 * len(self.prompts)
        told = {
            key: [at(centres[other], start + n) for n in range(WANTED)]
            for key, other in zip((first, second), (first, second) if self.rightly else (second, first), strict=True)
        }
        return Completion(text=json.dumps(told), input_tokens=self.cost, output_tokens=self.cost)


class Watcher(Silent):
    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        self.steps.append(name)


@pytest.fixture
def policy(make_policy: MakePolicy) -> Policy:
    return make_policy(labels=["card_arrival", "lost_card"], teacher={"model": "small", "tokens": 100_000}, other=None)


class Trial:
    def __init__(self, policy: Policy, folder: Path, model: Knows, *, agrees: bool = True) -> None:
        self.policy, self.model, self.watcher = policy, model, Watcher()
        self.author = Author(
            policy.teachers[0],
            Hired(complete=model, price=TeacherPrice(known=False)),
            place=0,
            writer="small",
            cache_dir=folder,
            seed=0,
        )
        self.whys: list[str] = []
        self.agrees = agrees

    def hold(self, rows: Sequence[Row] | None = None) -> Rounds:
        def approve(*told: Any) -> bool:
            self.whys.append(told[-1])
            return self.agrees

        make = ready(self.policy)
        rows = written() if rows is None else rows
        return hold(
            self.policy,
            rows,
            make(rows),
            [self.author],
            ready=make,
            approve=approve,
            progress=self.watcher,
            seed=0,
        )


def test_what_is_confused_is_written_for_until_it_no_longer_helps(policy: Policy, tmp_path: Path) -> None:
    trial = Trial(policy, tmp_path, Knows())
    found = trial.hold()
    first = found.rounds[0]
    assert [(pair.first, pair.second) for pair in first.pairs] == [("card_arrival", "lost_card")]
    assert first.kept
    assert first.after.loss < first.before.loss
    assert first.sentences == {"small": 2 * WANTED}
    assert found.ended in {"nothing is confused", "no gain"}
    kept = sum(sum(one.sentences.values()) for one in found.rounds if one.kept)
    assert len(found.text.rows) == len(written()) + kept
    assert trial.watcher.steps[0] == "write: round 1, 1 pair of labels"
    assert trial.whys[0] == "for round 1, 1 pair of labels that are taken for each other"


def test_sentences_of_a_round_teach_and_are_not_measured_on(policy: Policy, tmp_path: Path) -> None:
    found = Trial(policy, tmp_path, Knows()).hold()
    assert {one.probe for one in found.text.rows if "round 1/" in one.group} == {False}
    (shown,) = [{*pair.first_texts, *pair.second_texts} for pair in found.rounds[0].pairs]
    assert shown
    assert found.rounds[0].before.rows == len(written()) - len(shown)


@pytest.mark.parametrize("own", [lambda number: True, lambda number: number < 24])
def test_a_users_own_rows_are_not_shown_and_stay_in_the_measure(
    policy: Policy, tmp_path: Path, own: Callable[[int], bool]
) -> None:
    rows = [replace(one, source="data", writer="") if own(n) else one for n, one in enumerate(written())]
    trial = Trial(policy, tmp_path, Knows())
    first = trial.hold(rows).rounds[0]
    assert first.pairs[0].mistaken > 1
    shown = {one for pair in first.pairs for one in (*pair.first_texts, *pair.second_texts)}
    assert bool(shown) is any(one.source != "data" for one in rows)
    assert not any(one.text in prompt for one in rows if one.source == "data" for prompt in trial.model.prompts)
    assert first.before.rows == len(rows) - len(shown)


def test_a_round_that_gains_nothing_is_left_out_and_the_last(policy: Policy, tmp_path: Path) -> None:
    trial = Trial(policy, tmp_path, Knows(rightly=False))
    found = trial.hold()
    assert [one.kept for one in found.rounds] == [False]
    assert found.ended == "no gain"
    assert [one.text for one in found.text.rows] == [one.text for one in written()]


def test_a_budget_that_is_spent_ends_them(policy: Policy, tmp_path: Path) -> None:
    poor = policy.model_copy(update={"teachers": (policy.teachers[0].model_copy(update={"tokens": 1}),)})
    found = Trial(poor, tmp_path, Knows()).hold()
    assert (found.rounds, found.ended) == ((), "the budget")


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (PromptRefused("answered 400: content_filter"), "nothing was written"),
        (TeacherError("answered 503"), "a teacher that failed (answered 503)"),
    ],
)
def test_a_model_that_refuses_or_fails_ends_them_and_the_text_stays(
    policy: Policy, tmp_path: Path, error: TeacherError, ended: str
) -> None:
    class Fails(Knows):
        def __call__(self, prompt: str, **options: Any) -> Completion:
            raise error

    found = Trial(policy, tmp_path, Fails()).hold()
    assert (found.rounds, found.ended) == ((), ended)
    assert [one.text for one in found.text.rows] == [one.text for one in written()]


def test_none_are_held_where_nobody_agrees_or_none_are_wanted(policy: Policy, tmp_path: Path) -> None:
    refused = Trial(policy, tmp_path, Knows(), agrees=False)
    assert refused.hold().ended == "nothing was written"
    assert refused.model.prompts == []
    none = policy.model_copy(update={"teachers": (policy.teachers[0].model_copy(update={"rounds": 0}),)})
    unasked = Trial(none, tmp_path, Knows())
    assert unasked.hold().rounds == ()
    assert unasked.whys == []


def test_pairs_show_at_most_half_of_what_was_mistaken(policy: Policy) -> None:
    text = ready(policy)(written())
    seen = rounds.look(policy, text.rows, text.vectors, 0)
    (pair,) = rounds.confused_pairs(policy, seen, set(seen.texts))
    assert pair.mistaken == sum(truth != said for truth, said in zip(seen.truths, seen.said, strict=True)) > 0
    assert 0 < len(pair.first_texts) + len(pair.second_texts) <= pair.mistaken // 2
    (again,) = rounds.confused_pairs(policy, seen, set())
    assert (again.first_texts, again.second_texts) == ((), ())


def test_other_is_written_for_where_the_policy_describes_it(policy: Policy, make_policy: MakePolicy) -> None:
    texts = ("a", "b", "c", "d")
    seen = rounds.ConfusionCounts(
        texts=texts,
        labels=tuple(frozenset({truth}) for truth in ("x", OTHER, OTHER, "x")),
        truths=("x", OTHER, OTHER, "x"),
        said=(OTHER, "x", "x", "x"),
        loss=np.ones(4, np.float32),
    )
    (pair,) = rounds.confused_pairs(make_policy(), seen, set(texts))
    assert (pair.first, pair.second, pair.mistaken) == ("x", OTHER, 3)
    assert len(pair.first_texts) + len(pair.second_texts) == 1
    assert rounds.confused_pairs(policy, seen, set(texts)) == []


def outside() -> list[Row]:
    """Two labels that are clear, but for a corner that the first shares with text of neither."""
    near = {at("near", number) for number in range(9)}
    return [replace(one, labels=(OTHER,)) if one.text in near else one for one in written()]


def test_a_label_and_other_that_are_taken_for_each_other_get_rounds(policy: Policy, tmp_path: Path) -> None:
    told = policy.model_copy(update={"other": "anything but cards"})
    trial = Trial(told, tmp_path, Knows())
    found = trial.hold(outside())
    first = found.rounds[0]
    assert [(pair.first, pair.second) for pair in first.pairs] == [("card_arrival", OTHER)]
    assert (first.kept, first.sentences) == (True, {"small": 2 * WANTED})
    new = [one.labels for one in found.text.rows if "round 1/" in one.group]
    assert {labels: new.count(labels) for labels in new} == {("card_arrival",): WANTED, (OTHER,): WANTED}


def test_other_that_the_policy_says_nothing_of_is_told_and_not_written_for(policy: Policy, tmp_path: Path) -> None:
    trial = Trial(policy, tmp_path, Knows())
    found = trial.hold(outside())
    assert (found.rounds, found.ended) == ((), "confused with other only, which the policy does not describe")
    assert trial.model.prompts == []


def test_nothing_is_confused_where_all_is_clear(policy: Policy, tmp_path: Path) -> None:
    clear = [row(label, label, number) for label in ("card_arrival", "lost_card") for number in range(12)]
    found = Trial(policy, tmp_path, Knows()).hold(clear)
    assert (found.rounds, found.ended) == ((), "nothing is confused")


def test_a_label_is_told_from_other_and_other_from_every_label(make_policy: MakePolicy) -> None:
    pair = LabelPair(
        first="lost_card", second=OTHER, mistaken=2, first_texts=("it is gone",), second_texts=("lost my dog",)
    )
    (ask,) = contrast_asks(make_policy(labels=["card_arrival", "lost_card"], other="anything but cards"), [pair], 1, 0)
    assert dict(ask.labels) == {"lost_card": ("lost_card",), OTHER: (OTHER,)}
    assert 'These are "lost_card" and were taken for "other", do not repeat them: it is gone' in ask.prompt
    assert 'These are "other" and were taken for "lost_card", do not repeat them: lost my dog' in ask.prompt
    assert 'Under "other" write messages that are out of scope (anything but cards), although' in ask.prompt
    assert "None of those may be about any of these: card arrival; lost card" in ask.prompt


def test_a_safety_label_is_told_from_harmless_text(make_policy: MakePolicy) -> None:
    pair = LabelPair(
        first="violence", second="none", mistaken=2, first_texts=("he will pay",), second_texts=("kill it",)
    )
    (ask,) = contrast_asks(make_policy("safety"), [pair], 1, 0)
    assert dict(ask.labels) == {"violence": ("violence",), "harmless": ()}
    assert 'These are "harmless" and were taken for "violence", do not repeat them: kill it' in ask.prompt


def test_any_number_of_labels_are_looked_at_by_what_was_missed(make_policy: MakePolicy) -> None:
    places = {"violence": (1, 0), "jailbreak": (0, 1), "": (-1, -1)}
    rows = [
        Row(text=f"{label} {n}", labels=(label,) if label else (), group=f"{label} {n}", source="data")
        for label in places
        for n in range(8)
    ]
    rows += [Row(text=f"{name} one", labels=(), group=name, source="data") for name in ("odd", "queer")]
    vectors = unit(np.array([places.get(one.text.rpartition(" ")[0], (1, 0)) for one in rows]))
    policy = make_policy("safety")
    seen = rounds.look(policy, rows, vectors, 0)
    (pair,) = rounds.confused_pairs(policy, seen, set(seen.texts))
    assert (pair.first, pair.second, pair.mistaken, len(pair.second_texts)) == ("violence", "none", 2, 1)


def several(policy: Policy, *, odd: tuple[float, float], both: tuple[float, float]) -> rounds.ConfusionCounts:
    """Held-out text of one label, of another, of both and of none, and two rows of the first that lie elsewhere."""
    places = {("violence",): (1, 0), ("jailbreak",): (0, 1), ("violence", "jailbreak"): (1, 1), (): (-1, -1)}
    rows = [
        (Row(text=f"{labels} {n}", labels=labels, group=f"{labels} {n}", source="data"), place)
        for labels, place in places.items()
        for n in range(12)
    ]
    rows += [(Row(text=name, labels=("violence",), group=name, source="data"), odd) for name in ("odd", "queer")]
    rows += [(Row(text="two", labels=("violence", "jailbreak"), group="two", source="data"), both)]
    return rounds.look(policy, [one for one, _ in rows], unit(np.array([place for _, place in rows], float)), 0)


def test_text_that_has_a_label_is_never_taken_for_text_of_none(make_policy: MakePolicy) -> None:
    policy = make_policy("safety")
    seen = several(policy, odd=(1, 1), both=(1, 1))
    (pair,) = rounds.confused_pairs(policy, seen, set(seen.texts))
    assert (pair.first, pair.second, pair.mistaken) == ("jailbreak", "violence", 2)
    assert (pair.first_texts, len(pair.second_texts)) == ((), 1)
    (ask,) = contrast_asks(policy, [pair], 1, 0)
    assert 'These are "violence" and were taken for "jailbreak", do not repeat them: ' in ask.prompt
    assert "harmless" not in ask.prompt


def test_rows_that_a_round_breaks_or_mends_are_measured_by_all_their_labels(make_policy: MakePolicy) -> None:
    policy = make_policy("safety")
    seen, after = several(policy, odd=(1, 1), both=(1, 0)), several(policy, odd=(1, 0), both=(1, 1))
    shared = {text for text, _ in seen.judged & after.judged}
    assert shared == set(seen.texts)
    wrong = [
        {text for text, *two in zip(one.texts, one.truths, one.said, strict=True) if two[0] != two[1]}
        for one in (seen, after)
    ]
    assert wrong == [{"odd", "queer", "two"}, set()]
    assert seen.measured(shared)[2] < after.measured(shared)[2] == 1


def test_a_teacher_is_shown_no_whole_documents_and_a_report_shows_what_it_was(make_policy: MakePolicy) -> None:
    long = tuple(f"{name} " * 20_000 for name in "abc")
    pair = LabelPair(
        first="card_arrival", second="lost_card", mistaken=9, first_texts=long, second_texts=("short", *long[:2])
    )
    (ask,) = contrast_asks(make_policy(labels=["card_arrival", "lost_card"]), [pair], 1, 0)
    assert "do not repeat them: short; a a " in ask.prompt
    assert len(ask.prompt) < 6_000
    measure = Measure(rows=1, loss=0.1, accuracy=1.0)
    one = Round(number=1, pairs=(pair,), sentences={}, before=measure, after=measure, kept=True)
    text = ready(make_policy(labels=["card_arrival", "lost_card"]))(written())
    (told,) = Rounds(text=text, rounds=(one,)).told()["rounds"]
    assert all(shown in ask.prompt for name in ("first_texts", "second_texts") for shown in told["pairs"][0][name])
