import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.errors import TeacherError
from classifiers.policy import OTHER, Policy
from classifiers.training.write import teacher
from classifiers.training.write.budget import Price
from classifiers.training.write.cache import Cache, Completion
from classifiers.training.write.prompts import asks, neighbours


class Scripted:
    """A model that answers each prompt with numbered sentences, and remembers what it was asked."""

    def __init__(self, answer: str | None = None) -> None:
        self.prompts: list[str] = []
        self.answer = answer

    def __call__(self, prompt: str, *, max_tokens: int, temperature: float, seed: int) -> Completion:
        self.prompts.append(prompt)
        texts = [f"sentence {len(self.prompts)}-{index}" for index in range(10)]
        return Completion(text=self.answer or f"Sure:\n{json.dumps(texts)}", input_tokens=100, output_tokens=200)


@pytest.fixture
def taught(make_policy: Callable[..., Policy]) -> Callable[..., Policy]:
    def make(kind: str = "intent", **values: Any) -> Policy:
        return make_policy(kind, teacher={"model": "openai/small", "sentences_per_label": 15, **values})

    return make


def write(policy: Policy, complete: teacher.Complete, folder: Path, price: Price = Price()) -> teacher.Told:  # noqa: B008
    return teacher.write(policy, complete, price, cache_dir=folder, seed=0, advance=lambda done, total: None)


def test_every_label_gets_its_sentences_and_every_batch_is_a_group(
    taught: Callable[..., Policy], tmp_path: Path
) -> None:
    told = write(taught(), Scripted(), tmp_path)
    labels = [row.labels[0] for row in told.rows]
    assert {label: labels.count(label) for label in set(labels)} == {
        "card_arrival": 15, "exchange_rate": 15, "lost_card": 15, OTHER: 15,
    }  # fmt: skip
    assert len({row.group for row in told.rows}) == 8
    assert {row.source for row in told.rows} == {"teacher"}
    assert told.summary["sentences"] == 60


def test_safety_gets_harmless_contrast_for_every_label(taught: Callable[..., Policy], tmp_path: Path) -> None:
    model = Scripted()
    told = write(taught("safety"), model, tmp_path)
    assert sum(row.labels == () for row in told.rows) == 30
    assert sum("entirely harmless messages that share its topics and trigger words" in p for p in model.prompts) == 4


def test_a_second_run_asks_nothing_and_writes_the_same(taught: Callable[..., Policy], tmp_path: Path) -> None:
    policy, price = taught(), Price(input_usd=1e-6, output_usd=2e-6)
    before = teacher.cost(policy, price, tmp_path, 0)
    first = write(policy, Scripted(), tmp_path, price)
    silent = Scripted()
    again = write(policy, silent, tmp_path, price)
    after = teacher.cost(policy, price, tmp_path, 0)
    assert (before.calls, before.cached_calls, after.calls, after.cached_calls) == (8, 0, 0, 8)
    assert before.usd > 0
    assert after.usd == 0
    assert silent.prompts == []
    assert again.rows == first.rows
    assert (first.summary["spent_usd"], again.summary["spent_usd"]) == (pytest.approx(8 * 500e-6), 0)


def test_the_budget_stops_before_it_is_exceeded_and_what_was_written_stays(
    taught: Callable[..., Policy], tmp_path: Path
) -> None:
    price = Price(input_usd=1e-5, output_usd=1e-4)
    told = write(taught(budget="$0.20"), Scripted(), tmp_path, price)
    assert told.summary["stopped_by_budget"] is True
    assert 0 < told.summary["spent_usd"] <= 0.20
    assert 0 < told.summary["batches"]["answered"] < 8
    assert {row.labels[0] for row in told.rows} >= {"card_arrival", "exchange_rate"}
    with pytest.raises(TeacherError, match="the budget is too small for one call"):
        write(taught(budget="$0.0001"), Scripted(), tmp_path / "other", price)


def test_answers_that_hold_nothing_are_asked_again_and_then_counted(
    taught: Callable[..., Policy], tmp_path: Path
) -> None:
    model = Scripted(answer="[]")
    with pytest.raises(TeacherError, match="none of its answers held a JSON list of texts"):
        write(taught(), model, tmp_path)
    assert len(model.prompts) == 16


def test_what_was_paid_for_survives_a_failure(taught: Callable[..., Policy], tmp_path: Path) -> None:
    class Fails(Scripted):
        def __call__(self, prompt: str, **options: Any) -> Completion:
            if len(self.prompts) == 3:
                raise TeacherError("gone")
            return super().__call__(prompt, **options)

    with pytest.raises(TeacherError, match="gone"):
        write(taught(), Fails(), tmp_path)
    assert teacher.cost(taught(), Price(), tmp_path, 0).cached_calls == 3


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        ('["a", "b"]', ["a", "b"]),
        ('Here you are:\n```json\n["a",\n "b"]\n```\nEnjoy [1]!', ["a", "b"]),
        ('[{"text": "a"}, {"message": "b"}, {"x": 1}, 3, null]', ["a", "b"]),
        ("1. a\n2) b\n- c\n\n* a", ["a", "b", "c"]),
        ('{"messages": ["a", "b"]}', ["a", "b"]),
        ('["broken', []),
        ("", []),
        ('["a", "' + "x" * 2000 + '"]', ["a"]),
        ('["two\\n lines"]', ["two lines"]),
    ],
)
def test_answers_are_parsed_with_distrust(answer: str, texts: list[str]) -> None:
    assert teacher.parse(answer) == texts


@given(st.text())
def test_no_answer_breaks_the_parser(answer: str) -> None:
    assert all(text and len(text) <= 1000 for text in teacher.parse(answer))


def test_a_deeply_nested_answer_is_no_text() -> None:
    assert teacher.parse("[" * 100_000) == []


def test_labels_take_turns_and_prompts_differ(taught: Callable[..., Policy]) -> None:
    found = asks(taught(), 25, 0)
    assert [ask.labels[0] for ask in found[:4]] == ["card_arrival", "exchange_rate", "lost_card", OTHER]
    assert len({ask.prompt for ask in found}) == len(found)
    assert [ask.wanted for ask in found if ask.labels == ("lost_card",)] == [10, 10, 5]
    assert found == asks(taught(), 25, 0)
    assert found != asks(taught(), 25, 1)


def test_neighbours_share_words() -> None:
    labels = {
        "late_card": {"means": "asks why the ordered card has not arrived"},
        "weather": {"means": "talks of rain"},
        "lost_card": {"means": "says that the ordered card is lost"},
    }
    policy = Policy.model_validate({"version": 1, "name": "p", "kind": "intent", "about": "x", "labels": labels})
    assert neighbours(policy, "late_card") == ["lost_card", "weather"]


def test_the_policys_tests_are_not_shown_to_the_teacher(make_policy: Callable[..., Policy]) -> None:
    policy = make_policy(tests=[{"text": "a very secret test", "expect": "lost_card"}])
    assert not any("secret test" in ask.prompt for ask in asks(policy, 10, 0))


def test_a_damaged_cache_file_is_no_answer(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("q", Completion(text="a", input_tokens=1, output_tokens=2))
    assert cache.get("q") == Completion(text="a", input_tokens=1, output_tokens=2)
    next(tmp_path.iterdir()).write_text("{")
    assert cache.get("q") is None
    assert cache.get("never asked") is None
