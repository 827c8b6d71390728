"""Redactions that rules decided, on whole requests and answers."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from classifiers.verdict import SlotValue
from gateway.answers.parse import Completion
from gateway.protocols import sse
from gateway.protocols.chat_answers import CHAT
from gateway.protocols.json import encode
from gateway.redaction.apply import of_answer, restore
from gateway.redaction.placeholders import Placeholders
from gateway.rules.decide import Step, decide
from gateway.rules.rule import Act

TEXT = "Your name is [PERSON_1] and you live at [ADDRESS_1]."


@pytest.fixture
def filling(make_rule: Callable[..., object], make_verdict: Callable[..., object]) -> Callable[..., tuple[Step, ...]]:
    """filling(text, value…): a rule's redactions where a tagger takes each value for a date of birth."""

    def make(text: str, *values: str) -> tuple[Step, ...]:
        rule = replace(make_rule({"a": Act.REDACT}), redacts=("date_of_birth",))
        found = tuple(
            SlotValue(
                slot="date_of_birth",
                start=text.index(raw),
                end=text.index(raw) + len(raw),
                raw=raw,
                value=raw,
                confidence=0.9,
            )
            for raw in values
        )
        return decide([(rule, replace(make_verdict("a"), slots=found))]).redactions

    return make


def streamed(*texts: str) -> bytes:
    events = (encode({"choices": [{"index": 0, "delta": {"content": text}}]}) for text in texts)
    return b"".join(map(sse.event, events))


@pytest.mark.parametrize("cuts", [(TEXT,), (TEXT[:20], TEXT[20:50], TEXT[50:])])
def test_the_gateways_placeholders_in_an_answer_are_no_values(
    filling: Callable[..., tuple[Step, ...]], cuts: tuple[str, ...]
) -> None:
    completion = Completion(streamed(*cuts), CHAT, stream=True)
    steps = filling(TEXT, "1] ", "1].")
    assert of_answer(completion, steps, Placeholders()) == (None, None, {})
    back = restore(completion, {"[PERSON_1]": "Maria Lopez", "[ADDRESS_1]": "12 Elm Street"})
    assert back is not None
    (text,) = back.texts
    assert str(text) == "Your name is Maria Lopez and you live at 12 Elm Street."


def test_of_several_texts_only_what_holds_a_placeholder_changes() -> None:
    answer = {"choices": [{"index": index, "message": {"content": text}} for index, text in enumerate(["Hi!", TEXT])]}
    back = restore(Completion(encode(answer), CHAT, stream=False), {"[PERSON_1]": "Maria"})
    assert back is not None
    assert list(map(str, back.texts)) == ["Hi!", TEXT.replace("[PERSON_1]", "Maria")]


@pytest.mark.parametrize(
    ("pieces", "named", "hidden"),
    [
        (
            ("[PERSON_1] was born", " on 3 May 1990"),
            ("PERSON_1]", "3 May 1990"),
            "[PERSON_1] was born on [DATE_OF_BIRTH_1]",
        ),
        # of JSON only places within its values
        (
            ('{"paid":true,', '"born":"3 May 1990"}'),
            ('true,"', '"3 May 1990"}'),
            '{"paid":true,"born":"[DATE_OF_BIRTH_1]"}',
        ),
    ],
)
def test_a_value_of_an_answer_is_counted_and_hidden(
    filling: Callable[..., tuple[Step, ...]], pieces: tuple[str, str], named: tuple[str, str], hidden: str
) -> None:
    completion = Completion(streamed(*pieces), CHAT, stream=True)
    body, stopped, counts = of_answer(completion, filling(str(completion.texts[0]), *named), Placeholders())
    assert (stopped, counts) == (None, {("r", "date_of_birth"): 1})
    assert body is not None
    assert str(body.texts[0]) == hidden.replace("*", "[DATE_OF_BIRTH_1]")
