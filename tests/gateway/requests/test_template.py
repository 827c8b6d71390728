import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from gateway.requests.template import LONGEST, PromptTemplate


@pytest.mark.parametrize(
    ("template", "text", "expected"),
    [
        (PromptTemplate(after="Message:"), "Classify.\nMessage: my card is lost", "my card is lost"),
        (PromptTemplate(before="\nAnswer:"), "my card is lost\nAnswer:", "my card is lost"),
        (PromptTemplate(after="<m>", before="</m>"), "Classify <m>my card</m> in one word.", "my card"),
        (PromptTemplate(after="<m>", before="</m>"), "<m>is </m> or <m> the input?</m>", "is </m> or <m> the input?"),
        (PromptTemplate(after="<m>", before="</m>"), "<m></m>", ""),
        (PromptTemplate(after="<m>", before="</m>"), "</m> then <m>", None),
        (PromptTemplate(after="Message:"), "my card is lost", None),
        (PromptTemplate(pattern=regex.compile(r"Q: (.*)")), "Q: my card", "my card"),
        (PromptTemplate(pattern=regex.compile(r"Q: (.*)")), "my card", None),
        (PromptTemplate(pattern=regex.compile(r"(\w+): (?P<input>.*)")), "Q: my card", "my card"),
        (PromptTemplate(pattern=regex.compile(r"card.*")), "my card is lost", "card is lost"),
        (PromptTemplate(pattern=regex.compile(r"card( is lost)?")), "my card", None),
        (PromptTemplate(after="Message:", whole=True), "my card is lost", "my card is lost"),
    ],
)
def test_the_input_of_a_text(template: PromptTemplate, text: str, expected: str | None) -> None:
    assert template.input_of(text) == expected


@pytest.mark.parametrize(
    ("template", "form"),
    [
        (PromptTemplate(after="<m>", before="</m>"), "Which of a, b? <m>{}</m> Thanks."),
        (PromptTemplate(pattern=regex.compile(r"Q: (.*)")), "Which? Q: {}"),
    ],
)
def test_what_stands_around_the_input_is_the_same_in_each_call(template: PromptTemplate, form: str) -> None:
    first, again, other = template.frames_of(
        [form.format("a"), form.format("which card?"), form.format("a").replace("W", "V").replace("7", "8")]
    )
    assert first == again != other


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"Ticket:\s*(.*?)\s*---", "Ticket:" + " " * 120_000),
        (r"(a+)+$", "a" * 5_000 + "b"),
        (r"Ticket: (.*)", "Ticket: " + "a" * LONGEST),
    ],
)
def test_a_text_that_cannot_be_searched_in_time_does_not_fit(pattern: str, text: str, whole: bool) -> None:
    template = PromptTemplate(pattern=regex.compile(pattern, regex.DOTALL), whole=whole)
    assert template.inputs_of([text]) == ((text,) if whole else (), whole)
    assert template.input_of(text) == (text if whole else None)
    assert template.frames_of([text]) == [text]


def test_all_texts_together_have_the_time_of_one(ticket: PromptTemplate) -> None:
    slow = "Ticket:" + " " * 120_000
    texts = [*[slow] * 10_000, "Ticket: lost ---"]
    assert ticket.inputs_of(texts) == (tuple(texts), True)
    assert ticket.frames_of(texts) == texts


@pytest.fixture
def ticket() -> PromptTemplate:
    """As a safety rule reads."""
    return PromptTemplate(pattern=regex.compile(r"Ticket:\s*(.*?)\s*---", regex.DOTALL), whole=True)


@given(st.text(), st.text(min_size=1), st.text(min_size=1))
def test_what_is_put_between_is_found_again(put: str, after: str, before: str) -> None:
    text = f"{after}{put}{before}"
    assert PromptTemplate(after=after, before=before).input_of(text) == put.strip()
