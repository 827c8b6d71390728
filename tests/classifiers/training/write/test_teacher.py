import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from classifiers import data
from classifiers.encoder.session import Encoder, embed
from classifiers.errors import PromptRefused, TeacherError
from classifiers.policy import OTHER, Policy
from classifiers.slots.tags import SlotMark
from classifiers.training.rows import Row
from classifiers.training.slots.rows import with_marks
from classifiers.training.write.prompts import asks, attributes, nearest_labels
from classifiers.training.write.teacher import Author, Hired, TeacherPrice, TeacherReply


class Scripted:
    """A model that answers each prompt with numbered sentences in the form asked for, and remembers the prompts."""

    def __init__(self, answer: str | None = None, *, usage: tuple[int, int] = (100, 200)) -> None:
        self.prompts: list[str] = []
        self.answer = answer
        self.usage = usage

    def __call__(self, prompt: str, *, max_tokens: int, temperature: float, seed: int) -> TeacherReply:
        self.prompts.append(prompt)
        texts = [f"sentence {len(self.prompts)}-{index}" for index in range(10)]
        keys = re.findall(r'"(\w+)": \["…"', prompt)
        found: Any = {key: [f"{text} {key}" for text in texts] for key in keys} or texts
        asked, output = self.usage
        return TeacherReply(text=self.answer or f"Sure:\n{json.dumps(found)}", input_tokens=asked, output_tokens=output)


@pytest.fixture
def taught(make_policy: Callable[..., Policy]) -> Callable[..., Policy]:
    def make(kind: str = "intent", **values: Any) -> Policy:
        return make_policy(kind, teacher={"model": "openai/small", **values})

    return make


class Run:
    """One run of a policy's teacher: what it was to write, what it wrote."""

    def __init__(self, policy: Policy, complete: Scripted, folder: Path, *, sentences: int = 15, **price: Any) -> None:
        (teacher,) = policy.teachers
        hired = Hired(complete=complete, price=TeacherPrice(**price))
        self.author = Author(teacher, hired, place=0, writer=teacher.name, cache_dir=folder, seed=0)
        self.asks = asks(policy, sentences, 0, {})
        self.expected = self.author.estimate(self.asks)

    def write(self) -> Sequence[Row]:
        return self.author.write(self.asks, lambda done, total: None)


def test_every_label_gets_its_sentences_once_and_every_batch_is_a_group(
    taught: Callable[..., Policy], tmp_path: Path
) -> None:
    price: dict[str, Any] = {"input_usd": 1e-6, "output_usd": 2e-6}
    run = Run(taught(), Scripted(), tmp_path, **price)
    rows = run.write()
    labels = ("card_arrival", "exchange_rate", "lost_card", OTHER)
    assert Counter(row.labels[0] for row in rows) == dict.fromkeys(labels, 15)
    assert len({row.group for row in rows}) == 8
    assert {(row.source, row.writer) for row in rows} == {("teacher", "openai/small")}
    assert run.author.summary()["sentences"] == 60
    silent = Scripted()
    again = Run(taught(), silent, tmp_path, **price)
    assert again.write() == rows
    assert silent.prompts == []
    assert [(one.expected.calls, one.expected.cached_calls) for one in (run, again)] == [(8, 0), (0, 8)]
    assert run.expected.usd > 0 == again.expected.usd
    assert (run.author.spent_usd, again.author.spent_usd) == (pytest.approx(8 * 500e-6), 0)


def test_safety_gets_harmless_contrast_in_the_same_batch(taught: Callable[..., Policy], tmp_path: Path) -> None:
    model = Scripted()
    rows = Run(taught("safety"), model, tmp_path).write()
    assert Counter(row.labels for row in rows) == {("violence",): 20, ("jailbreak",): 20, (): 40}
    by_group = {group: {row.labels for row in rows if row.group == group} for group in {row.group for row in rows}}
    assert all(len(labels) == 2 and () in labels for labels in by_group.values())
    assert all("entirely harmless and shares its topic and its trigger words" in p for p in model.prompts)


@pytest.mark.parametrize("usage", [(100, 200), (0, 0), (100, 0), (0, 200)])
def test_the_budget_stops_before_it_is_exceeded_also_where_no_usage_is_reported(
    taught: Callable[..., Policy], tmp_path: Path, usage: tuple[int, int]
) -> None:
    price: dict[str, Any] = {"input_usd": 1e-5, "output_usd": 1e-4}
    model = Scripted(usage=usage)
    run = Run(taught(budget="$0.14"), model, tmp_path, **price)
    rows, summary = run.write(), run.author.summary()
    assert summary["stopped_by_budget"] is True
    assert 0 < summary["spent_usd"] <= 0.14
    assert 0 < len(model.prompts) == summary["batches"]["answered"] < 8
    assert min(summary["input_tokens"], summary["output_tokens"]) >= 40 * len(model.prompts)
    assert len(rows) == summary["sentences"] > 0


def test_beyond_the_budget_what_is_cached_is_still_taken(taught: Callable[..., Policy], tmp_path: Path) -> None:
    def policy(means: str, budget: str) -> Policy:
        labels = {"lost_card": {"means": means}, "exchange_rate": {"means": "asks for a rate"}}
        return Policy.model_validate(taught(budget=budget).model_dump(by_alias=True) | {"labels": labels})

    price: dict[str, Any] = {"input_usd": 1e-5, "output_usd": 1e-3, "sentences": 20}
    assert len(Run(policy("lost a card", "$100.00"), Scripted(), tmp_path, **price).write()) == 60
    model = Scripted()
    again = Run(policy("has lost a card", "$0.50"), model, tmp_path, **price)
    assert (again.expected.calls, again.expected.cached_calls) == (2, 4)
    assert Counter(row.labels for row in again.write()) == {("exchange_rate",): 20, (OTHER,): 20}
    assert model.prompts == []
    assert again.author.over_budget
    assert again.author.summary()["batches"] == {"wanted": 6, "answered": 4, "unusable": 0}


@pytest.mark.parametrize(
    ("tokens", "why"),
    [
        (100_000, r"none of its answers \(10\) held a JSON list of texts; the last answer begins 'I cannot.'$"),
        (1_700, r"none of its answers \(1\) held a JSON list of texts; then the budget was spent; the last"),
        (1_000, r"the budget is too small for one call$"),
    ],
)
def test_why_nothing_was_written(taught: Callable[..., Policy], tmp_path: Path, tokens: int, why: str) -> None:
    run = Run(taught(tokens=tokens), Scripted("I cannot."), tmp_path, known=False)
    assert run.write() == []
    assert re.search(rf"p: teacher openai/small wrote nothing: {why}", str(run.author.failure("p")))


def test_what_was_paid_for_survives_a_failure(taught: Callable[..., Policy], tmp_path: Path) -> None:
    class Fails(Scripted):
        def __call__(self, prompt: str, **options: Any) -> TeacherReply:
            if len(self.prompts) == 3:
                raise TeacherError("gone")
            return super().__call__(prompt, **options)

    with pytest.raises(TeacherError, match="gone"):
        Run(taught(), Fails(), tmp_path).write()
    assert Run(taught(), Scripted(), tmp_path).expected.cached_calls == 3
    next(tmp_path.iterdir()).write_text("{")
    assert Run(taught(), Scripted(), tmp_path).expected.cached_calls == 2


def test_a_model_that_thinks_gets_room_for_it(taught: Callable[..., Policy], tmp_path: Path) -> None:
    room: list[int] = []

    class Thinks(Scripted):
        def __call__(self, prompt: str, *, max_tokens: int, **options: Any) -> TeacherReply:
            room.append(max_tokens)
            if max_tokens <= 5_000:
                return TeacherReply(text="<think>Well,", output_tokens=max_tokens, cut=True)
            return super().__call__(prompt, max_tokens=max_tokens, **options)

    run = Run(taught(), Thinks(), tmp_path)
    assert len(run.write()) == 60
    assert room == [1_200, 9_200, *[9_200, 9_200, 9_200, 8_700, 8_700, 8_700, 8_700]]
    assert run.author.summary()["cut_off"] == 1


def test_a_refused_prompt_is_a_batch_without_texts(taught: Callable[..., Policy], tmp_path: Path) -> None:
    class Filters(Scripted):
        def __call__(self, prompt: str, **options: Any) -> TeacherReply:
            if "the filter flags" in prompt.lower() and '"violence"' in prompt:
                raise PromptRefused("the teacher answered 400: content_filter")
            return super().__call__(prompt, **options)

    run = Run(taught("safety"), Filters(), tmp_path)
    assert {label for row in run.write() for label in row.labels} == {"jailbreak"}
    summary = run.author.summary()
    assert summary["labels"] == {
        "violence": {"batches": 2, "unusable": 2, "sentences": 0},
        "jailbreak": {"batches": 2, "unusable": 0, "sentences": 20},
    }
    assert (summary["refused"], summary["batches"]["unusable"]) == (2, 2)


def test_labels_take_turns_and_prompts_show_no_test(taught: Callable[..., Policy]) -> None:
    found = asks(taught(), 25, 0, {})
    assert [ask.labels[""] for ask in found[:4]] == [("card_arrival",), ("exchange_rate",), ("lost_card",), (OTHER,)]
    assert len({ask.prompt for ask in found}) == len(found)
    assert [ask.wanted for ask in found if ask.labels[""] == ("lost_card",)] == [10, 10, 5]
    assert found == asks(taught(), 25, 0, {})
    assert found != asks(taught(), 25, 1, {})
    labels = {"a": {"means": "a", "examples": ["a very secret test", "plain"], "not": ["odd"]}, "b": {"means": "b"}}
    given = taught().model_dump(by_alias=True) | {"labels": labels}
    policy = Policy.model_validate(given | {"tests": [{"text": "A very secret test!", "expect": "a"}]})
    assert not any("secret" in ask.prompt for ask in asks(policy, 10, 0, {}))
    for one, line in ((policy, "although it looks similar: "), (taught("safety"), "for example, do not repeat: ")):
        near = Policy.model_validate(one.model_dump(by_alias=True) | {"labels": labels, "tests": []})
        assert [line in ask.prompt and "odd" in ask.prompt for ask in asks(near, 10, 0, {})][:2] == [True, False]


def test_a_teacher_is_asked_for_two_labels_at_once_and_for_none(make_policy: Callable[..., Policy]) -> None:
    policy = make_policy("topic", labels=["pay", "move", "down"], multi_label=True)
    found = asks(policy, 20, 0, {"pay": ["move"], "move": ["pay"], "down": ["move"]})
    assert {("pay",), ("move",), ("down",), (), ("pay", "move")} <= {ask.labels[""] for ask in found}
    assert "two things at once" in next(ask for ask in found if ask.labels[""] == ("pay", "move")).prompt
    assert sum(ask.wanted for ask in found if len(ask.labels[""]) == 2) == 3 * 5


def test_attributes_are_balanced_and_every_neighbour_is_named() -> None:
    drawn = attributes("0", ["late card", "lost card"])
    lines = [next(drawn).split("; ") for _ in range(4 * 7 * 5)]
    for values in map(data.table("attributes.json").__getitem__, ("lengths", "registers", "forms")):
        counts = Counter(part for line in lines for part in line if part in values)
        assert set(counts.values()) == {len(lines) // len(values)}
    near = Counter(part for line in lines for part in line if "does not mean that" in part)
    assert set(near.values()) == {len(lines) // 6, (len(lines) + 3) // 6}


def test_the_neighbours_of_a_label_are_those_nearest_in_the_encoders_space(encoder: Encoder) -> None:
    labels = {
        "late_card": {"means": "asks why the ordered card has not arrived", "examples": ["no card in the post"]},
        "weather": {"means": "talks of rain"},
        "lost_plastic": {"means": "cannot find the debit card anywhere"},
    }
    policy = Policy.model_validate({"version": 1, "name": "p", "kind": "intent", "about": "x", "labels": labels})
    near = nearest_labels(policy, lambda texts: embed(encoder, texts))
    assert near["late_card"] == ["lost_plastic", "weather"]
    (ask, *_) = asks(policy, 10, 0, near)
    assert 'none of these neighbours: "lost plastic" (cannot find the debit card anywhere); "weather"' in ask.prompt
    assert 'uses words of "' in ask.prompt


def test_a_teacher_is_told_a_labels_slots_and_how_to_mark_them(taught: Callable[..., Policy], tmp_path: Path) -> None:
    labels = {"pay": {"means": "pays", "slots": ["amount"]}, "lost": {"means": "lost one"}}
    slots = {
        "amount": {"means": "how much", "type": "money", "examples": ["$5", "ten euros"]},
        "card": {"means": "which card", "type": "enum", "values": ["debit", "credit"]},
    }
    policy = Policy.model_validate(taught("slots").model_dump(by_alias=True) | {"labels": labels, "slots": slots})
    model = Scripted('["I paid [7 dollars](amount)", "hello"]')
    rows = with_marks(policy, Run(policy, model, tmp_path).write())
    pay, lost, other = model.prompts[:3]
    assert "- amount: how much, such as $5, ten euros" in pay
    assert "as [value](slot), for example [$5](amount)" in pay
    assert "- card" not in pay
    assert "- card: which card, such as debit, credit" in lost
    assert "[value]" not in other
    marks = (SlotMark(name="amount", start=7, end=16),)
    paid = {(row.text, row.marks) for row in rows if row.labels == ("pay",)}
    assert paid == {("I paid 7 dollars", marks), ("hello", None)}
