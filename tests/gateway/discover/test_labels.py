"""Labels read from answers of every shape."""

import json

from gateway.answers.parse import CompletionChoice
from gateway.discover.labels import labels_of


def texts(count: int) -> list[str]:
    return [f"text {i}" for i in range(count)]


def words(*answers: str) -> list[CompletionChoice]:
    return [CompletionChoice(content=answer, finish="stop") for answer in answers]


def test_spellings_of_one_word_are_one_label_and_the_most_frequent_one_names_it() -> None:
    labels = labels_of(words("Card lost", "card_lost.", "Card lost", "refund", '"refund"', "Refund"), texts(6))
    assert labels.by_call == ("Card lost",) * 3 + ("refund",) * 3
    assert set(labels.names) == {"Card lost", "refund"}


def test_a_rare_answer_is_no_label_and_an_answer_that_is_cut_has_none() -> None:
    answers = [
        *words("a", "a", "a", "b"),
        CompletionChoice(content="a", finish="length"),
        CompletionChoice(content="no", refused=True),
    ]
    labels = labels_of(answers, texts(6))
    assert labels.by_call == ("a", "a", "a", "b", None, None)
    assert (labels.names, labels.distinct) == (("a",), 2)


def test_the_field_of_the_label_is_found_beside_others() -> None:
    answers = words(
        *(
            json.dumps({"why": f"since {i}", "is": {"topic": topic}, "version": "1"})
            for i, topic in enumerate("xyxyxyxyxyxy")
        )
    )
    labels = labels_of(answers, texts(12))
    assert labels.field == "is.topic"
    assert labels.names == ("x", "y")


def test_arguments_of_a_function_and_fenced_json_are_read() -> None:
    calls = [CompletionChoice(calls={0: ("route", json.dumps({"to": to}))}, finish="tool_calls") for to in "aaab"]
    assert labels_of(calls, texts(4)).by_call == ("a", "a", "a", "b")
    assert labels_of(words('```json\n{"to": "a"}\n```'), texts(1)).by_call == ("a",)


def test_a_yes_or_no_of_json_is_a_label_and_a_number_is_none() -> None:
    answers = words(*(json.dumps({"score": i % 2, "spam": i < 3}) for i in range(6)))
    labels = labels_of(answers, texts(6))
    assert (labels.field, labels.by_call) == ("spam", ("true",) * 3 + ("false",) * 3)
