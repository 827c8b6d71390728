from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from classifiers.model.model import EncoderId, Usual
from classifiers.policy import OTHER, Policy
from classifiers.runtime import cascade
from classifiers.runtime.heads import any_logit
from classifiers.training import prepare, split
from classifiers.training.fit import linear
from classifiers.training.fit.fitted import MeasuredModel, NGramScores, Silent, TrainingSet, TunedHead
from classifiers.training.fit.heads import fit
from classifiers.training.rows import Row


def clouds(classes: int, each: int, spread: float = 0.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around a random direction for each class."""
    chance = np.random.default_rng(seed)
    centres = chance.normal(0, 1, (classes, 24))
    truth = np.repeat(np.arange(classes, dtype=np.int32), each)
    return linear.unit(centres[truth] + chance.normal(0, spread, (len(truth), 24))), truth


def ones(truth: np.ndarray) -> np.ndarray:
    return np.ones(len(truth), np.float32)


def test_more_cells_than_fits_can_take_leave_prototypes_or_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "MOST_CELLS", 10)
    vectors, truth = clouds(6, 40)
    fitted = linear.one_of(vectors, truth, ones(truth), 6, 0)
    matrix, bias = linear.any_of(vectors, truth[:, None] == np.arange(6), ones(truth), 3.0)
    assert matrix.dtype == bias.dtype == np.float32
    for scores in (vectors @ fitted.weights.T + fitted.bias, vectors @ matrix.T + bias):
        assert (scores.argmax(axis=1) == truth).mean() > 0.95


def test_any_of_gives_a_constant_where_there_is_nothing_to_tell_apart() -> None:
    vectors, truth = clouds(2, 20)
    holds = np.column_stack([truth == 0, np.zeros(40, bool), np.ones(40, bool)])
    matrix, bias = linear.any_of(vectors, holds, ones(truth), 3.0)
    assert ((vectors @ matrix[0] + bias[0] > 0) == holds[:, 0]).mean() > 0.95
    assert (matrix[1:] == 0).all()
    assert bias[1:].tolist() == [-10, 10]
    matrix, bias = linear.any_of(vectors, holds[:, 1:], ones(truth), 3.0)
    assert (matrix.any(), bias.tolist()) == (False, [-10, 10])


def test_a_hidden_layer_tells_what_no_line_parts() -> None:
    chance = np.random.default_rng(0)
    vectors = linear.unit(chance.standard_normal((2_300, 12)))
    # harm is where two directions have the same sign
    holds = np.column_stack([vectors[:, 0] * vectors[:, 1] > 0.02, vectors[:, 2] * vectors[:, 3] > 0.05])
    weights, right = np.ones(len(holds), np.float32), {}
    for hidden in (False, True):
        head = linear.head_of(("a", "b"), vectors[:1_500], holds[:1_500], weights[:1_500], strength=3.0, hidden=hidden)
        logits = head.logits(vectors[1_500:])
        right[hidden] = ((any_logit(logits) > 0) == holds[1_500:].any(axis=1)).mean()
    assert right[True] > 0.8 > 0.7 > right[False]
    again = linear.head_of(("a", "b"), vectors[:1_500], holds[:1_500], weights[:1_500], strength=3.0, hidden=True)
    assert np.array_equal(again.logits(vectors[1_500:]), logits)
    assert head.hidden is not None
    assert all(part.flags.c_contiguous for part in (head.weights, head.hidden.weights))


def test_any_of_learns_that_some_label_holds_where_chance_says_which() -> None:
    vectors, truth = clouds(2, 200)
    holds = np.zeros((400, 4), bool)
    harmful = np.flatnonzero(truth == 0)
    holds[harmful, np.random.default_rng(0).integers(0, 4, len(harmful))] = True
    matrix, bias = linear.any_of(vectors, holds, ones(truth), 100.0)
    # four labels that are each learned alone give log(4 * (1/4) / (3/4))
    assert np.median(any_logit(vectors @ matrix.T + bias)[harmful]) > np.log(4 / 3) + 0.2


def rows_of(truth: np.ndarray, **more: object) -> list[Row]:
    return [
        Row(text=str(i), labels=(f"label {label}",), group=f"{i // 2}", source="data", **more)  # type: ignore[arg-type]
        for i, label in enumerate(truth.tolist())
    ]


def test_held_out_scores_come_from_fits_that_saw_neither_row_nor_group() -> None:
    """Labels are random for each group, so whoever has not seen the group can only guess."""
    chance = np.random.default_rng(0)
    vectors = linear.unit(np.repeat(chance.normal(0, 1, (100, 300)), 2, axis=0))
    truth = np.repeat(chance.integers(0, 4, 100), 2).astype(np.int32)
    held = split.one_of(
        rows_of(truth), vectors, truth, weights=ones(truth), count=4, seed=0, advance=lambda done, total: None
    )
    seen = linear.one_of(vectors, truth, ones(truth), 4, 0)
    assert ((vectors @ seen.weights.T + seen.bias).argmax(axis=1) == truth).mean() > 0.9
    assert (held.logits.argmax(axis=1) == truth).mean() < 0.45


@pytest.mark.parametrize(("group", "asked"), [(None, 26), ("chat", 20)])
def test_a_class_is_measured_only_by_fits_that_know_it(group: str | None, asked: int) -> None:
    vectors, truth = clouds(3, 10, spread=0.2)
    vectors, truth = vectors[:26], truth[:26]
    rows = [replace(row, group=group) if group and row.labels == ("label 2",) else row for row in rows_of(truth)]
    held = split.one_of(rows, vectors, truth, weights=ones(truth), count=3, seed=0, advance=lambda *_: None)
    assert held.rows.tolist() == list(range(asked))
    assert (held.logits.argmax(axis=1) == truth[:asked]).all()
    each = [replace(row, group=row.labels[0]) for row in rows]
    none = split.one_of(each, vectors, truth, weights=ones(truth), count=3, seed=0, advance=lambda *_: None)
    assert none.rows.tolist() == list(range(26)), "where no fit knows a class, all are asked about"
    made = fitted(policy("intent", 3), rows, vectors)
    assert min(verdict.confidence for verdict in made.verdicts) > 0.8
    assert (cascade.part(made.model.last, vectors, multi_label=False).probabilities.argmax(axis=1) == truth).all()


def test_without_another_label_to_learn_from_no_row_is_scored_as_left_out() -> None:
    vectors, truth = clouds(1, 10)
    more = {"count": 9, "labels": 9, "sharpness": 10.0, "seed": 0}
    left = split.left_out(rows_of(truth), vectors, truth, weights=ones(truth), **more)
    assert left is not None
    assert (len(left.rows), left.logits.any()) == (10, False)


def policy(kind: str, labels: int, **more: object) -> Policy:
    described = {f"label {index}": {"means": "x"} for index in range(labels)}
    return Policy.model_validate({"version": 1, "name": "p", "kind": kind, "about": "x", "labels": described, **more})


def fitted(policy: Policy, rows: Sequence[Row], vectors: np.ndarray, **more: Any) -> MeasuredModel:
    encoder: Any = SimpleNamespace(id=EncoderId(source="x", sha256="y"))
    bench: Any = SimpleNamespace(seed=0, progress=Silent())
    return fit(TrainingSet(policy=policy, rows=rows, encoder=encoder, vectors=vectors, **more), bench)


@pytest.mark.parametrize("other", [None, "anything else"])
def test_a_goal_counts_no_text_as_answered_that_is_novel_when_served(other: str | None) -> None:
    vectors, truth = clouds(8, 30, spread=0.7)
    stated = policy("intent", 8, other=other, goal={"max_error": "50%", "min_answered": "100%"})
    made = fitted(stated, rows_of(truth), vectors)
    novel = [verdict.novelty > made.model.last.novelty.limit for verdict in made.verdicts]
    assert any(novel)
    answered = [bool(verdict.labels) and verdict.labels != (OTHER,) for verdict in made.verdicts]
    (goal,) = made.chosen.goals
    assert goal["answered"] == round(sum(answered) / len(answered), 5) < 1
    assert not goal["met"]
    assert made.chosen.missed


def test_text_that_is_not_answered_for_its_language_does_not_tell_what_is_usual() -> None:
    vectors, truth = clouds(4, 30, spread=0.7)
    far = np.arange(len(truth)) % 5 == 0
    vectors[far] = clouds(1, int(far.sum()), spread=3.0, seed=9)[0]

    def usual(foreign: str) -> Usual:
        rows = [replace(row, foreign=foreign if away else "") for row, away in zip(rows_of(truth), far, strict=True)]
        made = fitted(policy("intent", 4), rows, vectors)
        told = made.model.last.novelty.usual
        assert told is not None
        return told

    assert usual("de").level > usual("").level + 1


def test_a_table_counts_as_real_rows_say_and_by_a_set_share_where_these_are_few() -> None:
    vectors, truth = clouds(6, 60, spread=1.2)
    unseen = np.arange(len(truth)) % 5 == 0
    real = rows_of(truth)
    written = [replace(row, source="teacher") for row in real]

    def share(rows: list[Row], named: np.ndarray = truth, **more: Any) -> float:
        made = fitted(policy("intent", 6), rows, vectors, ngrams=table(named, 6), **more)
        return made.model.last.earlier

    wrong = (truth + 1) % 6
    wrong = (truth + 1) % 6
    assert share(real) > share(written) > 0
    assert share(real, wrong) == 0 < share(written, wrong)
    # 360 rows are real, but only 72 of those that are held out
    assert 0 < share(real, unseen=unseen) < share(real)
    head = TunedHead(weights=vectors[:6], bias=np.zeros(6, np.float32), unseen=unseen, tokens=32)
    assert share(written, tuned=head) == 0


def table(named: np.ndarray, classes: int) -> NGramScores:
    """One that is certain of these classes, and of the first one where it does not know the label."""
    sure = np.eye(classes, dtype=np.float32) * 0.88 + np.float32(0.12 / classes)
    return NGramScores(held_out=sure[named], left_out=sure[0 * named], outside=sure[:0])


def test_what_is_out_of_scope_is_judged_with_the_table_as_well() -> None:
    vectors, truth = clouds(9, 30, spread=1.2)
    made = [fitted(policy("intent", 9), rows_of(truth), vectors, ngrams=own) for own in (None, table(truth, 9))]
    alone, both = (one.outside.probabilities[:, 0].mean() for one in made if one.outside)
    assert both > 2 * alone


def test_a_tuned_head_and_a_fitted_one_are_pooled_into_one_matrix() -> None:
    vectors, truth = clouds(6, 40, spread=1.2)
    unseen = np.arange(len(truth)) % 4 == 0
    tuned = linear.one_of(vectors[~unseen], truth[~unseen], ones(truth[~unseen]), 6, 0)
    head = TunedHead(weights=3 * tuned.weights, bias=3 * tuned.bias, unseen=unseen, tokens=32)
    made = fitted(policy("intent", 6), rows_of(truth), vectors, tuned=head)
    alone = linear.one_of(vectors, truth, ones(truth), 6, 0)
    parts = np.stack([head.weights.ravel(), alone.weights.ravel()], axis=1)
    shares, *_ = np.linalg.lstsq(parts, made.model.last.head.weights.ravel())
    assert np.allclose(parts @ shares, made.model.last.head.weights.ravel(), atol=1e-4)
    assert (shares > -1e-6).all()
    assert made.rows.tolist() == np.flatnonzero(unseen).tolist()


def test_everyday_text_that_may_be_in_scope_is_found() -> None:
    vectors, truth = clouds(2, 5, spread=0.1)
    rows = rows_of(truth)
    rows[0] = Row(text="near", labels=(OTHER,), group="e", source="builtin")
    rows[5] = Row(text="given", labels=(OTHER,), group="f", source="data")
    near = prepare.in_scope_everyday(policy("intent", 2, other="x"), rows, vectors)
    assert near.tolist() == [True] + [False] * 9


def test_a_near_miss_is_of_another_label_only_where_it_is_nearer_to_that() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.3, 0.95], [0.8, 0.6], [0.2, 0.5]], np.float32)
    misses = [Row(text=f"miss {i}", labels=(), against=("label 0",), group=f"m{i}", source="policy") for i in range(3)]
    rows = [*rows_of(np.array([0, 1])), *misses]

    def found(other: str | None) -> list[tuple[str, ...]]:
        return [row.labels for row in prepare.place_near_misses(policy("intent", 2, other=other), rows, vectors) if row]

    assert found("x")[2:] == [("label 1",), (OTHER,), (OTHER,)]
    assert found(None)[2:] == [("label 1",)] * 3
    # one that may have no label is nothing to learn from
    misses[:] = [replace(miss, against=("label 0", "label 1")) for miss in misses]
    rows[2:] = misses
    assert found(None)[2:] == []


@pytest.mark.parametrize("other", [None, "anything else"])
def test_real_rows_leave_room_for_text_that_neighbours_of_the_task_are_asked(other: str | None) -> None:
    """Of labels that training has never seen, where they are a tenth of the traffic."""
    chance = np.random.default_rng(0)
    centres = chance.normal(0, 1, (16, 24)) + 0.7 * chance.normal(0, 1, 24)

    def near(labels: range, each: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        truth = np.repeat(np.array(labels, np.int32), each)
        return linear.unit(centres[truth] + np.random.default_rng(seed).normal(0, 1.05, (len(truth), 24))), truth

    vectors, truth = near(range(12), 30, 1)
    rows = [replace(row, group=row.text) for row in rows_of(truth)]
    if other:
        vectors = np.concatenate([vectors, linear.unit(chance.normal(0, 1, (40, 24)))])
        rows += [Row(text=f"x{i}", labels=(OTHER,), group=f"x{i}", source="builtin") for i in range(40)]
    made = fitted(policy("intent", 12, other=other), rows, vectors)
    stage = made.model.last

    def answered(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        read = cascade.part(stage, vectors, multi_label=False)
        named, known = read.probabilities.argmax(axis=1), read.away <= stage.novelty.limit
        sure = read.probabilities.max(axis=1) >= stage.thresholds["label 0"].act
        return sure & known & (named < 12), named

    asked, right = near(range(12), 200, 2)
    given, named = answered(asked)
    strange = answered(near(range(12, 16), 200, 3)[0])[0]
    if other:
        # everyday text is a kind as well, and counts as much
        strange = np.concatenate([strange, answered(linear.unit(chance.normal(0, 1, (800, 24))))[0]])
    wrong = 0.9 * (given & (named != right)).mean() + 0.1 * strange.mean()
    assert given.mean() > 0.85
    assert wrong / (0.9 * given.mean() + 0.1 * strange.mean()) <= 0.05
    found = made.chosen.out_of_scope
    assert found is not None
    assert found["error"] <= 0.05
    assert found["kinds"]["messages of labels left out"]["rows"] == 360
    without = fitted(policy("intent", 12, other=other, out_of_scope="0%"), rows, vectors)
    assert without.model.last.thresholds["label 0"].act < stage.thresholds["label 0"].act


def test_copies_of_a_message_are_held_out_together() -> None:
    """Labels are random for each message, so that copies on both sides would look like knowledge."""
    chance = np.random.default_rng(0)
    messages = chance.normal(0, 1, (60, 300))
    copies = linear.unit(np.repeat(messages, 4, axis=0) + chance.normal(0, 0.1, (240, 300)))
    truth = np.repeat(chance.integers(0, 4, 60), 4).astype(np.int32)
    rows = [replace(row, text=f"{'x' * (i // 4)} ticket {i}", group=row.text) for i, row in enumerate(rows_of(truth))]

    def accuracy(rows: Sequence[Row]) -> float:
        held = split.one_of(rows, copies, truth, weights=ones(truth), count=4, seed=0, advance=lambda *_: None)
        return float((held.logits.argmax(axis=1) == truth).mean())

    together = split.held_together(rows)
    assert len({row.group for row in together}) == 60
    assert accuracy(rows) > 0.9
    assert accuracy(together) < 0.5
    written = [replace(row, source="teacher") for row in rows]
    assert [row.group for row in split.held_together(written)] == [row.group for row in rows]
