"""Calls that are a rule's own task: public sentences of three sets in three styles, fixed by a seed. Pure but for
reading the data.

A third has its instructions in the user's turn and no system prompt, a third a system prompt and one turn, a third a
system prompt and earlier turns. In each third the intent is asked for as a word, by a JSON schema or by a function; a
word that the user's turn alone asks for is left out, since a rule without a contract does not give it.
"""

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.banking77.dataset import load, with_rows
from benchmarks.snips import dataset as snips
from classifiers.policy import Policy

Rows = Sequence[tuple[str, str]]
"""(text, label)."""
CALLS: Final = 500
STYLES: Final = ("word", "schema", "function")
THIRDS: Final = ("no system prompt", "system prompt", "dialogue")
_SEED: Final = 29
_ROLES: Final = {
    "banking77": "You sort what customers write to the support chat of an online bank.",
    "hwu64": "You are the first step of a home assistant: you tell what its user wants done.",
    "snips": "You route the commands that people give to a voice assistant.",
}
_ASKS: Final = {
    "word": "Answer with exactly one of these intents and nothing else:\n{labels}",
    "schema": "Give the intent of the latest message.",
    "function": "Call the function with the intent of the latest message.",
}
_BEFORE_INPUT: Final = "Message: "
_FIELDS: Final[Sequence[Mapping[str, Any]]] = (
    {},
    {"user": "u-17", "max_tokens": 60},
    {"seed": 7, "top_p": 1},
    {"store": False, "metadata": {"app": "router"}, "n": 1},
)
"""What clients send with ordinary calls, besides `temperature: 0`."""
_PARTS: Final = ("train", "valid", "test")
_MARK: Final = re.compile(r"\[([^\]]*)\]\([\w-]+\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSet:
    """A public set. policy: with rows in files of the folder it was read into; test: what the calls are made of."""

    name: str
    policy: Policy
    test: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCall:
    """A call and the label that is right. text: the sentence in it; body: the request's."""

    set: str
    style: str
    third: str
    text: str
    label: str
    body: Mapping[str, Any]


def read_sets(data: Path, folder: Path, *, real: bool) -> list[TaskSet]:
    """The three sets; a teacher's sentences, and the training rows if they are `real`, are written into `folder`.

    data: holds banking77/, hwu64/ and snips/. Raises OSError where a file is missing.
    """
    found = []
    for name in ("banking77", "hwu64"):
        read = load(data / name)
        found.append(_task_set(name, read.policy, read.train if real else [], read.sentences, read.test, folder))
    parts = {part: [(one.text, one.intent) for one in snips.read(data / "snips" / part)] for part in _PARTS}
    sentences = [(_MARK.sub(r"\1", text), label) for text, label in snips.written()]
    described = snips.described()
    labels = {name: {"means": label.means} for name, label in described.labels.items()}
    values = {"version": 1, "name": "snips", "kind": "intent", "about": described.about, "labels": labels}
    rows = [*parts["train"], *parts["valid"]] if real else []
    return [*found, _task_set("snips", Policy.model_validate(values), rows, sentences, parts["test"], folder)]


def _task_set(name: str, policy: Policy, real: Rows, sentences: Rows, test: Rows, folder: Path) -> TaskSet:
    own = folder / name
    own.mkdir(parents=True)
    policy = with_rows(with_rows(policy, real, "data", own), sentences, "teacher", own)
    return TaskSet(name=name, policy=policy, test=test)


def rules(sets: Sequence[TaskSet]) -> list[dict[str, Any]]:
    """For each set, whose calls ask for a model of its name, a rule for each form of its task."""
    found: list[dict[str, Any]] = []
    for each in sets:
        common = {
            "classifier": each.policy.name,
            "then": {"*": {"answer": "label"}},
            "fields": {"confidence": "confidence"},
        }
        prompts = [_prompt(each, style) for style in STYLES]
        found.append({"name": each.name, "when": {"model": each.name, "system": prompts}, **common})
        alone = {"model": each.name, "system": "none"}
        found.append({"name": f"{each.name}-turn", "when": alone, "reads": {"after": _BEFORE_INPUT}, **common})
    return found


def task_calls(sets: Sequence[TaskSet]) -> Iterator[TaskCall]:
    """The same calls each time: of 500, those that a rule may answer."""
    chance = random.Random(_SEED)
    drawn = {each.name: iter(chance.sample(list(each.test), len(each.test))) for each in sets}
    for number in range(CALLS):
        own = sets[number % 3]
        style, third = STYLES[number // 3 % 3], THIRDS[number // 9 % 3]
        text, label = next(drawn[own.name])
        earlier = [next(drawn[own.name]) for _ in range(chance.randint(1, 3))] if third == "dialogue" else []
        messages = list(_messages(own, style, third, text, earlier))
        form = _form(own, style, with_confidence=number % 4 == 1)
        body = {"model": own.name, "messages": messages, "temperature": 0, **form, **_FIELDS[number % 4]}
        if (style, third) != ("word", "no system prompt"):
            yield TaskCall(set=own.name, style=style, third=third, text=text, label=label, body=body)


def _messages(own: TaskSet, style: str, third: str, text: str, earlier: Rows) -> Iterator[dict[str, str]]:
    prompt = _prompt(own, style)
    if third == "no system prompt":
        yield {"role": "user", "content": f"{prompt}\n\n{_BEFORE_INPUT}{text}"}
        return
    yield {"role": "system", "content": prompt}
    answered = {"word": "{label}", "schema": '{"intent":"{label}"}', "function": "Thank you, that is noted."}[style]
    for before, label in earlier:
        yield {"role": "user", "content": before}
        yield {"role": "assistant", "content": answered.replace("{label}", label)}
    yield {"role": "user", "content": text}


def _prompt(own: TaskSet, style: str) -> str:
    asks = _ASKS[style].replace("{labels}", "\n".join(f"- {label}" for label in own.policy.labels))
    return f"{_ROLES[own.name]} {asks}"


def _form(own: TaskSet, style: str, *, with_confidence: bool) -> dict[str, Any]:
    """The fields that ask for the label's form."""
    if style == "word":
        return {}
    fields: dict[str, Any] = {"intent": {"type": "string", "enum": list(own.policy.labels)}}
    if with_confidence:
        fields["confidence"] = {"type": "number", "minimum": 0, "maximum": 1}
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    if style == "schema":
        return {
            "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}}
        }
    function = {"name": "route", "strict": True, "parameters": schema}
    choice = {"type": "function", "function": {"name": "route"}}
    return {"tools": [{"type": "function", "function": function}], "tool_choice": choice, "parallel_tool_calls": False}


def answered_label(call: TaskCall, answer: Mapping[str, Any]) -> str | None:
    """The label that a client reads from a chat completion; None where it reads none."""
    message = answer["choices"][0]["message"]
    try:
        if call.style == "word":
            return str(message["content"]).strip()
        text = message["content"] if call.style == "schema" else message["tool_calls"][0]["function"]["arguments"]
        label = json.loads(text)["intent"]
    except (KeyError, IndexError, TypeError, json.JSONDecodeError):
        return None
    return label if isinstance(label, str) else None
