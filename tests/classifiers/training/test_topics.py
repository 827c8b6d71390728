"""Policies of kind topic whose texts may have several labels, or none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers import Reading, Runtime
from classifiers.policy import Policy
from classifiers.training.calibrate import topic_threshold
from classifiers.training.prepare import place_near_misses
from classifiers.training.rows import Row
from classifiers.training.run import train
from classifiers.training.write import builtin
from classifiers.training.write.prompts import asks

TICKETS: dict[str, Any] = {
    "version": 1,
    "name": "tickets",
    "kind": "topic",
    "multi_label": True,
    "about": "tickets to a web hoster",
    "labels": {
        "billing": {
            "means": "is about an invoice, a payment or a refund",
            "examples": [
                "the invoice for March is wrong",
                "I was charged twice",
                "please refund the last payment",
                "my card was declined",
                "where do I find my invoices",
                "change the billing address",
            ],
        },
        "domain": {
            "means": "is about registering, moving or pointing a domain name",
            "examples": [
                "move my domain to you",
                "the nameservers are not updated",
                "how do I point www to another server",
                "renew example.org for a year",
                "the transfer code is not accepted",
                "is this domain still free",
            ],
        },
        "outage": {
            "means": "says that a website or a server is down or slow",
            "examples": [
                "our site is down",
                "the server does not answer",
                "pages take a minute to load",
                "error 502 since this morning",
                "the database is not reachable",
                "everything is very slow today",
            ],
            "not": ["the weather is down today"],
        },
    },
    "tests": [
        {"text": "the invoice is wrong and our website has been down since noon", "expect": ["billing", "outage"]},
        {"text": "please transfer my domain", "expect": "domain"},
        {"text": "what is a good recipe for lentil soup", "expect": "none"},
    ],
}


def tickets(**changes: Any) -> Policy:
    return Policy.model_validate(TICKETS | changes)


def test_a_text_is_given_all_its_labels_or_none(models_dir: Path, tmp_path: Path) -> None:
    rows = [
        {"text": "refund me, the domain never worked", "label": ["billing", "domain"]},
        {"text": "since the move of our domain the site is slow", "label": "domain|outage"},
        {"text": "you have a nice office", "label": "none"},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    outcome = train(tickets(data=["rows.jsonl"]), base_dir=tmp_path, models_dir=models_dir, threads=1)
    assert outcome.missed == ()
    assert outcome.report["text"]["forms"]["two labels"] == 18
    assert len({value["act"] for value in outcome.report["thresholds"].values()}) > 1
    runtime = Runtime.load(models_dir, ["tickets"], self_test=True)
    texts = ("I was charged twice and the server is down", "my domain is not renewed", "play some jazz")
    both, one, none = runtime.classify([Reading(classifier="tickets", texts=(text,)) for text in texts])
    assert set(both.labels) == {"billing", "outage"}
    assert one.labels == ("domain",)
    assert (none.labels, none.abstention) == ((), None)
    for page in ("report.html", "MODEL_CARD.md"):
        told = (outcome.folder / page).read_text()
        assert "just their labels" in told
        assert "harm" not in told


def test_the_built_in_writer_joins_examples_of_two_labels_without_splitting_a_group() -> None:
    written = builtin.write(tickets(), 0)
    joined = [row for row in written.rows if len(row.labels) == 2]
    assert len(joined) == written.forms["two labels"] == 18
    labels = list(TICKETS["labels"])
    assert all(row.labels == tuple(sorted(row.labels, key=labels.index)) for row in joined)
    for row in joined:
        parts = [one for one in written.rows if one.source == "policy" and one.text.rstrip(" .") in row.text]
        assert {one.group for one in parts} == {row.group}
        assert {label for one in parts for label in one.labels} == set(row.labels)


def test_a_teacher_is_asked_for_both_at_once_and_for_neither() -> None:
    near = {"billing": ["domain"], "domain": ["billing"], "outage": ["domain"]}
    found = asks(tickets(), 20, 0, near)
    sets = {ask.labels[""] for ask in found}
    assert {("billing",), ("domain",), ("outage",), (), ("billing", "domain")} <= sets
    both = next(ask for ask in found if ask.labels[""] == ("billing", "domain"))
    assert "two things at once" in both.prompt
    assert sum(ask.wanted for ask in found if len(ask.labels[""]) == 2) == 3 * 5


def test_a_near_miss_has_the_nearest_other_label_or_none() -> None:
    rows = [
        Row(text="bill", labels=("billing",), group="a", source="policy"),
        Row(text="site", labels=("domain",), group="b", source="policy"),
        Row(text="down", labels=("outage",), group="c", source="policy"),
        Row(text="near", labels=(), against=("outage",), group="d", source="policy"),
        Row(text="far", labels=(), against=("outage",), group="e", source="policy"),
    ]
    vectors = np.eye(4, dtype=np.float32)[[0, 1, 2, 1, 3]]
    placed = place_near_misses(tickets(), rows, vectors)
    assert [row.labels for row in placed[3:] if row is not None] == [("domain",), ()]


def test_a_label_is_named_from_where_few_of_its_names_are_wrong() -> None:
    scores = np.linspace(0, 1, 101, dtype=np.float32)
    holds = scores > 0.6
    holds[65] = False
    found = topic_threshold(scores, holds=holds, max_error=0.05, most_doubt=0.2)
    named = scores >= found.act
    assert (named & ~holds).sum() / named.sum() <= 0.05
    assert found.act == pytest.approx(0.6, abs=0.02)
    assert (scores[holds] < found.unsure).mean() <= 0.06
    assert ((scores >= found.unsure) & ~named & ~holds).mean() <= 0.2


def test_without_a_goal_a_label_is_named_where_f1_is_best() -> None:
    scores = np.array([0.9, 0.7, 0.6, 0.5, 0.3, 0.1], np.float32)
    holds = np.array([1, 1, 0, 1, 0, 0], bool)
    assert topic_threshold(scores, holds=holds, max_error=None, most_doubt=0.0).act == pytest.approx(0.4)
    none = topic_threshold(scores, holds=np.zeros(6, bool), max_error=None, most_doubt=0.0)
    assert none.act == pytest.approx(0.8)


def test_one_label_is_enough_beside_none(make_policy: Callable[..., Policy]) -> None:
    one = {"billing": TICKETS["labels"]["billing"]}
    assert tickets(labels=one, tests=[]).multi_label
    assert builtin.write(tickets(labels=one, tests=[]), 0).forms.get("two labels") is None
    assert not make_policy("topic").multi_label
