from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from classifiers.policy import OTHER, Policy
from classifiers.training.write.builtin import exclusions, first_person, positive, write

TABLES = yaml.safe_load((Path(__file__).parents[3] / "tables" / "writing.yaml").read_text(encoding="utf-8"))
LABELS: dict[str, Any] = {
    "card_late": {
        "means": "asks why a card has not come; NOT how long it takes (how_long)",
        "examples": ["where is my card?", "Card not here yet."],
        "not": ["how long does it take"],
    },
    "how_long": {"means": "asks how long a card takes"},
}


def policy(kind: str = "intent", **more: Any) -> Policy:
    given = {"version": 1, "name": "bank", "kind": kind, "about": "messages", "labels": LABELS, **more}
    return Policy.model_validate(given)


def test_it_counts_what_it_wrote_every_label_has_rows_and_the_seed_decides() -> None:
    written = write(policy(), 3)
    assert {label for row in written.rows for label in row.labels} == {"card_late", "how_long"}
    assert sum(written.forms.values()) == len(written.rows)
    assert (written.forms["example"], written.forms["near miss"]) == (2, 1)
    assert written == write(policy(), 3)
    assert written != write(policy(), 4)


def test_an_example_and_its_variants_are_one_group() -> None:
    rows = [row for row in write(policy("safety"), 0).rows if "example 0" in row.group]
    assert len(rows) > 5
    assert len({row.group for row in rows}) == 1
    assert [row.text for row in rows if row.probe] == ["where is my card?"]


def test_near_misses_are_harmless_in_safety_and_merely_not_that_label_elsewhere() -> None:
    miss = next(row for row in write(policy(), 0).rows if row.against)
    assert (miss.text, miss.labels, miss.against) == ("how long does it take", (), ("card_late",))
    harmless = [row for row in write(policy("safety"), 0).rows if row.text == "how long does it take"]
    assert {(row.labels, row.against) for row in harmless} == {((), ())}


def test_everyday_text_is_other_only_where_the_policy_has_one() -> None:
    assert OTHER not in {label for row in write(policy(), 0).rows for label in row.labels}
    with_other = write(policy(other="anything else"), 0)
    assert with_other.forms["everyday text"] == sum(row.labels == (OTHER,) for row in with_other.rows) > 100
    assert "everyday text" not in write(policy("safety", everyday=False), 0).forms


def test_only_the_authors_words_are_used_for_other_languages() -> None:
    author = {"where is my card?", "Card not here yet.", "card late", "how long", "how long does it take"}
    author |= {"asks why a card has not come", "asks how long a card takes"}
    hurried = {"where is my card", "card not here yet"}
    assert {row.text for row in write(policy(languages=["de"]), 0).rows} == author | hurried


@pytest.mark.parametrize("plenty", [(), ("card_late",), ("card_late", "how_long")])
def test_plenty_of_sentences_replace_paraphrases_of_both_sides_alike(plenty: tuple[str, ...]) -> None:
    """Frames are for safety alone; elsewhere they cost accuracy: benchmarks/results/writing.md."""
    framed = {
        (kind, row.group.partition("/")[0], bool(row.labels))
        for kind in ("intent", "safety")
        for row in write(policy(kind), 0, plenty=plenty).rows
        if row.text.startswith(("Hi, ", "hello there, ")) and "/" in row.group
    }
    both = {("safety", "card_late", True), ("safety", "card_late", False)}
    assert framed == (set() if "card_late" in plenty else both)
    counts, whole = (
        Counter(row.labels[0] for row in write(policy(), 0, plenty=names).rows if row.labels) for names in (plenty, ())
    )
    assert {name for name in LABELS if counts[name] < whole[name]} == set(plenty)


def test_with_thousands_of_labels_each_still_has_a_few_rows() -> None:
    many = {f"label_{n}": {"means": f"asks about thing {n}", "examples": [f"thing {n}?"]} for n in range(1000)}
    counted = Counter(row.labels[0] for row in write(policy(labels=many), 0).rows)
    assert len(counted) == 1000
    assert min(counted.values()) >= 4
    assert counted.total() <= 20_000


def test_examples_of_two_labels_are_joined_without_splitting_a_group() -> None:
    labels = {name: {"means": name, "examples": [f"{name} {n}" for n in range(3)]} for name in ("pay", "move", "down")}
    written = write(policy("topic", multi_label=True, labels=labels), 0)
    joined = [row for row in written.rows if len(row.labels) == 2]
    assert len(joined) == written.forms["two labels"] >= 6
    for row in joined:
        parts = [one for one in written.rows if one.source == "policy" and one.text in row.text]
        assert {one.group for one in parts} == {row.group}
        assert {label for one in parts for label in one.labels} == set(row.labels)


def test_third_person_becomes_first() -> None:
    rows = TABLES["first_person"]
    assert {description: first_person(description) for description, _ in rows} == dict(rows)


def test_what_is_excluded_is_taken_apart() -> None:
    means = "wants a card; NOT a virtual one (virtual_card), and NOT a late card or a lost card (late, lost)"
    assert positive(means) == "wants a card"
    assert list(exclusions(means)) == [
        ("a virtual one", ("virtual_card",)),
        ("a late card or a lost card", ("late", "lost")),
    ]
    assert list(exclusions("wants a card; NOT (late)")) == []
    labels = {**LABELS, "how_long": {"means": "asks how long a card takes; NOT a form (how_long)"}}
    assert ("how_long",) not in {row.labels for row in write(policy(labels=labels), 0).rows if "form" in row.text}
    assert positive("the parcel has NOT come") == "the parcel has NOT come"
