"""Templates found in texts, whatever stands in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.discover.template import Frame, families, reads_of

INPUTS = ["I lost my card.", "I want a refund.", "where is it", "I can not log in", "hello there", "my app fails?"]
TICKETS = [f"Classify this ticket.\nTicket: {text}\n---\nAnswer with one word, nothing else." for text in INPUTS]


def test_the_part_that_varies_is_found() -> None:
    [family] = families(TICKETS)
    assert family.frame.before == "Classify this ticket.\nTicket: "
    assert family.frame.after == "\n---\nAnswer with one word, nothing else."
    assert [family.frame.middle(text) for text in TICKETS] == INPUTS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("You work for a bank.\nName the intent of this message.\nMessage: {}",
         "You work for a bank.\nName the mood of this message.\nMessage: {}"),
        ("{}\n\nQuestion: which product is meant in the message above, in a word?",
         "{}\n\nQuestion: is the writer of the message above angry or calm?"),
    ],
)  # fmt: skip
def test_templates_that_begin_or_end_alike_are_told_apart(one: str, other: str) -> None:
    texts = [template.format(text) for template in (one, other) for text in INPUTS]
    assert sorted(len(family.members) for family in families(texts)) == [6, 6]


def test_what_people_write_is_no_template() -> None:
    texts = ["can you help me", "can you tell me the time", "can you send it again", "I want my money", "where is it"]
    [family] = families([*texts, "hi", "can you cancel it", "thanks!", "I want to pay", "can I pay by card"])
    assert not family.frame


def test_texts_that_each_go_on_from_the_last_end() -> None:
    texts = ["a " * length for length in range(400)]
    assert sum(len(family.members) for family in families(texts)) == len(texts)


WRITTEN = st.text(st.sampled_from("ab .:\n\"'#-é$"), max_size=12)


@given(before=WRITTEN, after=WRITTEN, inputs=st.lists(WRITTEN, min_size=2, max_size=8))
def test_every_text_is_in_one_family_and_its_input_is_what_the_gateway_reads(
    before: str, after: str, inputs: list[str]
) -> None:
    texts = [before + text + after for text in inputs]
    found = families(texts)
    assert sorted(i for family in found for i in family.members) == list(range(len(texts)))
    for family in found:
        reads = reads_of(family.frame)
        for i in family.members:
            assert texts[i].startswith(family.frame.before)
            assert texts[i].endswith(family.frame.after)
            assert reads.template.input_of(texts[i]) == family.frame.middle(texts[i]).strip()


@pytest.mark.parametrize(
    ("frame", "after", "before"),
    [
        (Frame(before="Labels: a, b.\nTicket: ", after="\n---\nOne word."), "Ticket: ", "\n---\nOne word."),
        (Frame(before="Ticket: x\nTicket: ", after=""), "x\nTicket: ", ""),
        (Frame(before="Text:\n", after="\n---\nText again\n---\n"), "Text:\n", "\n---\nText again\n---\n"),
    ],
)
def test_reads_takes_few_words_that_stand_only_there(frame: Frame, after: str, before: str) -> None:
    reads = reads_of(frame)
    assert frame.before.endswith(reads.after)
    assert frame.after.startswith(reads.before)
    text = f"{frame.before}{after} odd {before}{frame.after}"
    assert reads.template.input_of(text) == frame.middle(text).strip()


def test_reads_fits_no_other_template_where_that_can_be_helped() -> None:
    frame = Frame(before="Name the intent.\nText: ")
    assert reads_of(frame).after == "Text: "
    assert reads_of(frame, others=["Name the mood.\nText: hi"]).after == "Name the intent.\nText: "
