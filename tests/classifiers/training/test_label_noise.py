from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from classifiers.model.model import Floats
from classifiers.policy import Policy
from classifiers.training import label_noise
from classifiers.training.fit.linear import unit
from classifiers.training.label_noise import Done, Reviewed, review
from classifiers.training.rows import Origin, Row

LABELS = ("card_arrival", "exchange_rate", "lost_card")
EACH = 11

MakePolicy = Callable[..., Policy]


def cloud(seed: int = 0) -> tuple[list[Row], Floats]:
    """Eleven rows a label, each label around an axis of its own."""
    noise = np.random.default_rng(seed).normal(scale=0.15, size=(EACH * 3, 8))
    vectors = unit(np.repeat(np.eye(3, 8), EACH, axis=0) + noise)
    rows = [
        Row(text=f"{label} {n}", labels=(label,), group=f"{label} {n}", source="teacher", writer="small")
        for label in LABELS
        for n in range(EACH)
    ]
    return rows, vectors


def reviewed(policy: Policy, rows: list[Row], vectors: Floats, descriptions: Floats | None = None) -> Reviewed:
    return review(
        policy, rows, vectors, np.eye(3, 8, dtype=np.float32) if descriptions is None else descriptions, seed=0
    )


def mislabelled(source: Origin) -> tuple[list[Row], Floats]:
    """The first row of `card_arrival` says that it is `lost_card`."""
    rows, vectors = cloud()
    rows[0] = Row(text="odd", labels=("lost_card",), group="odd", source=source)
    return rows, vectors


@pytest.mark.parametrize(
    ("source", "done", "labels", "weight"),
    [
        ("teacher", "relabelled", ("card_arrival",), 1.0),
        ("file", "relabelled", ("card_arrival",), 1.0),
        ("data", "weakened", ("lost_card",), 0.2),
        ("policy", "kept", ("lost_card",), 1.0),
    ],
)
def test_what_becomes_of_a_row_depends_on_whose_word_it_is(
    make_policy: MakePolicy, source: Origin, done: Done, labels: tuple[str, ...], weight: float
) -> None:
    rows, vectors = mislabelled(source)
    found = reviewed(make_policy(), rows, vectors)
    (one,) = found.doubts
    assert (one.text, one.label, one.instead, one.done) == ("odd", "lost_card", "card_arrival", done)
    assert one.witnesses == ("cross-validation", "neighbours", "description")
    (row,) = [row for row in found.rows if row.text == "odd"]
    assert (row.labels, row.weight) == (labels, weight)


def test_where_the_description_is_not_with_them_a_written_row_goes(make_policy: MakePolicy) -> None:
    rows, vectors = mislabelled("teacher")
    found = reviewed(make_policy(), rows, vectors, np.eye(3, 8, dtype=np.float32)[[1, 0, 2]])
    assert [(one.done, one.witnesses) for one in found.doubts] == [("dropped", ("cross-validation", "neighbours"))]
    assert "odd" not in {row.text for row in found.rows}
    assert len(found.rows) == len(found.vectors) == len(rows) - 1


def test_a_class_that_only_one_group_shows_is_not_doubted(make_policy: MakePolicy) -> None:
    rows, vectors = cloud()
    batch = [replace(row, group="batch 1") if row.labels == ("lost_card",) else row for row in rows]
    found = reviewed(make_policy(), batch, vectors)
    assert (found.rows, found.doubts) == (tuple(batch), ())


def test_where_hardly_any_are_in_doubt_they_are_listed_and_stay(make_policy: MakePolicy) -> None:
    clouds = [cloud(seed) for seed in range(4)]
    rows = [
        replace(row, text=f"{row.text} {n}", group=f"{row.group} {n}")
        for n, (part, _) in enumerate(clouds)
        for row in part
    ]
    rows[0] = replace(rows[0], labels=("lost_card",))
    found = reviewed(make_policy(), rows, np.concatenate([vectors for _, vectors in clouds]))
    assert [one.done for one in found.doubts] == ["kept"]
    assert found.rows == tuple(rows)


def test_what_is_of_one_group_or_beyond_the_most_is_not_doubted(
    make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, vectors = mislabelled("teacher")
    one = [replace(row, group="batch") for row in rows]
    assert reviewed(make_policy(), one, vectors).rows == tuple(one)
    monkeypatch.setattr(label_noise, "_MOST_CELLS", 4 * len(rows) - 1)
    found = reviewed(make_policy(), rows, vectors)
    assert (found.rows, found.vectors is vectors, found.doubts) == (tuple(rows), True, ())
