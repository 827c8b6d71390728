"""Calls grouped, and the input of each as the gateway will read it."""

from typing import Any

from gateway.discover.calls import LoggedCall
from gateway.discover.group import Group, groups
from gateway.requests.turns import select

from .logs import SCHEMA, calls_of, harm_calls, pair, user

TEXTS = [text for text, _ in harm_calls(30)]


def calls(requests: list[dict[str, Any]]) -> list[LoggedCall]:
    return calls_of(pair(request, "a") for request in requests)


def read(group: Group) -> list[str]:
    """What a rule with the group's `reads` would read."""
    found = []
    for call in group.calls:
        texts, _ = select(call.turns, frozenset(group.reads.roles or ("user",)), last=True)
        fitting = [group.reads.template.input_of(text) for text in texts]
        found.append("\n".join(text for text in fitting if text is not None))
    return found


def test_the_last_turn_under_a_constant_system_prompt() -> None:
    [group] = groups(calls([user(text, "Sort this.") for text in TEXTS]))
    assert (group.system, bool(group.reads)) == ("Sort this.", False)
    assert read(group) == list(group.inputs) == [text.strip() for text in TEXTS]


def test_an_input_in_the_system_prompt() -> None:
    [group] = groups(calls([user("Go on.", f"Sort the text between the lines.\n---\n{text}\n---\n") for text in TEXTS]))
    assert group.reads.roles == ("system",)
    assert read(group) == [text.strip() for text in group.inputs] == [text.strip() for text in TEXTS]


def test_a_system_prompt_with_a_date_is_told() -> None:
    [group] = groups(calls([user(text, f"Sort this message. Today is day {i}.") for i, text in enumerate(TEXTS)]))
    assert group.system is None
    assert list(group.inputs) == [text.strip() for text in TEXTS]


def test_conversations_are_told() -> None:
    requests = [
        {"model": "m", "messages": [*({"role": "user", "content": TEXTS[i - n]} for n in (3, 2)),
                                    {"role": "assistant", "content": TEXTS[i - 1]}, {"role": "user", "content": text}]}
        for i, text in enumerate(TEXTS)
    ]  # fmt: skip
    [group] = groups(calls(requests))
    assert list(group.inputs) == [text.strip() for text in TEXTS]


def test_one_question_again_and_again() -> None:
    [group] = groups(calls([user("What is new?", "You know the news.")] * 20))
    assert group.constant


def test_shapes_part_groups() -> None:
    plain = [user(text, "Sort this.") for text in TEXTS]
    shaped = [user(text, "Sort this.", response_format=SCHEMA) for text in TEXTS]
    assert len(groups(calls(plain + shaped))) == 2
