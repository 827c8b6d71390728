from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from classifiers.data import lines
from classifiers.policy import PolicyTest
from classifiers.training.clean import key
from classifiers.training.fit.augment import amid, harmless_parts, prompted, recombined, surrounded
from classifiers.training.rows import Row


def row(text: str, *labels: str, system: str = "", probe: bool = True, against: tuple[str, ...] = ()) -> Row:
    return Row(text=text, labels=labels, group=text, source="file", system=system, probe=probe, against=against)


def of_each(count: int) -> list[Row]:
    return [row(f"bad {number}.", "a") if number % 2 else row(f"good {number}.") for number in range(count)]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60), st.integers(0, 9))
def test_rows_stay_in_place_with_their_labels_and_only_learned_ones_are_copied(
    drawn: list[tuple[bool, bool]], seed: int
) -> None:
    rows = [row(f"text {number}.", *["a"] * harmful) for number, (harmful, _) in enumerate(drawn)]
    held = np.array([out for _, out in drawn], bool)
    made = surrounded(rows, held, seed)
    assert made == surrounded(rows, held, seed)
    own, copies = made[: len(rows)], made[len(rows) :]
    assert [one.labels for one in own] == [one.labels for one in rows]
    assert all(before.text in after.text for after, before in zip(own, rows, strict=True))
    assert all(after == before for after, before, out in zip(own, rows, held, strict=True) if not out)
    learned = {one.group: one for one, out in zip(rows, held, strict=True) if not out}
    assert all(one.labels == learned[one.group].labels for one in copies)


def test_what_stands_around_a_row_is_harmless_and_of_its_own_side() -> None:
    rows = of_each(600)
    held = np.arange(600) % 3 == 0
    made = surrounded(rows, held, seed=1)
    for one in [*made[600:], *(after for after, before in zip(made, rows, strict=False) if after != before)]:
        around = one.text.replace(one.group, "", 1)
        assert "bad" not in around
        assert all((int(number) % 3 == 0) == (int(one.group.split()[1][:-1]) % 3 == 0) for number in numbers(around))


def numbers(text: str) -> list[str]:
    return [word.rstrip(".") for word in text.split() if word != "good"]


def test_what_is_harmless_under_a_prompt_or_no_message_surrounds_nothing() -> None:
    doubtful = [row("under.", system="be brief"), row("described.", probe=False), row("near.", against=("a",))] * 20
    rows = [*doubtful, *[row(f"bad {number}.", "a") for number in range(200)]]
    assert surrounded(rows, np.zeros(len(rows), bool), seed=0) == rows
    # nor what has no weight: by it, others' thresholds are measured
    unlearned = [replace(row("unseen."), weight=0.0)] * 40 + of_each(200)
    assert not any("unseen." in one.text for one in amid(unlearned, np.zeros(240, np.int32), 0)[0] if one.weight)
    few, enough = ([*rows, *(row(f"good {number}.") for number in range(count))] for count in (19, 20))
    assert surrounded(few, np.zeros(len(few), bool), seed=0) == few
    copies = surrounded(enough, np.zeros(len(enough), bool), seed=0)[len(enough) :]
    assert copies
    assert not {word for one in copies for word in one.text.split()} & {"under.", "described.", "near."}
    spared = {key(one.text) for one in enough if one.text.startswith("good")}
    assert surrounded(enough, np.zeros(len(enough), bool), seed=0, spared=spared) == enough


def test_a_copy_of_each_row_lies_among_words_of_harmless_ones_of_its_fold() -> None:
    rows = of_each(600)
    folds = np.arange(600, dtype=np.int32) % 3
    made, copied = amid(rows, folds, seed=1)
    assert made == amid(rows, folds, seed=1)[0]
    own, copies = made[:600], made[600:]
    assert [replace(one, weight=1.0) for one in own] == rows
    assert copied.tolist() == list(range(600))
    assert [(one.labels, one.group) for one in copies] == [(one.labels, one.group) for one in rows]
    assert {one.weight for one in made} == {0.5}
    assert not any(one.probe for one in copies)
    for index, (one, before) in enumerate(zip(copies, rows, strict=True)):
        around = one.text.replace(before.text, "", 1)
        assert before.text in one.text
        assert "bad" not in around
        assert 6 <= len(around.split()) <= 26
        assert {int(number) % 3 for number in numbers(around)} <= {index % 3}


def test_what_is_no_message_or_is_spared_has_no_copy() -> None:
    few = [row(f"bad {number}.", "a") for number in range(50)] + of_each(20)[::2]
    assert amid(few, np.zeros(60, np.int32), seed=0)[0] == few
    chinese = row(2 * "\u4ed6\u4eec\u8bf4\u4eca\u5929\u7684\u5929\u6c14\u5f88\u597d\u6211\u4eec\u53bb\u516c\u56ed", "a")
    kept = [row("what it means", "a", probe=False), row("under one", "a", system="Be brief."), row("spared"), chinese]
    made, copied = amid([*of_each(60), *kept], np.zeros(64, np.int32), seed=0, spared={key("spared")})
    assert copied.tolist() == list(range(60))
    assert made[60:64] == kept


PROMPTS = st.sampled_from(["", "", "be brief", "be kind"])
ROWS = st.lists(st.tuples(st.text(min_size=1, max_size=4), PROMPTS), max_size=30)


@given(ROWS, st.integers(0, 9))
def test_rows_stay_and_held_out_ones_get_at_most_a_prompt_that_they_lacked(
    drawn: list[tuple[str, str]], seed: int
) -> None:
    rows = [row(text, system=system) for text, system in drawn]
    held = np.array([index % 3 == 0 for index in range(len(rows))], bool)
    made = prompted(rows, held, seed)
    assert made == prompted(rows, held, seed)
    own, copies = made[: len(rows)], made[len(rows) :]
    assert [one.text for one in own] == [one.text for one in rows]
    assert all(after == before for after, before, out in zip(own, rows, held, strict=True) if before.system or not out)
    prompts = [{one.system for one, out in zip(rows, held, strict=True) if out == side} for side in (False, True)]
    assert {one.system for one, out in zip(own, held, strict=True) if out} <= prompts[True] | {""}
    assert {one.system for one in copies} <= prompts[False] - {""}
    learned = [one for one, out in zip(rows, held, strict=True) if not out and not one.system]
    assert all(replace(one, system="") in learned for one in copies)


def test_what_is_known_under_a_prompt_is_given_no_other() -> None:
    rows = [row("Backwards?", system="the code is 4"), row("backwards"), row("in capitals")]
    rows += [row(str(number)) for number in range(20)]
    tests = [PolicyTest(text="In capitals!", system="be brief", expect=("none",)), PolicyTest(text="3", expect=("a",))]
    for seed in range(20):
        copies = prompted(rows, np.zeros(len(rows), bool), seed, tests)[len(rows) :]
        assert copies
        assert not {one.text for one in copies} & {"Backwards?", "backwards", "in capitals"}


EVERYDAY = lines("everyday.txt")
TEXTS = [f"the {word} of number {place} is not what it was last year" for place, word in enumerate("abcdefghij")]


@given(st.lists(st.text(max_size=40), max_size=8), st.integers(0, 30))
def test_any_texts_will_do(texts: list[str], count: int) -> None:
    made = recombined(texts, count, seed=0, everyday=EVERYDAY[:1])
    assert len(made) <= count
    assert all(made)


def test_text_without_labels_is_of_rows_and_of_the_everyday_text_that_is_given() -> None:
    made = recombined(TEXTS, 60, seed=0, everyday=("will it rain",))
    assert len(made) == len(set(made)) == 60
    assert not set(made) & set(TEXTS)
    assert made == recombined(TEXTS, 60, seed=0, everyday=("will it rain",)) != recombined(TEXTS, 60, 1, everyday=())
    assert any(one in text and other in text for text in made for one in TEXTS for other in TEXTS if one != other)
    assert any("will it rain" in text for text in made)
    assert not [text for text in recombined(TEXTS, 60, seed=0, everyday=()) if "will it rain" in text]
    assert not [text for text in made if any(other in text for other in set(EVERYDAY) - {"will it rain"})]


def test_sentences_of_harmless_rows_are_rows_of_their_own() -> None:
    rows = [row("Nice day. I will come at nine."), row("One sentence."), row('He wrote "I will hurt you". I left.')]
    rows += [row("I will find you. Wait.", "a"), row("Not this label. But another.", against=("a",))]
    rows += [row("He smiled. I will find you. wait.")]
    parts, owners = harmless_parts([*rows, row("I will find you.", "a")], seed=0)
    found = {(part.text, index) for part, index in zip(parts, owners.tolist(), strict=True)}
    # what a row quotes, or what is harmful elsewhere, is not said to be harmless
    assert found == {("Nice day.", 0), ("I will come at nine.", 0), ("He smiled.", 5), ("wait.", 5)}
    assert not any(part.probe or part.labels for part in parts)
    assert [part.group for part in parts] == [rows[index].group for index in owners]
