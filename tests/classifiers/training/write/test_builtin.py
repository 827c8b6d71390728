from collections import Counter
from pathlib import Path

import pytest
import yaml

from classifiers.policy import OTHER, Policy
from classifiers.training.write.builtin import exclusions, first_person, positive, write

TABLES = yaml.safe_load((Path(__file__).parents[3] / "tables" / "writing.yaml").read_text(encoding="utf-8"))


def described(kind: str = "intent", **more: object) -> dict[str, object]:
    return {
        "version": 1,
        "name": "bank",
        "kind": kind,
        "about": "messages",
        "labels": {
            "card_late": {
                "means": "asks why a card has not come; NOT how long it takes (how_long)",
                "examples": ["where is my card?", "Card not here yet."],
                "not": ["how long does it take"],
            },
            "how_long": {"means": "asks how long a card takes"},
        },
        **more,
    }


def policy(kind: str = "intent", **more: object) -> Policy:
    return Policy.model_validate(described(kind, **more))


def test_it_says_what_it_wrote_and_every_label_has_rows() -> None:
    written = write(policy(), 0)
    counted = Counter(label for row in written.rows for label in row.labels)
    assert set(counted) == {"card_late", "how_long"}
    assert sum(written.forms.values()) == len(written.rows)
    assert written.forms["example"] == 2
    assert written.forms["near miss"] == 1


def test_the_seed_decides() -> None:
    assert write(policy(), 3) == write(policy(), 3)
    assert write(policy(), 3) != write(policy(), 4)


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


def test_frames_are_for_safety_alone_and_stand_around_what_is_harmless_as_well() -> None:
    """Elsewhere they cost accuracy: benchmarks/results/writing.md."""
    assert not any(row.text.startswith("Hi, ") for row in write(policy(), 0).rows)
    framed = [row.labels for row in write(policy("safety"), 0).rows if row.text.startswith(("Hi, ", "hello there, "))]
    assert set(framed) == {("card_late",), ()}


def test_only_the_authors_words_are_used_for_other_languages() -> None:
    german = write(policy(languages=["de"]), 0)
    allowed = {
        "where is my card?",
        "Card not here yet.",
        "where is my card",
        "card not here yet",
        "card late",
        "how long",
    }
    allowed |= {"asks why a card has not come", "asks how long a card takes", "how long does it take"}
    assert {row.text for row in german.rows} == allowed


def test_a_label_without_rows_of_its_own_keeps_its_paraphrases_beside_one_that_has_plenty() -> None:
    def counted(plenty: tuple[str, ...]) -> Counter[str]:
        return Counter(row.labels[0] for row in write(policy(), 0, plenty=plenty).rows if row.labels)

    whole, some = counted(()), counted(("card_late",))
    assert some["how_long"] == whole["how_long"]
    assert some["card_late"] < whole["card_late"]


@pytest.mark.parametrize("plenty", [(), ("card_late",), ("card_late", "how_long")])
def test_harmful_and_harmless_text_of_a_label_is_framed_alike(plenty: tuple[str, ...]) -> None:
    framed = {
        (row.group.partition("/")[0], bool(row.labels))
        for row in write(policy("safety"), 0, plenty=plenty).rows
        if row.text.startswith(("Hi, ", "hello there, "))
    }
    assert framed == (set() if "card_late" in plenty else {("card_late", True), ("card_late", False)})


@pytest.mark.parametrize("labels", [1000])
def test_with_thousands_of_labels_each_still_has_a_few_rows(labels: int) -> None:
    many = {
        f"label_{index}": {"means": f"asks about thing {index}", "examples": [f"thing {index}?"]}
        for index in range(labels)
    }
    rows = write(policy(labels=many), 0).rows
    counted = Counter(row.labels[0] for row in rows)
    assert len(counted) == labels
    assert min(counted.values()) >= 4
    assert len(rows) <= 20_000


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
    assert list(exclusions("anything at all")) == []
    assert positive("not working") == "not working"
